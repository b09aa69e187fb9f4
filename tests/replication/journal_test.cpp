// The journal's register: decided once, by compare-and-set, whoever comes first and however late the other is.
#include "control/journal.hpp"

#include <gmock/gmock.h>

#include <random>

#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

Clock::time_point soon() { return Clock::now() + std::chrono::seconds(30); }

class JournalTest : public ServersTest {
  protected:
    std::unique_ptr<Journal> open(Side side) { return await(Journal::open(*cluster_, side)); }
    std::unique_ptr<Journal> create(Side side) {
        auto journal = open(side);
        await(journal->create());
        return journal;
    }
};

TEST_F(JournalTest, AServerWithoutOneCanBeRead) {
    const JournalView view = await(open(Side::blue)->read());
    EXPECT_FALSE(view.exists);
    EXPECT_FALSE(view.in_recovery);
    EXPECT_EQ(view.active(), nullptr);
    EXPECT_EQ(view.highest_generation(), 0);
    EXPECT_EQ(view.server_version / 10000, server(Side::blue).major());
    EXPECT_EQ(view.system_identifier, server(Side::blue).value("SELECT system_identifier FROM pg_control_system()"));
}

TEST_F(JournalTest, BootstrapsOnce) {
    const auto journal = open(Side::blue);
    EXPECT_TRUE(await(journal->bootstrap(1)));
    EXPECT_FALSE(await(journal->bootstrap(5)));
    const JournalView view = await(journal->read());
    ASSERT_NE(view.active(), nullptr);
    EXPECT_EQ(view.active()->id.generation, 1);
    EXPECT_FALSE(view.foreign());
    EXPECT_FALSE(view.is_retired());
}

TEST_F(JournalTest, TheActivationHitsExactlyItsOwnAttempt) {
    const auto journal = create(Side::green);
    EXPECT_TRUE(await(journal->arm({2, 1})));
    EXPECT_TRUE(await(journal->arm({2, 2}))) << "a repeated attempt keeps the generation";
    EXPECT_FALSE(await(journal->arm({2, 1}))) << "an older attempt must not come back";
    EXPECT_FALSE(await(journal->activate({2, 1}, soon()))) << "the first attempt's activation comes too late";
    EXPECT_FALSE(await(journal->activate({3, 2}, soon())));
    const std::optional<Lsn> noted = await(journal->activate({2, 2}, soon()));
    ASSERT_TRUE(noted);
    EXPECT_TRUE(noted->valid());
    EXPECT_FALSE(await(journal->activate({2, 2}, soon()))) << "only once";
    const Verdict verdict = await(journal->void_or_obey(2, soon()));
    EXPECT_EQ(verdict.state, JournalState::active);
    EXPECT_EQ(verdict.noted, *noted);
}

TEST_F(JournalTest, AVoidGenerationNeverBecomesActive) {
    const auto journal = create(Side::green);
    EXPECT_TRUE(await(journal->arm({2, 1})));
    EXPECT_EQ(await(journal->void_or_obey(2, soon())).state, JournalState::voided);
    EXPECT_FALSE(await(journal->activate({2, 1}, soon())));
    EXPECT_FALSE(await(journal->arm({2, 2}))) << "its number is not used again";
}

TEST_F(JournalTest, VoidStandsAlsoAgainstARowThatIsNotThereYet) {
    const auto journal = open(Side::green);
    EXPECT_EQ(await(journal->void_or_obey(2, soon())).state, JournalState::voided);
    EXPECT_FALSE(await(journal->arm({2, 1})));
    EXPECT_FALSE(await(journal->activate({2, 1}, soon())));
    EXPECT_EQ(await(journal->read()).highest_generation(), 2);
}

// Two sessions race, one to activate and one to void, in random order and overlap: exactly one wins, and both know who.
TEST_F(JournalTest, TwoConnectionsRacingAgree) {
    const char* given = std::getenv("TURNOUT_SEED");
    const auto seed = given ? std::strtoul(given, nullptr, 10) : std::random_device{}();
    RecordProperty("seed", std::to_string(seed));
    std::printf("TURNOUT_SEED=%lu\n", static_cast<unsigned long>(seed));
    std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
    const auto first = create(Side::green);
    const auto second = open(Side::green);
    int activated = 0;
    constexpr int kRounds = 200;
    for (int round = 0; round < kRounds; ++round) {
        const AttemptId id{round + 2, 1};
        ASSERT_TRUE(await(first->arm(id)));
        std::optional<Lsn> noted;
        Verdict verdict;
        int left = 2;
        const auto count = [&left](std::exception_ptr error) {
            if (error) std::rethrow_exception(error);
            --left;
        };
        const auto activate = [&]() -> asio::awaitable<void> { noted = co_await first->activate(id, soon()); };
        const auto make_void = [&]() -> asio::awaitable<void> {
            verdict = co_await second->void_or_obey(id.generation, soon());
        };
        if (random() % 2 == 0) {
            asio::co_spawn(context_, activate, count);
            asio::co_spawn(context_, make_void, count);
        } else {
            asio::co_spawn(context_, make_void, count);
            asio::co_spawn(context_, activate, count);
        }
        context_.restart();
        while (left > 0) context_.run_one();
        ASSERT_EQ(noted.has_value(), verdict.state == JournalState::active) << "round " << round;
        if (noted) {
            ASSERT_EQ(verdict.noted, *noted);
            ++activated;
        }
    }
    RecordProperty("activated", activated);
}

