#include "protocol/statements.hpp"

#include <gtest/gtest.h>

#include "tests/protocol/bytes.hpp"
#include "tests/protocol/named.hpp"
#include "tests/protocol/trace.hpp"

namespace turnout::test {
namespace {

using protocol::FrontendType;
using protocol::SessionLedger;
using protocol::StatementBook;

/// Names of the live statements; the unnamed one is `-`.
std::string names(const StatementBook& book) {
    std::string out;
    for (const auto& [name, statement] : book.live()) {
        if (!out.empty()) out += ' ';
        out += name.empty() ? "-" : name;
    }
    return out;
}

struct Case {
    const char* name;
    const char* script;  ///< P(a) prepares a, P the unnamed one; see trace.hpp
    const char* live;
    bool doubtful = false;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Statements : public testing::TestWithParam<Case> {};

TEST_P(Statements, LiveAsOnTheServer) {
    SessionLedger ledger;
    for (const std::string& complaint : play(GetParam().script, ledger)) ADD_FAILURE() << complaint;
    EXPECT_EQ(names(ledger.statements()), GetParam().live);
    EXPECT_EQ(ledger.statements().doubtful(), GetParam().doubtful);
}

// Each was seen on servers of 13, 15, 16, 17 and 18.
const Case cases[] = {
    {"forwarded_is_not_live", "P(a) S", ""},
    {"answered_is_live", "P(a) P S | 1 1 Z(I)", "- a"},
    {"answered_without_sync", "P(a) H | 1", "a"},
    {"failed", "P(a) S | E Z(I)", ""},
    {"failed_duplicate_leaves_the_first", "P(a) S P(a) S | 1 Z(I) E Z(I)", "a"},
    {"skipped", "P(a) P(b) S | E Z(I)", ""},
    {"skipped_when_sent_later", "P(a) H | E | P(b) S P(c) S | Z(I) 1 Z(I)", "c"},
    {"named_survives_rollback", "Q P(a) S Q | C Z(T) 1 Z(T) C Z(I)", "a"},
    {"closed", "P(a) P(b) Cs(a) S | 1 1 3 Z(I)", "b"},
    {"close_that_was_skipped", "P(a) S P(b) Cs(a) S | 1 Z(I) E Z(I)", "a"},
    {"close_of_a_portal", "P(a) Cp(a) S | 1 3 Z(I)", "a"},
    {"close_of_an_unknown_name", "Cs(a) S | 3 Z(I)", ""},
    {"closed_unnamed", "P Cs S | 1 3 Z(I)", ""},
    {"query_ends_the_unnamed", "P P(a) S Q | 1 1 Z(I) C Z(I)", "a"},
    {"failed_query_ends_the_unnamed", "P S Q | 1 Z(I) E Z(I)", ""},
    {"empty_query_ends_the_unnamed", "P S Q | 1 Z(I) I Z(I)", ""},
    {"skipped_query_ends_nothing", "P S P(a) Q S | 1 Z(I) E Z(I)", "-"},
    {"function_call_ends_nothing", "P S F F | 1 Z(I) V Z(I) E Z(I)", "-"},
    {"failed_unnamed_parse_ends_the_unnamed", "P S P S | 1 Z(I) E Z(I)", ""},
    {"failed_named_parse_leaves_the_unnamed", "P S P(a) S | 1 Z(I) E Z(I)", "-"},
    {"unnamed_again", "P S P S | 1 Z(I) 1 Z(I)", "-"},
    {"deallocate_all_by_query", "P(a) P(b) S Q | 1 1 Z(I) C(DEALLOCATE ALL) Z(I)", ""},
    {"deallocate_all_leaves_the_unnamed", "P(a) P S B E S | 1 1 Z(I) 2 C(DEALLOCATE ALL) Z(I)", "-"},
    {"discard_all_leaves_the_unnamed", "P(a) P S B E S | 1 1 Z(I) 2 C(DISCARD ALL) Z(I)", "-"},
    {"prepared_behind_discard_all", "P(a) S Q P(b) S | 1 Z(I) C(DISCARD ALL) Z(I) 1 Z(I)", "b"},
    {"deallocate_asks_for_the_server", "P(a) S Q | 1 Z(I) C(DEALLOCATE) Z(I)", "a", true},
    {"deallocate_without_statements_asks_for_nobody", "Q | C(DEALLOCATE) Z(I)", "", false},
    {"deallocate_with_only_the_unnamed", "P S B E S | 1 Z(I) 2 C(DEALLOCATE) Z(I)", "-", false},
    {"doubt_about_replies_is_doubt_about_names", "P B E S d S c P(a) S | 1 2 G E Z(I) 1 Z(I)", "- a", true},
};
INSTANTIATE_TEST_SUITE_P(Book, Statements, testing::ValuesIn(cases), name_of);

/// Lets a book see a Parse and its ParseComplete.
void prepare(StatementBook& book, std::uint64_t& position, std::string_view name, std::string_view text = "select 1") {
    const std::string body = std::string{name} + '\0' + std::string{text} + std::string(3, '\0');
    book.on_frontend(FrontendType::parse, body, true, ++position);
    book.on_reply({.to = protocol::ReplyTo::parse, .last = true, .position = position},
                  protocol::BackendType::parse_complete, {}, true);
}

void close(StatementBook& book, std::uint64_t& position, std::string_view name) {
    book.on_frontend(FrontendType::close, "S" + std::string{name} + '\0', true, ++position);
    book.on_reply({.to = protocol::ReplyTo::close, .last = true, .position = position},
                  protocol::BackendType::close_complete, {}, true);
}

TEST(StatementBook, KeepsTheParseToBeSentAgain) {
    SessionLedger ledger;
    const std::string parse = "a\0select $1\0\0\1\0\0\0\x17"_b;
    ledger.on_frontend(FrontendType::parse, parse);
    ledger.on_backend(protocol::BackendType::parse_complete, {});
    ASSERT_NE(ledger.statements().find("a"), nullptr);
    EXPECT_EQ(ledger.statements().find("a")->parse, parse);
    EXPECT_EQ(ledger.statements().bytes(), parse.size());
}

TEST(StatementBook, AMalformedParseLeavesTheUnnamedOne) {
    SessionLedger ledger;
    (void)play("P S | 1 Z(I)", ledger);
    ledger.on_frontend(FrontendType::parse, "\0select"_b);
    (void)play("S | E Z(I)", ledger);
    EXPECT_NE(ledger.statements().find(""), nullptr);
}

TEST(StatementBook, AFreshBackendGetsAllInTheOrderOfTheirMaking) {
    StatementBook book;
    std::uint64_t position = 0;
    for (const char* name : {"z", "", "a", "m"}) prepare(book, position, name);
    close(book, position, "m");
    const protocol::StatementDifference difference = book.since(0);
    EXPECT_TRUE(difference.close.empty());
    ASSERT_EQ(difference.parse.size(), 3U);
    EXPECT_TRUE(difference.parse[0].starts_with('z'));
    EXPECT_TRUE(difference.parse[1].starts_with('\0'));
    EXPECT_TRUE(difference.parse[2].starts_with('a'));
}

TEST(StatementBook, AnArmedBackendGetsTheDifference) {
    StatementBook book;
    std::uint64_t position = 0;
    for (const char* name : {"kept", "dropped", "changed", ""}) prepare(book, position, name);
    const std::uint64_t armed = book.remember();
    EXPECT_TRUE(book.since(armed).close.empty());
    EXPECT_TRUE(book.since(armed).parse.empty());

    close(book, position, "dropped");
    close(book, position, "changed");
    prepare(book, position, "changed", "select 2");
    prepare(book, position, "short");
    close(book, position, "short");
    prepare(book, position, "", "select 3");
    EXPECT_NE(book.epoch(), armed);

    const protocol::StatementDifference difference = book.since(armed);
    EXPECT_EQ(difference.close, (std::vector<std::string_view>{"", "changed", "dropped"}));
    EXPECT_EQ(difference.parse, (std::vector<std::string_view>{"changed\0select 2\0\0\0"_b, "\0select 3\0\0\0"_b}));
}

TEST(StatementBook, WhatTheNextMessageEndsIsNeitherBroughtNorClosed) {
    StatementBook book;
    std::uint64_t position = 0;
    for (const char* name : {"kept", ""}) prepare(book, position, name);
    const std::uint64_t armed = book.remember();
    prepare(book, position, "", "select 2");
    prepare(book, position, "late");
    book.pass_over_unnamed();
    EXPECT_EQ(names(book), "kept late");
    EXPECT_TRUE(book.since(armed).close.empty());
    EXPECT_EQ(book.since(armed).parse, (std::vector<std::string_view>{"late\0select 1\0\0\0"_b}));
    prepare(book, position, "", "select 3");
    EXPECT_EQ(names(book), "- kept late");
}

struct Ending {
    const char* name;
    FrontendType type;
    std::string body;
    bool ends;
};
void PrintTo(const Ending& c, std::ostream* out) { *out << c.name; }

class EndsUnnamed : public testing::TestWithParam<Ending> {};

TEST_P(EndsUnnamed, AsTheServerDoes) {
    EXPECT_EQ(protocol::ends_unnamed(GetParam().type, GetParam().body), GetParam().ends);
}

const Ending endings[] = {
    {"query", FrontendType::query, std::string("select 1\0"_b), true},
    {"empty_query", FrontendType::query, std::string("\0"_b), true},
    {"query_without_an_end", FrontendType::query, "select 1", false},
    {"query_with_more_behind_it", FrontendType::query, std::string("select 1\0x"_b), false},
    {"parse_of_it", FrontendType::parse, std::string("\0select 1\0\0\0"_b), true},
    {"parse_of_nonsense", FrontendType::parse, std::string("\0selec\0\0\0"_b), true},
    {"malformed_parse", FrontendType::parse, std::string("\0select 1"_b), false},
    {"parse_of_another", FrontendType::parse, std::string("a\0select 1\0\0\0"_b), false},
    {"bind", FrontendType::bind, std::string("\0\0\0\0\0\0\0\0"_b), false},
    {"describe", FrontendType::describe, std::string("S\0"_b), false},
    {"function_call", FrontendType::function_call, std::string("\0\0\0\1"_b), false},
    {"sync", FrontendType::sync, "", false},
};
INSTANTIATE_TEST_SUITE_P(Book, EndsUnnamed, testing::ValuesIn(endings), name_of);

TEST(StatementBook, WhatIsTooLargeIsNamedAndNotKept) {
    StatementBook book{100, 250};
    std::uint64_t position = 0;
    prepare(book, position, "large", std::string(100, 'x'));
    EXPECT_TRUE(book.has_unkeepable());
    EXPECT_EQ(book.since(0).lost, (std::vector<std::string_view>{"large"}));
    EXPECT_TRUE(book.since(0).parse.empty());
    close(book, position, "large");
    EXPECT_FALSE(book.has_unkeepable());

    for (const char* name : {"1", "2", "3"}) prepare(book, position, name, std::string(80, 'x'));
    EXPECT_EQ(book.since(0).lost, (std::vector<std::string_view>{"3"}));
    EXPECT_LE(book.bytes(), 250U);
}

TEST(StatementBook, WhatIsNotAnsweredIsNotKeptWithoutEnd) {
    StatementBook book{100, 250};
    for (std::uint64_t position = 1; position <= 10; ++position)
        book.on_frontend(FrontendType::parse,
                         std::to_string(position) + '\0' + std::string(80, 'x') + std::string(3, '\0'), true, position);
    EXPECT_LE(book.pending_bytes(), 250U);
    for (std::uint64_t position = 1; position <= 10; ++position) {
        book.on_reply({.to = protocol::ReplyTo::parse, .last = true, .position = position},
                      protocol::BackendType::parse_complete, {}, true);
    }
    EXPECT_EQ(book.pending_bytes(), 0U);
    EXPECT_TRUE(book.has_unkeepable()) << "a session that overdid it is pinned";
    EXPECT_NE(book.find("1"), nullptr);
    EXPECT_NE(book.find("10"), nullptr);
}

TEST(StatementBook, APrefixIsNotKept) {
    SessionLedger ledger;
    ledger.on_frontend(FrontendType::parse, "a\0select"_b, false);
    ledger.on_backend(protocol::BackendType::parse_complete, {});
    EXPECT_TRUE(ledger.statements().has_unkeepable());
    EXPECT_EQ(ledger.statements().bytes(), 0U);
}

TEST(StatementBook, TheServerHasTheLastWord) {
    StatementBook book;
    std::uint64_t position = 0;
    for (const char* name : {"a", "b", ""}) prepare(book, position, name);
    book.on_reply({}, protocol::BackendType::command_complete, "DEALLOCATE\0"_b, true);
    ASSERT_TRUE(book.doubtful());
    const std::uint64_t armed = book.remember();
    book.reconcile({"b", "foreign"});
    EXPECT_FALSE(book.doubtful());
    EXPECT_EQ(names(book), "- b foreign");
    EXPECT_TRUE(book.has_unkeepable());
    EXPECT_EQ(book.since(armed).close, (std::vector<std::string_view>{"a"}));
    EXPECT_EQ(book.since(armed).lost, (std::vector<std::string_view>{"foreign"}));
}

TEST(StatementBook, ThousandsOfUnnamedStatementsLeaveOne) {
    SessionLedger ledger;
    for (int i = 0; i < 10'000; ++i) ASSERT_TRUE(play("P B E S | 1 2 C Z(I) [safe]", ledger).empty());
    EXPECT_EQ(names(ledger.statements()), "-");
    EXPECT_LT(ledger.statements().bytes(), 100U);
}

}  // namespace
}  // namespace turnout::test
