#include "protocol/frontend_messages.hpp"

#include "protocol/message.hpp"
#include "protocol/value_list.hpp"
#include "protocol/writer.hpp"

namespace turnout::protocol {

namespace {

Target read_target(Reader& reader) noexcept {
    const char target = reader.byte();
    if (reader.ok() && target != 'S' && target != 'P') reader.fail("the target is neither a statement nor a portal");
    return static_cast<Target>(target);
}

void append_empty(std::string& out, FrontendType type) { Writer{out}.begin(type).end(); }

}  // namespace

std::int16_t Bind::format_of(std::size_t index) const noexcept {
    if (parameter_formats.empty()) return 0;
    if (parameter_formats.size() == 1) return parameter_formats.front();
    return index < parameter_formats.size() ? parameter_formats[index] : std::int16_t{0};
}

WireError parse(std::string_view body, Query& out) {
    Reader reader{body};
    out.text = reader.string();
    return reader.finish();
}

WireError parse(std::string_view body, Parse& out) {
    Reader reader{body};
    out.statement = reader.string();
    out.query = reader.string();
    out.parameter_types.clear();
    const std::uint16_t count = reader.uint16();
    for (std::uint16_t i = 0; i < count && reader.ok(); ++i) out.parameter_types.push_back(reader.uint32());
    return reader.finish();
}

WireError parse(std::string_view body, Bind& out) {
    Reader reader{body};
    out.portal = reader.string();
    out.statement = reader.string();
    read_formats(reader, out.parameter_formats);
    read_values(reader, out.parameters);
    read_formats(reader, out.result_formats);
    return reader.finish();
}

WireError parse(std::string_view body, Describe& out) {
    Reader reader{body};
    out.target = read_target(reader);
    out.name = reader.string();
    return reader.finish();
}

WireError parse(std::string_view body, Close& out) {
    Reader reader{body};
    out.target = read_target(reader);
    out.name = reader.string();
    return reader.finish();
}

WireError parse(std::string_view body, Execute& out) {
    Reader reader{body};
    out.portal = reader.string();
    out.max_rows = reader.int32();
    return reader.finish();
}

WireError parse(std::string_view body, FunctionCall& out) {
    Reader reader{body};
    out.function = reader.uint32();
    read_formats(reader, out.argument_formats);
    read_values(reader, out.arguments);
    out.result_format = reader.int16();
    return reader.finish();
}

WireError parse(std::string_view body, CopyFail& out) {
    Reader reader{body};
    out.message = reader.string();
    return reader.finish();
}

WireError parse(std::string_view body, PasswordMessage& out) {
    Reader reader{body};
    out.password = reader.string();
    return reader.finish();
}

WireError parse(std::string_view body, SASLInitialResponse& out) {
    Reader reader{body};
    out.mechanism = reader.string();
    const std::int32_t size = reader.int32();
    out.data.reset();
    if (size < -1) reader.fail("the first SASL message has a negative length");
    if (size >= 0) out.data = reader.bytes(static_cast<std::size_t>(size));
    return reader.finish();
}

WireError parse(std::string_view body, SASLResponse& out) {
    out.data = body;
    return {};
}

void append(std::string& out, const Query& message) {
    Writer{out}.begin(FrontendType::query).string(message.text).end();
}

void append(std::string& out, const Parse& message) {
    Writer writer{out};
    writer.begin(FrontendType::parse).string(message.statement).string(message.query);
    writer.count(message.parameter_types.size());
    for (const std::uint32_t type : message.parameter_types) writer.uint32(type);
    writer.end();
}

void append(std::string& out, const Bind& message) {
    Writer writer{out};
    writer.begin(FrontendType::bind).string(message.portal).string(message.statement);
    write_formats(writer, message.parameter_formats);
    write_values(writer, message.parameters);
    write_formats(writer, message.result_formats);
    writer.end();
}

void append(std::string& out, const Describe& message) {
    Writer{out}.begin(FrontendType::describe).byte(static_cast<char>(message.target)).string(message.name).end();
}

void append(std::string& out, const Close& message) {
    Writer{out}.begin(FrontendType::close).byte(static_cast<char>(message.target)).string(message.name).end();
}

void append(std::string& out, const Execute& message) {
    Writer{out}.begin(FrontendType::execute).string(message.portal).int32(message.max_rows).end();
}

void append(std::string& out, const FunctionCall& message) {
    Writer writer{out};
    writer.begin(FrontendType::function_call).uint32(message.function);
    write_formats(writer, message.argument_formats);
    write_values(writer, message.arguments);
    writer.int16(message.result_format).end();
}

void append(std::string& out, const CopyFail& message) {
    Writer{out}.begin(FrontendType::copy_fail).string(message.message).end();
}

void append(std::string& out, const PasswordMessage& message) {
    Writer{out}.begin(FrontendType::password).string(message.password).end();
}

void append(std::string& out, const SASLInitialResponse& message) {
    Writer writer{out};
    writer.begin(FrontendType::password).string(message.mechanism);
    writer.int32(message.data ? static_cast<std::int32_t>(message.data->size()) : -1);
    if (message.data) writer.bytes(*message.data);
    writer.end();
}

void append(std::string& out, const SASLResponse& message) {
    Writer{out}.begin(FrontendType::password).bytes(message.data).end();
}

void append_sync(std::string& out) { append_empty(out, FrontendType::sync); }
void append_flush(std::string& out) { append_empty(out, FrontendType::flush); }
void append_terminate(std::string& out) { append_empty(out, FrontendType::terminate); }
void append_copy_done(std::string& out) { append_empty(out, FrontendType::copy_done); }

}  // namespace turnout::protocol
