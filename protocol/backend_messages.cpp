#include "protocol/backend_messages.hpp"

#include "protocol/value_list.hpp"
#include "protocol/writer.hpp"

namespace turnout::protocol {

WireError parse(std::string_view body, ReadyForQuery& out) {
    Reader reader{body};
    const char status = reader.byte();
    if (reader.ok() && status != 'I' && status != 'T' && status != 'E') reader.fail("unknown transaction status");
    out.status = static_cast<TransactionStatus>(status);
    return reader.finish();
}

WireError parse(std::string_view body, ParameterStatus& out) {
    Reader reader{body};
    out.name = reader.string();
    out.value = reader.string();
    return reader.finish();
}

WireError parse(std::string_view body, BackendKeyData& out) {
    Reader reader{body};
    out.pid = reader.int32();
    out.secret = reader.rest();
    if (reader.ok() && out.secret.size() < min_cancel_secret) reader.fail("the cancel key is too short");
    if (reader.ok() && out.secret.size() > max_cancel_secret) reader.fail("the cancel key is too long");
    return reader.finish();
}

WireError parse(std::string_view body, CommandComplete& out) {
    Reader reader{body};
    out.tag = reader.string();
    return reader.finish();
}

WireError parse(std::string_view body, NotificationResponse& out) {
    Reader reader{body};
    out.pid = reader.int32();
    out.channel = reader.string();
    out.payload = reader.string();
    return reader.finish();
}

WireError parse(std::string_view body, RowDescription& out) {
    Reader reader{body};
    out.fields.clear();
    const std::uint16_t count = reader.uint16();
    for (std::uint16_t i = 0; i < count && reader.ok(); ++i) {
        FieldDescription field;
        field.name = reader.string();
        field.table = reader.uint32();
        field.column = reader.int16();
        field.type = reader.uint32();
        field.type_size = reader.int16();
        field.type_modifier = reader.int32();
        field.format = reader.int16();
        if (reader.ok()) out.fields.push_back(field);
    }
    return reader.finish();
}

WireError parse(std::string_view body, DataRow& out) {
    Reader reader{body};
    read_values(reader, out.values);
    return reader.finish();
}

WireError parse(std::string_view body, ParameterDescription& out) {
    Reader reader{body};
    out.types.clear();
    const std::uint16_t count = reader.uint16();
    for (std::uint16_t i = 0; i < count && reader.ok(); ++i) out.types.push_back(reader.uint32());
    return reader.finish();
}

WireError parse(std::string_view body, CopyResponse& out) {
    Reader reader{body};
    out.format = reader.byte();
    read_formats(reader, out.column_formats);
    return reader.finish();
}

WireError parse(std::string_view body, NegotiateProtocolVersion& out) {
    Reader reader{body};
    out.version = reader.int32();
    out.unrecognised.clear();
    const std::uint32_t count = reader.uint32();
    for (std::uint32_t i = 0; i < count && reader.ok(); ++i) out.unrecognised.push_back(reader.string());
    return reader.finish();
}

void append(std::string& out, const ReadyForQuery& message) {
    Writer{out}.begin(BackendType::ready_for_query).byte(static_cast<char>(message.status)).end();
}

void append(std::string& out, const ParameterStatus& message) {
    Writer{out}.begin(BackendType::parameter_status).string(message.name).string(message.value).end();
}

void append(std::string& out, const BackendKeyData& message) {
    Writer{out}.begin(BackendType::backend_key_data).int32(message.pid).bytes(message.secret).end();
}

void append(std::string& out, const CommandComplete& message) {
    Writer{out}.begin(BackendType::command_complete).string(message.tag).end();
}

void append(std::string& out, const NotificationResponse& message) {
    Writer writer{out};
    writer.begin(BackendType::notification_response).int32(message.pid);
    writer.string(message.channel).string(message.payload).end();
}

void append(std::string& out, const RowDescription& message) {
    Writer writer{out};
    writer.begin(BackendType::row_description).count(message.fields.size());
    for (const FieldDescription& field : message.fields) {
        writer.string(field.name).uint32(field.table).int16(field.column);
        writer.uint32(field.type).int16(field.type_size).int32(field.type_modifier).int16(field.format);
    }
    writer.end();
}

void append(std::string& out, const DataRow& message) {
    Writer writer{out};
    writer.begin(BackendType::data_row);
    write_values(writer, message.values);
    writer.end();
}

void append(std::string& out, const ParameterDescription& message) {
    Writer writer{out};
    writer.begin(BackendType::parameter_description).count(message.types.size());
    for (const std::uint32_t type : message.types) writer.uint32(type);
    writer.end();
}

void append(std::string& out, const NegotiateProtocolVersion& message) {
    Writer writer{out};
    writer.begin(BackendType::negotiate_protocol_version).int32(message.version);
    writer.uint32(static_cast<std::uint32_t>(message.unrecognised.size()));
    for (const std::string_view name : message.unrecognised) writer.string(name);
    writer.end();
}

void append(std::string& out, BackendType type, const CopyResponse& message) {
    Writer writer{out};
    writer.begin(type).byte(message.format);
    write_formats(writer, message.column_formats);
    writer.end();
}

void append_empty(std::string& out, BackendType type) { Writer{out}.begin(type).end(); }

void append_text_columns(std::string& out, std::initializer_list<std::string_view> names) {
    RowDescription row;
    for (const std::string_view name : names) row.fields.push_back({.name = name});
    append(out, row);
}

}  // namespace turnout::protocol
