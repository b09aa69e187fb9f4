#include "protocol/sql_words.hpp"

#include <algorithm>
#include <charconv>

namespace turnout::protocol {

namespace {

std::string lower_case(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return text;
}

bool starts_with(const SqlLexer& lexer, std::string_view lower_prefix) noexcept {
    return lexer.content().size() >= lower_prefix.size() &&
           std::equal(lower_prefix.begin(), lower_prefix.end(), lexer.content().begin(), [](char a, char b) {
               return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
           });
}

struct WordMeaning {
    std::string_view word;
    Change change;
};

constexpr Change everything_discarded = Change::settings | Change::role | Change::deallocate | Change::listen |
                                        Change::temporary_object | Change::advisory_lock | Change::holdable_cursor |
                                        Change::sequence_use;

/// Commands whose first word says it all.
constexpr WordMeaning first_words[] = {
    {"alter", Change::ddl},
    {"call", Change::code},
    {"close", Change::holdable_cursor},
    {"comment", Change::ddl},
    {"create", Change::ddl},
    {"deallocate", Change::deallocate},
    {"do", Change::code},
    {"drop", Change::ddl},
    {"execute", Change::code},
    {"grant", Change::ddl},
    {"import", Change::ddl},
    {"listen", Change::listen},
    {"load", Change::opaque},
    {"reassign", Change::ddl},
    {"revoke", Change::ddl},
    {"savepoint", Change::savepoint},
    {"security", Change::ddl},
    {"unlisten", Change::listen},
};

/// Functions by their names' beginnings, wherever they stand, also within strings that somebody may execute.
constexpr WordMeaning functions[] = {
    {"pg_advisory", Change::advisory_lock},
    {"pg_try_advisory", Change::advisory_lock},
    {"pg_temp", Change::temporary_object},
    {"currval", Change::opaque},
    {"lastval", Change::opaque},
    {"setseed", Change::opaque},
    {"dblink", Change::opaque},
    {"nextval", Change::sequence_use},
    {"setval", Change::sequence_use},
};

/// What makes later texts do more than they say, in a command that changes the schema.
constexpr std::string_view definitions[] = {"function", "procedure", "routine", "trigger",   "rule",     "policy",
                                            "view",     "extension", "default", "generated", "check",    "aggregate",
                                            "operator", "event",     "cast",    "domain",    "language", "schema"};

bool is_word(SqlToken token) noexcept { return token == SqlToken::word || token == SqlToken::identifier; }

/// Reads one text. Lexers are small and passed by value: a copy looks ahead without moving the original.
class TextReader {
  public:
    TextReader(SqlReading& out, bool conforming) : out_(out), conforming_(conforming) {}

    /// The text of a Query or a Parse.
    void read(std::string_view text);

  private:
    void add(Change change) noexcept { out_.changes |= change; }
    void begin_command(const SqlLexer& lexer);
    void note_first_word(SqlLexer lexer);
    void note_set(SqlLexer lexer);
    void note_reset(SqlLexer lexer);
    void note_end_of_transaction(SqlLexer lexer);
    void note_word(const SqlLexer& lexer);
    void note_pair(const SqlLexer& before, const SqlLexer& lexer);
    void note_functions(std::string_view text);
    void note_set_config(SqlLexer lexer);
    void note_name(SqlLexer lexer);
    void add_setting(std::string name);
    void read_code(std::string text);