// An activation whose session is stalled holds its row's lock: who would void it must wait for what becomes of it.
TEST_F(JournalTest, VoidWaitsForAnActivationThatIsUndecided) {
    const auto journal = create(Side::green);
    ASSERT_TRUE(await(journal->arm({2, 1})));
    const PgConnection::Ptr stalled = connect_journal(Side::green);
    query(*stalled, "BEGIN");
    query(*stalled,
          "UPDATE turnout.journal SET state = 'active', noted = '0/1' WHERE generation = 2 AND state = 'armed'");
    try {
        await(journal->void_or_obey(2, Clock::now() + Milliseconds(200)));
        FAIL() << "it was decided although the activation was not";
    } catch (const PgError& error) {
        EXPECT_TRUE(error.fields().timed_out);
    }
    query(*stalled, "COMMIT");
    const auto again = open(Side::green);
    EXPECT_EQ(await(again->void_or_obey(2, soon())).state, JournalState::active);
}

TEST_F(JournalTest, IntentAndRetirement) {
    const auto journal = open(Side::blue);
    await(journal->bootstrap(1));
    await(journal->set_intent({2, 1}));
    await(journal->set_intent({2, 2}));
    EXPECT_FALSE(await(journal->withdraw_intent({2, 1})));
    EXPECT_EQ(await(journal->read()).intent, (AttemptId{2, 2}));
    EXPECT_EQ(await(journal->read()).highest_generation(), 2);
    await(journal->retire(2));
    await(journal->retire(2));
    const JournalView view = await(journal->read());
    EXPECT_FALSE(view.intent);
    EXPECT_TRUE(view.is_retired());
    EXPECT_EQ(view.retired()->id.generation, 2);
    EXPECT_EQ(view.active()->id.generation, 1);
}

TEST_F(JournalTest, KnowsAnotherSidesAndAnotherServersJournal) {
    const auto journal = open(Side::blue);
    await(journal->bootstrap(1));
    JournalView view = await(journal->read());
    view.side = Side::green;
    EXPECT_THAT(view.foreign().value_or(""), testing::HasSubstr("swapped"));
    view.side = Side::blue;
    view.system_identifier = "1";
    EXPECT_THAT(view.foreign().value_or(""), testing::HasSubstr("another server"));
}

TEST_F(JournalTest, FinishedLeavesOneRow) {
    const auto journal = open(Side::blue);
    await(journal->bootstrap(1));
    await(journal->void_or_obey(2, soon()));
    await(journal->retire(3));
    EXPECT_EQ(await(journal->force_active(4)).valid(), true);
    await(journal->mark_finished());
    JournalView view = await(journal->read());
    ASSERT_EQ(view.rows.size(), 1U);
    EXPECT_TRUE(view.active()->finished);
    EXPECT_EQ(view.active()->id.generation, 4);
    await(journal->clear_finished());
    view = await(journal->read());
    EXPECT_FALSE(view.active()->finished);
    await(journal->drop());
    EXPECT_FALSE(await(journal->read()).exists);
}

TEST_F(JournalTest, OneHolderAtATime) {
    const auto first = open(Side::blue);
    const auto second = open(Side::blue);
    EXPECT_TRUE(await(first->try_lock()));
    EXPECT_FALSE(await(second->try_lock()));
    EXPECT_EQ(await(second->lock_holder()), first->connection().backend_pid());
    EXPECT_TRUE(await(first->holds_lock()));
    EXPECT_FALSE(await(second->holds_lock()));
    server(Side::blue)
        .execute("SELECT pg_terminate_backend(" + std::to_string(first->connection().backend_pid()) + ")");
    EXPECT_FALSE(await(first->holds_lock()));
    eventually(Side::blue, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");
    EXPECT_TRUE(await(second->try_lock()));
}

TEST_F(JournalTest, TheActivationIsSynchronousWhateverTheServerSays) {
    server(Side::green).execute("ALTER DATABASE " + journal_database_ + " SET synchronous_commit = off");
    const auto journal = create(Side::green);
    EXPECT_EQ(query(journal->connection(), "SHOW synchronous_commit").get(0, 0), "on");
}

}  // namespace
}  // namespace turnout::control::test
