// What a client is taken to use: what another server is then made to plan.
#include "protocol/recent_statements.hpp"

#include <gtest/gtest.h>

#include "protocol/frontend_messages.hpp"
#include "tests/protocol/named.hpp"

namespace turnout::test {
namespace {

using namespace protocol;

std::string query(std::string_view text) {
    std::string out;
    append(out, Query{text});
    return out;
}

std::string parse_of(std::string_view name, std::string_view text) {
    std::string out;
    append(out, Parse{name, text, {}});
    return out;
}

std::string bind_of(std::string_view name, std::vector<std::optional<std::string_view>> values = {}) {
    std::string out;
    append(out, Bind{"", name, {}, std::move(values), {}});
    return out;
}

/// A book that knows these statements.
StatementBook book_of(std::initializer_list<std::pair<std::string_view, std::string_view>> statements) {
    StatementBook book;
    std::uint64_t position = 0;
    for (const auto& [name, text] : statements) {
        const std::string message = parse_of(name, text);
        book.on_frontend(FrontendType::parse, std::string_view(message).substr(header_size), true, ++position);
        book.on_reply({.to = ReplyTo::parse, .last = true, .position = position}, BackendType::parse_complete, {},
                      true);
    }
    return book;
}

/// Names of prepared statements in angle brackets and texts of others, one behind the other; `!`: it locks rows.
std::string told(const RecentStatements& recent) {
    std::string out;
    for (const UsedStatement& statement : recent.all()) {
        if (!out.empty()) out += " | ";
        const std::string body = "x" + statement.parse;
        Parse parse;
        if (!statement.name.empty()) {
            out += '<' + statement.name + '>';
        } else {
            EXPECT_FALSE(protocol::parse(body, parse)) << "what is kept is a Parse without its name";
            out += parse.query;
        }
        if (statement.locks_rows) out += '!';
    }
    return out;
}

struct Case {
    const char* name;
    std::string messages;
    const char* noted;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Recent : public testing::TestWithParam<Case> {};

TEST_P(Recent, StatementsAreNoted) {
    const StatementBook book =
        book_of({{"", "SELECT 'earlier'"}, {"named", "UPDATE t SET n = $1"}, {"begin", "BEGIN"}});
    RecentStatements recent;
    recent.note(GetParam().messages, book);
    EXPECT_EQ(told(recent), GetParam().noted);
}

const Case cases[] = {
    {"query", query("UPDATE t SET n = 1"), "UPDATE t SET n = 1"},
    {"in_any_case", query(" /* it */ sElEcT 1 -- so\n"), "sElEcT 1"},
    {"each_planned_kind",
     query("INSERT INTO t VALUES (1)") + query("DELETE FROM t") + query("WITH a AS (SELECT 1) SELECT * FROM a") +
         query("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE") + query("VALUES (1)") + query("TABLE t"),
     "INSERT INTO t VALUES (1) | DELETE FROM t | WITH a AS (SELECT 1) SELECT * FROM a | MERGE INTO t USING s ON true "
     "WHEN MATCHED THEN DELETE | VALUES (1) | TABLE t"},
    {"utilities_are_not_planned", query("BEGIN") + query("SET x.y = 'SELECT 1'") + query("VACUUM t") + query(""), ""},
    {"commands_of_one_query", query("BEGIN; SELECT ';'; COMMIT;; DELETE FROM t"), "SELECT ';' | DELETE FROM t"},
    {"different_values_are_one_statement",
     query("SELECT * FROM t WHERE a = 1 AND b = 'x'") + query("SELECT * FROM t WHERE a = 22 AND b = $$y$$"),
     "SELECT * FROM t WHERE a = 1 AND b = 'x'"},
    {"different_names_are_two", query("SELECT a FROM t") + query("SELECT b FROM t"),
     "SELECT a FROM t | SELECT b FROM t"},
    {"unnamed", parse_of("", "SELECT $1::int") + bind_of("", {"1"}), "SELECT $1::int"},
    {"unnamed_that_is_not_bound", parse_of("", "SELECT 1"), ""},
    {"unnamed_of_earlier", bind_of(""), "SELECT 'earlier'"},
    {"unnamed_utility", parse_of("", "COMMIT") + bind_of(""), ""},
    {"named_once", bind_of("named", {"1"}) + bind_of("named", {"2"}), "<named>"},
    {"named_utility", bind_of("begin"), ""},
    {"named_that_is_not_known", parse_of("new", "SELECT 1") + bind_of("new"), ""},
    {"row_locks",
     query("SELECT n FROM t FOR UPDATE") + query("SELECT n FROM t FOR NO KEY UPDATE SKIP LOCKED") +
         query("select m from t for share") + query("SELECT update FROM t"),
     "SELECT n FROM t FOR UPDATE! | SELECT n FROM t FOR NO KEY UPDATE SKIP LOCKED! | select m from t for share! | "
     "SELECT update FROM t"},
    {"what_is_cut_off", query("SELECT 1") + query("SELECT a").substr(0, 8), "SELECT 1"},
    {"unterminated_texts", query("SELECT 'a") + query("SELECT /* b"), "SELECT 'a | SELECT"},
};
INSTANTIATE_TEST_SUITE_P(Messages, Recent, testing::ValuesIn(cases), name_of);

TEST(RecentStatements, KeepsTheValuesOfOneUse) {
    RecentStatements recent;
    recent.note(bind_of("named", {"7", std::nullopt}), book_of({{"named", "UPDATE t SET n = $1, m = $2"}}));
    const std::string body = std::string(2, '\0') + recent.all().at(0).values;
    Bind bind;
    ASSERT_FALSE(parse(body, bind));
    EXPECT_EQ(bind.parameters, (std::vector<std::optional<std::string_view>>{"7", std::nullopt}));
}

TEST(RecentStatements, AreBoundedInNumberAndSize) {
    const StatementBook none;
    RecentStatements recent;
    for (std::size_t i = 0; i < 2 * RecentStatements::most; ++i)
        recent.note(query("SELECT c" + std::to_string(i)), none);
    EXPECT_EQ(recent.all().size(), RecentStatements::most);
    EXPECT_EQ(told(recent).substr(0, 23), "SELECT c0 | SELECT c1 |") << "the first ones stay";

    recent.clear();
    EXPECT_TRUE(recent.all().empty());
    const std::string large(RecentStatements::most_bytes, 'x');
    recent.note(query("SELECT " + large) + query("SELECT 1"), none);
    recent.note(parse_of("", "SELECT $1") + bind_of("", {large}), none);
    EXPECT_EQ(told(recent), "SELECT 1") << "one that is too large, or its values, leaves room for others";
    const std::string half(RecentStatements::most_bytes / 2, 'y');
    recent.note(query("SELECT a" + half) + query("SELECT b" + half) + query("SELECT 'c' AS c"), none);
    EXPECT_EQ(recent.all().size(), 3U);
}

}  // namespace
}  // namespace turnout::test
