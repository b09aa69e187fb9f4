/// \file
/// A reading of SQL that is just good enough to know what a text may leave behind in a session. It errs on the safe
/// side: it may name more than there is, never less than the visible text says. What hides in functions it cannot see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::protocol {

/// Kinds of SQL tokens.
enum class SqlToken : std::uint8_t {
    word,        ///< a keyword or an unquoted identifier
    identifier,  ///< a quoted identifier, with or without U&
    string,      ///< '...', E'...', U&'...', B'...', X'...', N'...', $tag$...$tag$
    number,
    parameter,  ///< $1
    symbol,     ///< one character
    semicolon,
    end,
};

/// Splits SQL text into tokens; comments (nested ones too) and blanks are skipped. An unterminated string, identifier
/// or comment reaches to the end. Allocates only for lower().
class SqlLexer {
  public:
    /// `standard_conforming_strings` as the server reports it; if off, backslashes escape in plain strings too.
    explicit SqlLexer(std::string_view text, bool standard_conforming_strings = true) noexcept
        : text_(text), conforming_(standard_conforming_strings) {}

    /// Steps to the next token.
    SqlToken next() noexcept;
    /// The token's text as written, quotes included.
    [[nodiscard]] std::string_view raw() const noexcept { return text_.substr(begin_, at_ - begin_); }
    /// What lies between the quotes or dollar tags, as written (doubled quotes and escapes are not undone); raw() for
    /// others.
    [[nodiscard]] std::string_view content() const noexcept { return content_; }
    /// Whether the current token is this word, in any case. `lower` must be lower case.
    [[nodiscard]] bool is(std::string_view lower) const noexcept;
    /// A word in lower case; a quoted identifier with its doubled quotes undone.
    [[nodiscard]] std::string lower() const;
    /// Whether the token is a U& identifier, or a string with escapes: its content needs decoding.
    [[nodiscard]] bool escaped() const noexcept { return escaped_; }

  private:
    void skip_blanks() noexcept;
    SqlToken quoted(char quote, bool backslashes, SqlToken token) noexcept;
    SqlToken dollar() noexcept;
    SqlToken word() noexcept;
    SqlToken number() noexcept;

    std::string_view text_;
    std::string_view content_;
    std::size_t at_ = 0;
    std::size_t begin_ = 0;
    SqlToken token_ = SqlToken::end;
    bool conforming_;
    bool escaped_ = false;
};

/// What a text may leave behind. A set of flags.
enum class Change : std::uint32_t {
    none = 0,
    settings = 1U << 0U,               ///< SET, RESET, set_config, DISCARD ALL (not SET LOCAL)
    role = 1U << 1U,                   ///< SET ROLE, SET SESSION AUTHORIZATION and their RESET (not SET LOCAL)
    sql_prepare = 1U << 2U,            ///< PREPARE name AS
    prepare_among_others = 1U << 3U,   ///< PREPARE in a text of several commands: cannot be replayed
    deallocate = 1U << 4U,             ///< DEALLOCATE, DISCARD ALL
    listen = 1U << 5U,                 ///< LISTEN, UNLISTEN
    advisory_lock = 1U << 6U,          ///< pg_advisory_lock and relatives (session or transaction)
    temporary_object = 1U << 7U,       ///< TEMP, TEMPORARY, pg_temp, DISCARD TEMP
    holdable_cursor = 1U << 8U,        ///< WITH HOLD, CLOSE
    opaque = 1U << 9U,                 ///< state that no view shows: currval, lastval, setseed, LOAD, dblink
    ddl = 1U << 10U,                   ///< changes the schema or rights
    prepared_transaction = 1U << 11U,  ///< PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED
    savepoint = 1U << 12U,             ///< SAVEPOINT
    function_definition = 1U << 13U,  ///< CREATE/ALTER FUNCTION, PROCEDURE, ROUTINE, TRIGGER, RULE, POLICY: later texts
                                      ///< may do what they do not say
    code = 1U << 14U,                 ///< DO, CALL, EXECUTE: runs code kept elsewhere (DO's body is read too)
    chain = 1U << 15U,                ///< COMMIT or ROLLBACK AND CHAIN
    transaction_mode = 1U << 16U,     ///< SET TRANSACTION
    sequence_use = 1U << 17U,         ///< nextval, setval: what currval would tell afterwards
    unseen =
        1U << 18U,  ///< part of the text was not there to be read, is written in escapes, or computes a setting's name
};

[[nodiscard]] constexpr Change operator|(Change a, Change b) noexcept {
    return static_cast<Change>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
[[nodiscard]] constexpr Change operator&(Change a, Change b) noexcept {
    return static_cast<Change>(static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b));
}
constexpr Change& operator|=(Change& a, Change b) noexcept { return a = a | b; }
/// Whether any of `wanted` is in `changes`.
[[nodiscard]] constexpr bool has(Change changes, Change wanted) noexcept { return (changes & wanted) != Change::none; }

/// What was read in a text.
struct SqlReading {
    Change changes = Change::none;
    std::size_t commands = 0;  ///< commands in the text; empty ones do not count
    std::string first_word;    ///< lower case; empty if the text has no command
    std::vector<std::string>
        setting_names;  ///< lower case: every name in SET, RESET and set_config('…'), SET LOCAL included
    std::vector<std::uint16_t> setting_parameters;  ///< n of each set_config($n, …): the name comes with Bind
};

/// How to read a text.
struct SqlReadingOptions {
    bool whole = true;                        ///< false if the text was cut: sets Change::unseen
    bool standard_conforming_strings = true;  ///< as the server reports it
};

/// Reads a Query's or a Parse's text.
[[nodiscard]] SqlReading what_it_may_change(std::string_view text, SqlReadingOptions options = {});

/// What a CommandComplete's tag tells.
[[nodiscard]] Change what_tag_tells(std::string_view tag) noexcept;

/// The first word of a text in lower case, and nothing else; allocates only for a long word.
[[nodiscard]] std::string first_word(std::string_view text);

}  // namespace turnout::protocol