    SqlReading& out_;
    bool conforming_;
    bool defines_ = false;    // the command began with CREATE or ALTER
    bool runs_code_ = false;  // the command began with DO
};

void TextReader::add_setting(std::string name) {
    name = lower_case(std::move(name));
    if (name == "role" || name == "session_authorization") add(Change::role);
    if (name == "seed") add(Change::opaque);
    if (std::find(out_.setting_names.begin(), out_.setting_names.end(), name) == out_.setting_names.end()) {
        out_.setting_names.push_back(std::move(name));
    }
}

/// The lexer stands on the first part of a setting's name.
void TextReader::note_name(SqlLexer lexer) {
    if (lexer.escaped()) add(Change::unseen);
    std::string name = lexer.lower();
    while (lexer.next() == SqlToken::symbol && lexer.raw() == "." && is_word(lexer.next())) name += '.' + lexer.lower();
    add_setting(std::move(name));
}

void TextReader::note_set(SqlLexer lexer) {
    lexer.next();
    if (lexer.is("local")) {
        // It ends with its transaction, but a custom setting then reads '' where it read NULL before.
        lexer.next();
        for (const std::string_view word : {"session", "role", "transaction", "time", "xml"}) {
            if (lexer.is(word)) return;
        }
        return note_name(lexer);
    }
    if (lexer.is("session")) {
        lexer.next();
        if (lexer.is("characteristics")) return add(Change::settings);
        if (lexer.is("session")) lexer.next();
        if (lexer.is("authorization")) return add(Change::role);
    }
    if (lexer.is("transaction")) return add(Change::transaction_mode);
    if (lexer.is("constraints")) return;
    add(Change::settings);
    if (lexer.is("time")) return add_setting("timezone");
    if (lexer.is("names")) return add_setting("client_encoding");
    if (lexer.is("schema")) return add_setting("search_path");
    if (lexer.is("xml")) return add_setting("xmloption");
    note_name(lexer);
}

void TextReader::note_reset(SqlLexer lexer) {
    add(Change::settings);
    lexer.next();
    if (lexer.is("all") || lexer.is("transaction")) return;
    if (lexer.is("session")) return add(Change::role);
    if (lexer.is("time")) return add_setting("timezone");
    note_name(lexer);
}

void TextReader::note_end_of_transaction(SqlLexer lexer) {
    lexer.next();
    if (lexer.is("prepared")) add(Change::prepared_transaction);
}

void TextReader::note_first_word(SqlLexer lexer) {
    for (const WordMeaning& meaning : first_words) {
        if (lexer.is(meaning.word)) return add(meaning.change);
    }
    if (lexer.is("set")) return note_set(lexer);
    if (lexer.is("reset")) return note_reset(lexer);
    if (lexer.is("commit") || lexer.is("rollback")) return note_end_of_transaction(lexer);
    const bool prepare = lexer.is("prepare");
    if (!prepare && !lexer.is("discard")) return;
    lexer.next();
    if (prepare) return add(lexer.is("transaction") ? Change::prepared_transaction : Change::sql_prepare);
    if (lexer.is("all")) add(everything_discarded);
    if (lexer.is("temp") || lexer.is("temporary")) add(Change::temporary_object);
    if (lexer.is("sequences")) add(Change::sequence_use);
}

void TextReader::note_set_config(SqlLexer lexer) {
    add(Change::settings);
    if (lexer.next() != SqlToken::symbol || lexer.raw() != "(") return;
    const SqlToken argument = lexer.next();
    const SqlLexer name = lexer;
    const SqlToken behind = lexer.next();
    const bool alone = behind == SqlToken::symbol && (lexer.raw() == "," || lexer.raw() == ":");
    if (argument == SqlToken::string && alone && !name.escaped()) {
        add_setting(name.lower());
    } else if (argument == SqlToken::parameter && alone) {
        std::uint16_t number = 0;
        const std::string_view digits = name.content();
        std::from_chars(digits.data(), digits.data() + digits.size(), number);
        out_.setting_parameters.push_back(number);
    } else {
        add(Change::unseen);  // a name that is computed
    }
}

/// A string may be executed by somebody (query_to_xml): function names in it count.
void TextReader::note_functions(std::string_view text) {
    SqlLexer lexer{text, conforming_};
    for (SqlToken token = lexer.next(); token != SqlToken::end; token = lexer.next()) {
        if (is_word(token)) note_word(lexer);
    }
}

void TextReader::note_word(const SqlLexer& lexer) {
    if (lexer.escaped()) add(Change::unseen);
    if (lexer.is("set_config")) return note_set_config(lexer);
    for (const WordMeaning& meaning : functions) {
        if (starts_with(lexer, meaning.word)) add(meaning.change);
    }
    if (!defines_) return;
    for (const std::string_view word : definitions) {
        if (lexer.is(word)) add(Change::function_definition);
    }
}

/// Meanings that a word has by the one before it.
void TextReader::note_pair(const SqlLexer& before, const SqlLexer& lexer) {
    if (lexer.is("temp") || lexer.is("temporary")) {
        for (const std::string_view opening : {"create", "replace", "local", "global", "into"}) {
            if (before.is(opening)) add(Change::temporary_object);
        }
    } else if (lexer.is("hold")) {
        if (before.is("with")) add(Change::holdable_cursor);
    } else if (lexer.is("chain")) {
        if (before.is("and")) add(Change::chain);
    } else if (lexer.is("into")) {
        if (!before.is("insert") && !before.is("merge")) add(Change::ddl);  // SELECT … INTO makes a table
    } else if (lexer.is("execute")) {
        add(Change::code);  // EXPLAIN ANALYZE EXECUTE, CREATE TABLE AS EXECUTE
    } else if (lexer.is("create")) {
        add(Change::ddl);  // EXPLAIN ANALYZE CREATE TABLE AS
    }
}

/// Code in quotes, which may hold more code in quotes: every word, in whatever quotes, may be a command's first.
void TextReader::read_code(std::string text) {
    // Neither dollar quotes nor what looks like a comment (it may stand in a string) may hide anything.
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '$' || c == '-' || c == '*'; }, ' ');
    const std::string_view code = text;
    SqlLexer before{{}};
    for (std::size_t at = 0; at < code.size();) {
        SqlLexer lexer{code.substr(at), conforming_};
        if (lexer.next() == SqlToken::word) {
            note_first_word(lexer);
            note_word(lexer);
            note_pair(before, lexer);
            before = lexer;
        } else if (lexer.escaped()) {
            add(Change::unseen);
        }
        const auto behind = static_cast<std::size_t>(lexer.raw().data() - code.data()) + lexer.raw().size();
        const bool quoted = !lexer.raw().empty() && lexer.raw() != lexer.content();
        at = quoted ? static_cast<std::size_t>(lexer.content().data() - code.data()) : behind;
    }
}

