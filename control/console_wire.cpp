#include "control/console_wire.hpp"

#include <bit>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cstddef>

#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"

namespace turnout::control {
namespace {

struct WireType {
    std::uint32_t oid;
    std::int16_t size;
};

/// OIDs of pg_type that every server and driver knows.
WireType wire_type(ColumnType type) {
    switch (type) {
        case ColumnType::boolean: return {16, 1};
        case ColumnType::bigint: return {20, 8};
        case ColumnType::real: return {701, 8};
        case ColumnType::json: return {114, -1};
        case ColumnType::text: break;
    }
    return {25, -1};
}

std::int16_t format_of(const ResultFormats& formats, std::size_t column) {
    if (formats.empty()) return 0;
    if (formats.size() == 1) return formats.front();
    return column < formats.size() ? formats[column] : std::int16_t{0};
}

std::string network_order(std::uint64_t bits) {
    std::string bytes(8, '\0');
    for (int i = 7; i >= 0; --i, bits >>= 8U) bytes[static_cast<std::size_t>(i)] = static_cast<char>(bits & 0xFFU);
    return bytes;
}

template <class Number>
Number number(const std::string& text) {
    Number value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::string binary(const std::string& text, ColumnType type) {
    switch (type) {
        case ColumnType::boolean: return {text == "t" ? '\1' : '\0'};
        case ColumnType::bigint: return network_order(static_cast<std::uint64_t>(number<std::int64_t>(text)));
        case ColumnType::real: return network_order(std::bit_cast<std::uint64_t>(number<double>(text)));
        case ColumnType::json:
        case ColumnType::text: break;
    }
    return text;
}

}  // namespace

void append_columns(std::string& out, std::span<const Column> columns, const ResultFormats& formats) {
    protocol::RowDescription description;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        const WireType type = wire_type(columns[i].type);
        description.fields.push_back(
            {.name = columns[i].name, .type = type.oid, .type_size = type.size, .format = format_of(formats, i)});
    }
    append(out, description);
}

void append_row(std::string& out, std::span<const Column> columns, const Row& row, const ResultFormats& formats) {
    std::vector<std::string> converted(columns.size());
    protocol::DataRow message;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (i >= row.size() || !row[i]) {
            message.values.emplace_back(std::nullopt);
        } else if (format_of(formats, i) == 1) {
            converted[i] = binary(*row[i], columns[i].type);
            message.values.emplace_back(converted[i]);
        } else {
            message.values.emplace_back(*row[i]);
        }
    }
    append(out, message);
}

std::vector<Row> rows_of(const Command& command, const Answer& answer) {
    switch (command.form) {
        case Form::json: return {{boost::json::serialize(answer.json)}};
        case Form::text: return {{answer.text.empty() ? table_text(answer.table) : answer.text}};
        case Form::rows: break;
    }
    return answer.table.rows;
}

void append_failure(std::string& out, const Command& command, const Answer& answer) {
    const std::string report =
        command.form == Form::json && !answer.json.is_null() ? boost::json::serialize(answer.json) : answer.detail;
    append(out, protocol::ErrorReport{.severity = protocol::Severity::error,
                                      .sqlstate = answer.sqlstate,
                                      .message = answer.message,
                                      .detail = report,
                                      .hint = answer.hint});
}

void append_notice(std::string& out, std::string_view line) {
    append(out, protocol::ErrorReport{.severity = protocol::Severity::notice, .sqlstate = "00000", .message = line});
}

}  // namespace turnout::control
