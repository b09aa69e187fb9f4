#include "protocol/replies.hpp"

#include <gtest/gtest.h>

#include "tests/protocol/named.hpp"
#include "tests/protocol/trace.hpp"

namespace turnout::test {
namespace {

struct Case {
    const char* name;
    const char* script;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Conversation : public testing::TestWithParam<Case> {};

TEST_P(Conversation, IsFollowed) {
    protocol::SessionLedger ledger;
    for (const std::string& complaint : play(GetParam().script, ledger)) ADD_FAILURE() << complaint;
}

// Each of these was seen on servers of 13, 15, 16, 17 and 18; where they differ it is said.
const Case plain[] = {
    {"query", "Q [owes 1] | T D C Z(I) [safe]"},
    {"empty_query", "Q Q | I Z(I) [owes 1] I Z(I) [safe]"},
    {"several_commands_in_one_query", "Q | T D C T D C [owes 1] Z(I) [safe]"},
    {"failing_query", "Q | E [owes 1] Z(I) [safe]"},
    {"pipelined_queries", "Q Q [owes 2] | E Z(I) [owes 1] T D C Z(I) [safe]"},
    {"transaction", "Q | C Z(T) [quiet T] | Q | C Z(I) [safe]"},
    {"failed_transaction", "Q | C Z(T) | Q | E Z(E) [quiet E] | Q | C Z(I) [safe]"},
    {"function_call", "F [owes 1] | V Z(I) [safe]"},
    {"failing_function_call_does_not_skip", "F P B E S [owes 2] | E Z(I) [owes 1] 1 2 D C Z(I) [safe]"},
    {"asynchronous_at_idle", "| N A S [safe]"},
    {"asynchronous_in_between", "Q | A T N D S C A Z(I) [safe]"},
    {"terminate_owes_nothing", "X [safe]"},
    {"fatal_at_idle", "| E [safe]"},
    {"copy_out", "Q | H [owes 1 copy-out] d d c C [owes 1] Z(I) [safe]"},
    {"copy_out_that_fails", "Q | H d E [owes 1] Z(I) [safe]"},
    {"portal_suspended", "P B E H | 1 2 D s [quiet open] | E S | D C Z(I) [safe]"},
};

const Case batches[] = {
    {"batch", "P B Dp E S [owes 1] | 1 2 T D C Z(I) [safe]"},
    {"describe_statement", "P Ds S | 1 t T Z(I) [safe]"},
    {"describe_statement_without_rows", "P Ds S | 1 t n Z(I) [safe]"},
    {"describe_portal_without_rows", "P B Dp E S | 1 2 n I Z(I) [safe]"},
    {"flush_brings_answers_but_no_safe_point", "P Ds H [owes 0 open] | 1 t T [quiet open] | S [owes 1] | Z(I) [safe]"},
    {"flush_alone", "H [safe]"},
    {"syncs_alone", "S S S [owes 3] | Z(I) Z(I) Z(I) [safe]"},
    {"close", "Cs Cp S | 3 3 Z(I) [safe]"},
    {"error_skips_to_sync", "P B Dp E S [owes 1] | E [owes 1] Z(I) [safe]"},
    {"error_skips_a_query_already_forwarded", "P Q E S [owes 2] | E [owes 1] Z(I) [safe]"},
    {"error_skips_a_query_forwarded_later",
     "P H | E [quiet open skips] | Q [quiet open skips] S [owes 1] | Z(I) [safe]"},
    {"error_skips_a_function_call", "P F S | E [owes 1] Z(I) [safe]"},
    {"error_skips_copy_messages", "P d c f H S | E Z(I) [safe]"},
    {"error_in_the_second_batch", "P B E S P B E S Q [owes 3] | 1 2 C Z(I) E [owes 2] Z(I) [owes 1] C Z(I) [safe]"},
    {"error_without_sync_is_not_safe", "P | E [quiet open skips]"},
    {"error_with_a_query_but_no_sync", "P Q | E [quiet open skips] | S | Z(I) [safe]"},
    {"commit_at_sync_fails_and_skips_nothing", "P B E S Q | 1 2 C E [owes 2] Z(I) [owes 1] T D C Z(I) [safe]"},
    {"sync_within_a_batch", "P S B E S | 1 Z(I) 2 D C Z(I) [safe]"},
    {"query_ends_an_open_batch", "P B E H | 1 2 C [quiet open] | Q | T D C Z(I) [safe]"},
    {"query_in_an_open_batch_on_18", "P B E H | 1 2 C | Q | T D C Z(T) [quiet T] | S | Z(I) [safe]"},
    {"batch_in_a_transaction", "Q P B E S | C Z(T) 1 2 C Z(T) [quiet T]"},
    {"timeout_hits_a_flush", "P B H | 1 2 | H | E [quiet open skips] | S | Z(I) [safe]"},
    {"timeout_hits_a_sync", "P B H | 1 2 | S | E Z(I) [safe]"},
    {"timeout_hits_stray_copy_data", "P B H | 1 2 | d | E Z(I) [safe]"},
    {"replication_stream", "Q | W [owes 1 copy-both] d | d d c | d c C Z(I) [safe]"},
};

const Case copies[] = {
    {"copy_in", "Q | G [owes 1 copy-in] | d d c | C [owes 1] Z(I) [safe]"},
    {"copy_in_given_up_by_the_client", "Q | G | d f | E [owes 1] Z(I) [safe]"},
    {"copy_in_that_fails", "Q | G | d d | E Z(I) [safe] | c [safe]"},
    {"late_copy_messages_owe_nothing", "c d f Q [owes 1] | T D C Z(I) [safe]"},
    {"copy_in_with_queries_behind", "Q d c Q [owes 2] | G C Z(I) [owes 1] C Z(I) [safe]"},
    {"copy_in_that_fails_with_queries_behind", "Q f Q | G E Z(I) [owes 1] T D C Z(I) [safe]"},
    {"two_copies_in_one_query", "Q d c d c [owes 1] | G C G C Z(I) [safe]"},
    {"a_copy_that_never_was", "Q d c Q [owes 2] | E Z(I) [owes 1] C Z(I) [safe]"},
    {"extended_copy", "P B E | 1 2 G [owes 0 open copy-in] | d c S [owes 1 copy-in] | C Z(I) [safe]"},
    {"sync_before_copy_in_response_is_struck",
     "P B E S [owes 1] | 1 2 G [owes 0 open copy-in] | d c | C [quiet open] | S | Z(I) [safe]"},
    {"sync_before_a_copy_that_fails_at_once_is_answered",
     "P B E S d c S [owes 2] | 1 2 E [owes 2] Z(I) [owes 1] Z(I) [safe]"},
    {"sync_in_a_living_copy_is_not_owed", "Q | G | d S [owes 1 copy-in] d S c | C Z(I) [safe]"},
    {"sync_behind_copy_done_is_owed", "P B E d c S | 1 2 G [owes 1 copy-in] C Z(I) [safe]"},
    {"sync_between_two_copies_of_one_query", "Q d c S d c [owes 2] | G C [owes 2] G [owes 1 copy-in] C Z(I) [safe]"},
    {"copy_in_that_fails_skips_to_the_sync_behind", "P B E d c P B E S | 1 2 G E [owes 1] Z(I) [safe]"},
    {"copy_fails_before_copy_done_is_sent",
     "P B E | 1 2 G | d | E [quiet open skips] | d c [quiet open skips] S | Z(I) [safe]"},
    {"copy_in_within_a_transaction", "Q Q | C Z(T) G [owes 1 T copy-in] | f | E Z(E) [quiet E] | Q | C Z(I) [safe]"},
    // Servers before 14 eat the message and go on; later ones end the session.
    {"query_in_a_copy_on_13", "Q Q [owes 2] | G E [owes 2 unsure] Z(I) [owes 1 unsure]"},
    {"parse_in_an_extended_copy_on_13", "P B E P S | 1 2 G E [owes 1] Z(I) [safe]"},
    {"parse_in_a_simple_copy_on_13", "Q P c S | G E Z(I) [owes 1 unsure] Z(I) [safe]"},
};

// The same bytes from the client, and two answers, by timing.
const Case doubtful[] = {
    {"syncs_in_a_failing_copy_unread",
     "P B E S d S c S [owes 3] | 1 2 G [owes 1 copy-in] E [owes 3 unsure] Z(I) Z(I) [owes 1 unsure]"},
    {"syncs_in_a_failing_copy_all_answered", "P B E S d S c S | 1 2 G E Z(I) Z(I) Z(I) [safe]"},
    {"syncs_in_a_failing_copy_read", "P B E S d S c S | 1 2 G E Z(I) [owes 2 unsure]"},
    {"probe_ends_the_doubt",
     "P B E S d S c S | 1 2 G E Z(I) | probe [owes 3 unsure probing] | 3 [owes 1 unsure probing] Z(I) [safe]"},
    {"probe_behind_a_reply_still_to_come", "P B E S d S c S | 1 2 G E Z(I) | probe | Z(I) 3 Z(I) [safe]"},
    {"probe_after_a_failed_simple_copy", "Q d S c | G E [owes 2 unsure] Z(I) [owes 1 unsure] | probe | 3 Z(I) [safe]"},
    {"probe_in_a_failed_transaction", "Q Q d S c | C Z(T) G E Z(E) | probe | 3 Z(E) [quiet E]"},
    {"the_next_query_ends_the_doubt", "P B E S d S c S | 1 2 G E Z(I) | Q [owes 3 unsure] | T D C Z(I) [safe]"},
    {"the_next_batch_ends_the_doubt", "P B E S d S c S | 1 2 G E Z(I) | P B E S | 1 2 C Z(I) [safe]"},
    {"simple_copy_that_fails_behind_a_sync",
     "Q d S c Q | G E Z(I) [owes 2 unsure] Z(I) [owes 1 unsure] T D C Z(I) [safe]"},
    {"simple_copy_that_fails_and_had_read_the_sync", "Q d S c Q | G E Z(I) [owes 2 unsure] T D C Z(I) [safe]"},
    {"batch_behind_a_failing_copy_runs", "P B E S d S c P B E S | 1 2 G E Z(I) 1 2 D C Z(I) [safe]"},
    {"batch_behind_a_failing_copy_is_skipped", "P B E S d S c P B E S | 1 2 G E Z(I) [owes 2 unsure]"},
    {"sync_sent_while_the_error_is_under_way",
     "P B E | 1 2 G | d S [owes 0 open copy-in] | E [owes 1 unsure] Z(I) [safe]"},
    {"trigger_fails_before_the_copy_reads", "P B E S d c S | 1 2 G E [owes 2 unsure] Z(I) Z(I) [safe]"},
};

// What no server sends: the session can never be called safe again.
const Case nonsense[] = {
    {"ready_before_the_answer", "P S | Z(I)"},
    {"answer_nobody_asked_for", "| 1"},
    {"bind_for_parse", "P S | 2"},
    {"row_without_query", "P S | D"},
    {"copy_without_query", "S | G"},
    {"authentication_in_a_session", "| R"},
    {"unknown_status", "S | Z(x)"},
};

INSTANTIATE_TEST_SUITE_P(Plain, Conversation, testing::ValuesIn(plain), name_of);
INSTANTIATE_TEST_SUITE_P(Batch, Conversation, testing::ValuesIn(batches), name_of);
INSTANTIATE_TEST_SUITE_P(Copy, Conversation, testing::ValuesIn(copies), name_of);
INSTANTIATE_TEST_SUITE_P(Doubtful, Conversation, testing::ValuesIn(doubtful), name_of);

class Nonsense : public testing::TestWithParam<Case> {};

TEST_P(Nonsense, IsNeverSafeAgain) {
    protocol::SessionLedger ledger;
    EXPECT_EQ(play(GetParam().script, ledger).size(), 1U);
    EXPECT_TRUE(ledger.replies().derailed());
    (void)play("S | Z(I)", ledger);
    EXPECT_FALSE(ledger.replies().safe());
    EXPECT_FALSE(ledger.replies().quiet());
}
INSTANTIATE_TEST_SUITE_P(Server, Nonsense, testing::ValuesIn(nonsense), name_of);

TEST(ReplyLedger, SaysWhatEachReplyAnswers) {
    using protocol::ReplyTo;
    protocol::SessionLedger ledger;
    (void)play("P B Ds Dp E Cs S Q F", ledger);
    struct Expected {
        const char* token;
        ReplyTo to;
        bool last;
        std::uint64_t position;
    };
    const Expected replies[] = {
        {"1", ReplyTo::parse, true, 1},
        {"2", ReplyTo::bind, true, 2},
        {"N", ReplyTo::nothing, false, 0},
        {"t", ReplyTo::describe, false, 3},
        {"T", ReplyTo::describe, true, 3},
        {"n", ReplyTo::describe, true, 4},
        {"D", ReplyTo::execute, false, 5},
        {"C", ReplyTo::execute, true, 5},
        {"3", ReplyTo::close, true, 6},
        {"Z(I)", ReplyTo::sync, true, 7},
        {"T", ReplyTo::query, false, 8},
        {"C", ReplyTo::query, false, 8},
        {"Z(I)", ReplyTo::query, true, 8},
        {"V", ReplyTo::function_call, false, 9},
        {"Z(I)", ReplyTo::function_call, true, 9},
    };
    for (const Expected& expected : replies) {
        const protocol::Reply reply = from_server(expected.token, ledger);
        EXPECT_EQ(reply.to, expected.to) << expected.token;
        EXPECT_EQ(reply.last, expected.last) << expected.token;
        EXPECT_EQ(reply.position, expected.position) << expected.token;
        EXPECT_FALSE(reply.failed);
    }
    EXPECT_TRUE(ledger.replies().safe());
}

TEST(ReplyLedger, TellsWhoseErrorItIs) {
    protocol::SessionLedger ledger;
    (void)play("Q P B S", ledger);
    const protocol::Reply of_query = from_server("E", ledger);
    EXPECT_TRUE(of_query.failed);
    EXPECT_FALSE(of_query.last);
    EXPECT_EQ(of_query.to, protocol::ReplyTo::query);
    (void)from_server("Z(I)", ledger);
    (void)from_server("1", ledger);
    const protocol::Reply of_bind = from_server("E", ledger);
    EXPECT_TRUE(of_bind.failed);
    EXPECT_TRUE(of_bind.last);
    EXPECT_EQ(of_bind.to, protocol::ReplyTo::bind);
}

TEST(ReplyLedger, MarksTheRepliesToAProbe) {
    protocol::SessionLedger ledger;
    (void)play("Q d S c | G E Z(I) | probe", ledger);
    EXPECT_EQ(from_server("Z(I)", ledger).to, protocol::ReplyTo::sync);
    EXPECT_EQ(from_server("3", ledger).to, protocol::ReplyTo::probe);
    const protocol::Reply last = from_server("Z(I)", ledger);
    EXPECT_EQ(last.to, protocol::ReplyTo::probe);
    EXPECT_TRUE(last.last);
}

struct ProbeCase {
    const char* name;
    const char* script;
    bool possible;
};
void PrintTo(const ProbeCase& c, std::ostream* out) { *out << c.name; }
class Probe : public testing::TestWithParam<ProbeCase> {};
TEST_P(Probe, IsAllowedOnlyWhereItHarmsNobody) {
    protocol::SessionLedger ledger;
    (void)play(GetParam().script, ledger);
    EXPECT_EQ(ledger.replies().can_probe(), GetParam().possible);
}
const ProbeCase probes[] = {
    {"not_in_a_sure_session", "Q | C Z(I)", false},
    {"not_while_the_server_may_skip", "P B E S d S c | 1 2 G E", false},
    {"after_the_skipping", "P B E S d S c S | 1 2 G E Z(I)", true},
    {"not_in_an_open_batch", "P B E S d S c S | 1 2 G E Z(I) | P", false},
    {"not_while_a_copy_may_begin", "P B E S d S c S | 1 2 G E Z(I) | P B E S", false},
    {"not_twice", "P B E S d S c S | 1 2 G E Z(I) | probe", false},
};
INSTANTIATE_TEST_SUITE_P(ReplyLedger, Probe, testing::ValuesIn(probes), name_of);

struct BoundaryCase {
    const char* name;
    const char* script;
    const char* boundaries;  // the types that end a batch then, of SQF
};
void PrintTo(const BoundaryCase& c, std::ostream* out) { *out << c.name; }
class ClosedGate : public testing::TestWithParam<BoundaryCase> {};
TEST_P(ClosedGate, ForwardsUpToABoundary) {
    protocol::SessionLedger ledger;
    (void)play(GetParam().script, ledger);
    std::string found;
    for (const char type : std::string_view{"PBDECHdcfSQF"}) {
        if (ledger.replies().would_end_batch(static_cast<protocol::FrontendType>(type))) found += type;
    }
    EXPECT_EQ(found, GetParam().boundaries);
}
const BoundaryCase boundaries[] = {
    {"at_idle", "", "SQF"},
    {"in_a_batch", "P B", "SQF"},
    {"while_the_server_skips", "P H | E", "S"},
    {"in_a_living_copy", "Q | G", ""},
    {"behind_copy_done", "Q | G | c", "SQF"},
    {"while_it_may_skip", "P B E S d | 1 2 G E", "S"},
};
INSTANTIATE_TEST_SUITE_P(ReplyLedger, ClosedGate, testing::ValuesIn(boundaries), name_of);

TEST(ReplyLedger, ForgetsAllWithANewBackendButKeepsCounting) {
    protocol::SessionLedger ledger;
    (void)play("Q P B E", ledger);
    ledger.replies().reset(protocol::TransactionStatus::failed);
    EXPECT_EQ(describe(ledger.replies()), "quiet E");
    ledger.replies().reset();
    EXPECT_TRUE(ledger.replies().safe());
    EXPECT_EQ(ledger.replies().on_frontend(protocol::FrontendType::query), 5U);
}

TEST(ReplyLedger, CarriesAVeryLongPipeline) {
    protocol::ReplyLedger ledger;
    constexpr int batches_sent = 200'000;
    for (int i = 0; i < batches_sent; ++i) {
        for (const char type : std::string_view{"BES"}) ledger.on_frontend(static_cast<protocol::FrontendType>(type));
    }
    EXPECT_EQ(ledger.ready_owed(), std::size_t{batches_sent});
    for (int i = 0; i < batches_sent; ++i) {
        ASSERT_FALSE(ledger.safe());
        ASSERT_EQ(ledger.on_backend(protocol::BackendType::bind_complete).to, protocol::ReplyTo::bind);
        ASSERT_EQ(ledger.on_backend(protocol::BackendType::command_complete).to, protocol::ReplyTo::execute);
        ASSERT_EQ(ledger.on_backend(protocol::BackendType::ready_for_query, "I").to, protocol::ReplyTo::sync);
    }
    EXPECT_TRUE(ledger.safe());
}

}  // namespace
}  // namespace turnout::test