void TextReader::begin_command(const SqlLexer& lexer) {
    ++out_.commands;
    if (out_.commands == 1) out_.first_word = lower_case(std::string{lexer.raw()});
    defines_ = lexer.is("create") || lexer.is("alter");
    runs_code_ = lexer.is("do");
    note_first_word(lexer);
}

void TextReader::read(std::string_view text) {
    SqlLexer lexer{text, conforming_};
    SqlLexer before{{}};
    bool at_start = true;
    for (SqlToken token = lexer.next(); token != SqlToken::end; token = lexer.next()) {
        if (token == SqlToken::semicolon) {
            at_start = true;
        } else {
            if (at_start) begin_command(lexer);
            at_start = false;
            if (is_word(token)) {
                note_word(lexer);
                note_pair(before, lexer);
            } else if (token == SqlToken::string && runs_code_) {
                if (lexer.escaped()) add(Change::unseen);
                read_code(std::string{lexer.content()});
            } else if (token == SqlToken::string) {
                note_functions(lexer.content());
            }
        }
        before = lexer;
    }
    if (has(out_.changes, Change::sql_prepare) && out_.commands > 1) add(Change::prepare_among_others);
}

/// Commands by the beginnings of their tags. Longer beginnings come first.
constexpr WordMeaning tags[] = {
    {"SET CONSTRAINTS", Change::none},
    {"SET", Change::settings | Change::role},
    {"RESET", Change::settings | Change::role},
    {"DISCARD ALL", everything_discarded},
    {"DISCARD TEMP", Change::temporary_object},
    {"DISCARD SEQUENCES", Change::sequence_use},
    {"DISCARD", Change::none},
    {"DEALLOCATE", Change::deallocate},
    {"PREPARE TRANSACTION", Change::prepared_transaction},
    {"COMMIT PREPARED", Change::prepared_transaction},
    {"ROLLBACK PREPARED", Change::prepared_transaction},
    {"PREPARE", Change::sql_prepare},
    {"LISTEN", Change::listen},
    {"UNLISTEN", Change::listen},
    {"LOAD", Change::opaque},
    {"SAVEPOINT", Change::savepoint},
    {"DO", Change::code},
    {"CALL", Change::code},
    {"CREATE FUNCTION", Change::ddl | Change::function_definition},
    {"CREATE PROCEDURE", Change::ddl | Change::function_definition},
    {"CREATE", Change::ddl},
    {"ALTER FUNCTION", Change::ddl | Change::function_definition},
    {"ALTER PROCEDURE", Change::ddl | Change::function_definition},
    {"ALTER ROUTINE", Change::ddl | Change::function_definition},
    {"ALTER", Change::ddl},
    {"DROP", Change::ddl},
    {"COMMENT", Change::ddl},
    {"GRANT", Change::ddl},
    {"REVOKE", Change::ddl},
    {"REASSIGN", Change::ddl},
    {"SECURITY LABEL", Change::ddl},
    {"IMPORT FOREIGN SCHEMA", Change::ddl},
};

}  // namespace

SqlReading what_it_may_change(std::string_view text, SqlReadingOptions options) {
    SqlReading reading;
    if (!options.whole) reading.changes |= Change::unseen;
    TextReader{reading, options.standard_conforming_strings}.read(text);
    return reading;
}

Change what_tag_tells(std::string_view tag) noexcept {
    // Nearly all tags, which would be compared with the whole table for nothing.
    const auto is = [tag](std::string_view usual) { return tag.starts_with(usual); };
    if (is("SELECT ") || is("INSERT ") || is("UPDATE ") || is("DELETE ")) return Change::none;
    for (const WordMeaning& meaning : tags) {
        if (!tag.starts_with(meaning.word)) continue;
        const std::string_view behind = tag.substr(meaning.word.size());
        if (behind.empty() || behind.front() == ' ') return meaning.change;
    }
    return Change::none;
}

std::string first_word(std::string_view text) {
    SqlLexer lexer{text};
    while (lexer.next() == SqlToken::semicolon) continue;
    return lower_case(std::string{lexer.raw()});
}

}  // namespace turnout::protocol
