#include "protocol/recent_statements.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <utility>

#include "protocol/framing.hpp"
#include "protocol/reader.hpp"
#include "protocol/sql_words.hpp"

namespace turnout::protocol {

namespace {

constexpr std::array<std::string_view, 8> planned{"select", "insert", "update", "delete",
                                                  "merge",  "with",   "values", "table"};

bool is_planned(const SqlLexer& lexer) noexcept {
    return std::any_of(planned.begin(), planned.end(), [&](std::string_view word) { return lexer.is(word); });
}

bool is_literal(SqlToken token) noexcept {
    return token == SqlToken::number || token == SqlToken::string || token == SqlToken::parameter;
}

/// One command of a text.
struct Command {
    std::string_view text;  ///< empty: it is not planned
    std::size_t shape = 0;
    bool locks_rows = false;
};

/// Reads the text's commands one by one.
class CommandReader {
  public:
    explicit CommandReader(std::string_view text) noexcept : lexer_(text) {}

    /// False: there is none left.
    bool next(Command& out) {
        SqlToken token = lexer_.next();
        while (token == SqlToken::semicolon) token = lexer_.next();
        if (token == SqlToken::end) return false;
        out = {};
        const char* const begin = lexer_.raw().data();
        const bool wanted = token == SqlToken::word && is_planned(lexer_);
        SqlLexer before{{}};
        for (; token != SqlToken::end && token != SqlToken::semicolon; token = lexer_.next()) {
            if (!wanted) continue;
            add(token, before, out);
            out.text = {begin, static_cast<std::size_t>(lexer_.raw().data() - begin) + lexer_.raw().size()};
            before = lexer_;
        }
        return true;
    }

  private:
    void add(SqlToken token, const SqlLexer& before, Command& out) const {
        constexpr std::size_t spread = 0x9e3779b97f4a7c15U;  // the golden ratio's digits
        const std::size_t one =
            is_literal(token) ? static_cast<std::size_t>(token) : std::hash<std::string_view>{}(lexer_.raw());
        out.shape ^= one + spread + (out.shape << 6U) + (out.shape >> 2U);
        if (token != SqlToken::word || !before.is("for")) return;
        for (const std::string_view word : {"update", "no", "share", "key"}) out.locks_rows |= lexer_.is(word);
    }

    SqlLexer lexer_;
};

std::string_view text_of(std::string_view parse) noexcept {
    if (parse.empty()) return {};
    parse.remove_prefix(1);
    return parse.substr(0, parse.find('\0'));
}

std::string_view in_book(const StatementBook& book, std::string_view name) noexcept {
    const LiveStatement* statement = book.find(name);
    return statement == nullptr ? std::string_view() : parse_behind_name(statement->parse);
}

}  // namespace

std::string_view parse_behind_name(std::string_view body) noexcept {
    const std::size_t end = body.find('\0');
    return end == std::string_view::npos ? std::string_view() : body.substr(end);
}

void RecentStatements::note(std::string_view messages, const StatementBook& book) {
    FrameScanner scanner(Stream::frontend);
    std::string_view unnamed = in_book(book, "");
    while (!messages.empty() && used_.size() < most) {
        const Frame frame = scanner.next(messages);
        if (frame.state != FrameState::whole) return;
        messages.remove_prefix(frame.size);
        const auto type = static_cast<FrontendType>(frame.type);
        if (type == FrontendType::query) {
            note_query(frame.body.substr(0, frame.body.find('\0')));
        } else if (type == FrontendType::parse && frame.body.starts_with('\0')) {
            unnamed = frame.body;
        } else if (type == FrontendType::bind) {
            note_bind(frame.body, unnamed, book);
        }
    }
}

void RecentStatements::clear() noexcept {
    std::vector<UsedStatement>().swap(used_);
    std::vector<std::size_t>().swap(shapes_);
    bytes_ = 0;
}

void RecentStatements::note_query(std::string_view text) {
    constexpr std::size_t no_types = sizeof(std::int16_t);
    constexpr std::size_t no_values = 3 * sizeof(std::int16_t);
    if (text.size() > most_bytes) return;
    CommandReader commands(text);
    for (Command command; commands.next(command);) {
        if (command.text.empty() || !has_room(command.text.size(), command.shape)) continue;
        UsedStatement statement;
        statement.parse.append(1, '\0').append(command.text).append(1 + no_types, '\0');
        statement.values.assign(no_values, '\0');
        statement.locks_rows = command.locks_rows;
        keep(std::move(statement), command.shape);
    }
}

void RecentStatements::note_bind(std::string_view body, std::string_view unnamed, const StatementBook& book) {
    Reader reader{body};
    (void)reader.string();
    const std::string_view name = reader.string();
    if (!reader.ok()) return;
    const auto known = [&](const UsedStatement& statement) { return statement.name == name; };
    if (!name.empty() && std::any_of(used_.begin(), used_.end(), known)) return;
    const std::string_view parse = name.empty() ? unnamed : in_book(book, name);
    const std::string_view text = text_of(parse);
    Command command;
    if (text.size() > most_bytes || !CommandReader(text).next(command) || command.text.empty()) return;
    if (!name.empty()) command.shape ^= std::hash<std::string_view>{}(name);
    const std::string_view values = reader.rest();
    if (!has_room(name.size() + values.size() + (name.empty() ? parse.size() : 0), command.shape)) return;
    keep({std::string(name), std::string(name.empty() ? parse : ""), std::string(values), command.locks_rows},
         command.shape);
}

bool RecentStatements::has_room(std::size_t size, std::size_t shape) const noexcept {
    return used_.size() < most && bytes_ + size <= most_bytes &&
           std::find(shapes_.begin(), shapes_.end(), shape) == shapes_.end();
}

void RecentStatements::keep(UsedStatement statement, std::size_t shape) {
    bytes_ += statement.name.size() + statement.parse.size() + statement.values.size();
    used_.push_back(std::move(statement));
    shapes_.push_back(shape);
}

}  // namespace turnout::protocol
