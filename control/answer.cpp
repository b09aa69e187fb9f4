#include "control/answer.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cstdint>

namespace turnout::control {
namespace {

namespace json = boost::json;

Cell cell(const json::value& value) {
    if (value.is_null()) return std::nullopt;
    if (value.is_string()) return std::string(value.get_string());
    if (value.is_bool()) return value.get_bool() ? "t" : "f";
    if (value.is_double()) return fmt::format("{:.6g}", value.get_double());
    return json::serialize(value);
}

json::value member(const Cell& cell, ColumnType type) {
    if (!cell) return nullptr;
    switch (type) {
        case ColumnType::boolean: return *cell == "t";
        case ColumnType::bigint: {
            std::int64_t number = 0;
            std::from_chars(cell->data(), cell->data() + cell->size(), number);
            return number;
        }
        case ColumnType::real: {
            double number = 0;
            std::from_chars(cell->data(), cell->data() + cell->size(), number);
            return number;
        }
        case ColumnType::json:
        case ColumnType::text: break;
    }
    return json::string(*cell);
}

/// Columns a terminal needs for UTF-8 text, near enough: its code points.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

void append_padded(std::string& line, std::string_view text, std::size_t to, bool right) {
    const std::string padding(to - std::min(to, width(text)), ' ');
    if (right) line += padding;
    line += text;
    if (!right) line += padding;
}

void finish_line(std::string& text, std::string line) {
    while (line.ends_with(' ')) line.pop_back();
    text += line + "\n";
}

}  // namespace

Answer refusal(std::string_view sqlstate, std::string message, std::string hint, std::string detail) {
    Answer answer;
    answer.exit_status = ExitStatus::refused;
    answer.sqlstate = sqlstate;
    answer.message = std::move(message);
    answer.hint = std::move(hint);
    answer.detail = std::move(detail);
    return answer;
}

std::vector<Column> items_columns() { return {{"item", ColumnType::text}, {"value", ColumnType::text}}; }

Table items_table(const json::object& object) {
    Table table{items_columns(), {}};
    for (const auto& [key, value] : object) table.rows.push_back({std::string(key), cell(value)});
    return table;
}

json::array rows_json(const Table& table) {
    json::array array;
    for (const Row& row : table.rows) {
        json::object object;
        for (std::size_t i = 0; i < table.columns.size(); ++i)
            object[table.columns[i].name] = member(row[i], table.columns[i].type);
        array.push_back(std::move(object));
    }
    return array;
}

Answer table_answer(Table table) {
    Answer answer;
    answer.json = rows_json(table);
    answer.table = std::move(table);
    return answer;
}

Answer object_answer(json::object object, std::string text) {
    Answer answer;
    answer.table = items_table(object);
    answer.text = text.empty() ? items_text(object) : std::move(text);
    answer.json = std::move(object);
    return answer;
}

std::string table_text(const Table& table) {
    constexpr std::string_view kGap = "  ";
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
        widths.push_back(width(table.columns[i].name));
        for (const Row& row : table.rows) widths[i] = std::max(widths[i], width(row[i].value_or("")));
    }
    const auto right = [&table](std::size_t i) {
        return table.columns[i].type == ColumnType::bigint || table.columns[i].type == ColumnType::real;
    };
    std::string text;
    std::string line;
    for (std::size_t i = 0; i < widths.size(); ++i) {
        if (i > 0) line += kGap;
        append_padded(line, table.columns[i].name, widths[i], right(i));
    }
    finish_line(text, std::move(line));
    for (const Row& row : table.rows) {
        line.clear();
        for (std::size_t i = 0; i < widths.size(); ++i) {
            if (i > 0) line += kGap;
            append_padded(line, row[i].value_or(""), widths[i], right(i));
        }
        finish_line(text, std::move(line));
    }
    return text;
}

std::string items_text(const json::object& object) {
    std::size_t longest = 0;
    for (const auto& member : object) longest = std::max(longest, width(member.key()));
    std::string text;
    for (const auto& member : object) {
        std::string line;
        append_padded(line, member.key(), longest + 2, false);
        finish_line(text, line + cell(member.value()).value_or("-"));
    }
    return text;
}

}  // namespace turnout::control
