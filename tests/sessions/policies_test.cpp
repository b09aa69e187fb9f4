// Sessions that cannot wait for their safe point: what becomes of their transactions and statements when the server
// changes, on real servers.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <future>
#include <memory>
#include <sstream>
#include <thread>

#include "protocol/frontend_messages.hpp"
#include "two_servers.hpp"

namespace turnout::test {
namespace {

using control::Clock;
using control::CloseRequest;
using control::DrainReport;
using Outcome = DrainReport::Outcome;

constexpr const char* kSchema = R"(
CREATE TABLE t (n int);
CREATE PROCEDURE half() LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO t VALUES (1); COMMIT; PERFORM pg_sleep(600); END $$)";

class Policies : public TwoServers<Policies> {
  protected:
    static void SetUpTestSuite() { set_up(kSchema); }
    void SetUp() override {
        for (auto* cluster : {blue_.get(), green_.get()}) cluster->execute("TRUNCATE t");
    }

    /// A closing that cancels at once.
    static CloseRequest cancelling() {
        CloseRequest request;
        request.cancel_at = Clock::now();
        return request;
    }

    /// Until a backend of blue's waits like this.
    static void wait_on_blue(const std::string& event, int sessions = 1) {
        const std::string question =
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
            "wait_event = '" +
            event + "'";
        while (blue_->value(question) != std::to_string(sessions)) std::this_thread::yield();
    }

    /// Those that wait for advisory locks on blue now, as control would find them.
    static std::vector<control::LockWaiter> lock_waiters() {
        std::vector<control::LockWaiter> waiters;
        const std::string pids = blue_->value(
            "SELECT coalesce(string_agg(pid || ' ' || (SELECT count(*) FROM pg_locks h WHERE h.pid = w.pid AND "
            "h.granted "
            "AND h.locktype = 'advisory'), ' '), '') FROM pg_locks w WHERE locktype = 'advisory' AND NOT granted");
        std::istringstream words(pids);
        for (control::LockWaiter waiter; words >> waiter.server_pid >> waiter.locks_held;) waiters.push_back(waiter);
        return waiters;
    }
};

// ---------------------------------------------------------------------------------------- transactions that make way

TEST_F(Policies, ATransactionOfWhichOnlyBeginWasSaidIsBegunAgain) {
    auto simple_one = client(), extended_one = client();
    simple_one->query("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY");
    EXPECT_EQ(simple_one->replies(), "C Z(T)");
    extended_one->send(extended("START TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
    EXPECT_EQ(extended_one->replies(), "1 2 C Z(T)");
    go();
    EXPECT_EQ(port_of(*simple_one), port_of(*green_));
    EXPECT_EQ(simple_one->value("SHOW transaction_isolation"), "serializable");
    EXPECT_EQ(simple_one->value("SHOW transaction_read_only"), "on");
    const control::MoveReport moved = plane_.finish_moves();
    EXPECT_EQ(moved.recovered, 2U);
    EXPECT_EQ(port_of(*extended_one), port_of(*green_));
    EXPECT_EQ(extended_one->value("SHOW transaction_isolation"), "repeatable read");
    simple_one->query("COMMIT");
    EXPECT_EQ(simple_one->replies(), "C Z(I)");
    EXPECT_EQ(blue_->value("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'"), "0");
}

TEST_F(Policies, AFailedTransactionMovesAsFailed) {
    auto a = client();
    a->query("BEGIN");
    a->replies();
    a->query("SELECT 1/0");
    EXPECT_EQ(a->replies(), "E(22012) Z(E)");
    go();
    a->query("INSERT INTO t VALUES (1)");
    EXPECT_EQ(a->replies(), "E(25P02) Z(E)");
    a->query("COMMIT");
    EXPECT_EQ(a->replies(), "C Z(I)");
    EXPECT_EQ(port_of(*a), port_of(*green_));
    plane_.finish_moves();
    EXPECT_EQ(green_->value("SELECT count(*) FROM t") + blue_->value("SELECT count(*) FROM t"), "00");
}

TEST_F(Policies, AFailedTransactionWithASavepointIsWaitedFor) {
    auto a = client();
    a->query("BEGIN");
    a->replies();
    a->query("SAVEPOINT s");
    a->replies();
    a->query("SELECT 1/0");
    a->replies();
    auto drained = plane_.close();
    a->query("ROLLBACK TO s");
    EXPECT_EQ(a->replies(), "C Z(T)");
    a->query("COMMIT");
    EXPECT_EQ(a->replies(), "C Z(I)");
    EXPECT_EQ(drained.get().outcome, Outcome::drained);
    plane_.give_up();
}

TEST_F(Policies, TransactionsThatMadeWayGoOnWhereTheyAreIfTheAttemptIsGivenUp) {
    auto begun = client(), failed = client();
    begun->query("BEGIN");
    begun->replies();
    failed->query("BEGIN");
    failed->replies();
    failed->query("SELECT 1/0");
    failed->replies();
    EXPECT_EQ(plane_.close().get().outcome, Outcome::drained);
    plane_.give_up();
    begun->query("INSERT INTO t VALUES (1)");
    EXPECT_EQ(begun->replies(), "C Z(T)");
    EXPECT_EQ(plane_.close(std::chrono::milliseconds(50)).get().outcome, Outcome::expired) << "it wrote";
    begun->query("COMMIT");
    EXPECT_EQ(begun->replies(), "C Z(I)");
    failed->query("ROLLBACK");
    EXPECT_EQ(failed->replies(), "C Z(I)");
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t"), "1");
}

TEST_F(Policies, UnderCancelAnIdleTransactionFailsWithTheClientsNextCommandWhateverThatIs) {
    for (const std::string command : {"COMMIT", "INSERT INTO t VALUES (2)", "COMMIT; INSERT INTO t VALUES (3)"}) {
        SCOPED_TRACE(command);
        auto a = client();
        a->query("BEGIN");
        a->replies();
        a->query("INSERT INTO t VALUES (1)");
        a->replies();
        const DrainReport drained = plane_.close(std::chrono::minutes(1), cancelling()).get();
        ASSERT_EQ(drained.outcome, Outcome::drained);
        ASSERT_TRUE(plane_.claim());
        plane_.open_to_other();
        a->query(command);
        EXPECT_EQ(a->replies(), "E(40001) Z(E)");
        a->query("SELECT 1");
        EXPECT_EQ(a->replies(), "E(25P02) Z(E)");
        a->query("ROLLBACK");
        EXPECT_EQ(a->replies(), "C Z(I)");
        plane_.finish_moves();
        EXPECT_EQ(green_->value("SELECT count(*) FROM t") + blue_->value("SELECT count(*) FROM t"), "00");
    }
}

TEST_F(Policies, UnderCancelAPipelineThatCommitsFailsAsAWhole) {
    auto a = client();
    a->query("BEGIN; INSERT INTO t VALUES (1)");
    a->replies();
    go(cancelling());
    a->send(extended("COMMIT", false) + extended("INSERT INTO t VALUES (2)"));
    EXPECT_EQ(a->replies(), "E(40001) Z(E)");
    a->send(extended("ROLLBACK"));
    EXPECT_EQ(a->replies(), "1 2 C Z(I)");
    plane_.finish_moves();
    EXPECT_EQ(green_->value("SELECT count(*) FROM t") + blue_->value("SELECT count(*) FROM t"), "00");
}

TEST_F(Policies, UnderCancelAClientThatRollsBackNoticesNothing) {
    auto a = client();
    a->query("BEGIN; INSERT INTO t VALUES (1)");
    a->replies();
    go(cancelling());
    a->query("ROLLBACK");
    EXPECT_EQ(a->replies(), "C Z(I)");
    EXPECT_EQ(port_of(*a), port_of(*green_));
    plane_.finish_moves();
}

TEST_F(Policies, UnderCancelAStatementInATransactionEndsWith40001) {
    auto a = client();
    a->query("BEGIN; INSERT INTO t VALUES (1)");
    a->replies();
    a->query("SELECT pg_sleep(600)");
    wait_on_blue("PgSleep");
    go(cancelling());
    EXPECT_EQ(a->replies(), "T E(40001) Z(E)");
    a->query("COMMIT");
    EXPECT_EQ(a->replies(), "C Z(I)");
    EXPECT_EQ(port_of(*a), port_of(*green_));
    plane_.finish_moves();
    EXPECT_EQ(green_->value("SELECT count(*) FROM t") + blue_->value("SELECT count(*) FROM t"), "00");
}

// ---------------------------------------------------------------------------------- statements that are run again

/// Whether a SIGINT waits for a process that is stopped.
bool is_interrupted(std::int32_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("ShdPnd:")) return (std::stoull(line.substr(7), nullptr, 16) >> (SIGINT - 1) & 1U) != 0;
    }
    throw std::runtime_error("no process " + std::to_string(pid));
}

TEST_F(Policies, UnderCancelAStatementOfItsOwnIsRunAgainUnnoticed) {
    auto by_query = client(), extended_one = client(), prepared = client();
    by_query->query("INSERT INTO t SELECT 7 FROM pg_sleep(1)");
    extended_one->send(extended("WITH w AS (SELECT pg_sleep(1)) SELECT current_setting('port') FROM w"));
    std::string bytes;
    append(bytes, protocol::Parse{"named", "SELECT pg_sleep(1), current_setting('port')", {}});
    protocol::append_sync(bytes);
    prepared->send(bytes);
    EXPECT_EQ(prepared->replies(), "1 Z(I)");
    bytes.clear();
    protocol::Bind bind;
    bind.statement = "named";
    append(bytes, bind);
    append(bytes, protocol::Execute{});
    protocol::append_sync(bytes);
    prepared->send(bytes);
    wait_on_blue("PgSleep", 3);
    go(cancelling());
    EXPECT_EQ(by_query->replies(), "C Z(I)");
    EXPECT_NE(extended_one->transcript(1).find(port_of(*green_)), std::string::npos);
    EXPECT_NE(prepared->transcript(1).find(port_of(*green_)), std::string::npos);
    EXPECT_EQ(plane_.finish_moves().recovered, 3U);
    EXPECT_EQ(green_->value("SELECT count(*) FROM t"), "1");
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t"), "0");
}

TEST_F(Policies, WhatMayHaveLeftSomethingBehindIsNotRunAgain) {
    struct Excluded {
        const char* why;
        std::string bytes;
        std::string replies;
    };
    const std::string sleep = "pg_sleep(600)";
    std::string two = extended("INSERT INTO t VALUES (5)", false) + extended("SELECT " + sleep);
    std::string named;
    append(named, protocol::Parse{"n", "SELECT " + sleep, {}});
    protocol::Bind bind;
    bind.statement = "n";
    append(named, bind);
    append(named, protocol::Execute{});
    protocol::append_sync(named);
    const Excluded all[] = {
        {"CALL commits inside", simple({"CALL half()"}), "E(40001) Z(I)"},
        {"DO commits inside", simple({"DO $$ BEGIN INSERT INTO t VALUES (1); COMMIT; PERFORM pg_sleep(600); END $$"}),
         "E(40001) Z(I)"},
        {"CALL, extended", extended("CALL half()"), "1 2 E(40001) Z(I)"},
        {"DO, extended", extended("DO $$ BEGIN INSERT INTO t VALUES (1); COMMIT; PERFORM pg_sleep(600); END $$"),
         "1 2 E(40001) Z(I)"},
        {"several commands", simple({"INSERT INTO t VALUES (3); COMMIT; SELECT " + sleep}), "C C T E(40001) Z(I)"},
        {"several in a pipeline", two, "1 2 C 1 2 E(40001) Z(I)"},
        {"a statement that would be there already", named, "1 2 E(40001) Z(I)"},
        {"locks on its way", simple({"SELECT pg_advisory_lock(g), pg_sleep(600) FROM generate_series(1, 8) g"}),
         "T E(40001) Z(I)"},
        {"a notice was heard",
         simple({"WITH a AS MATERIALIZED (SELECT 1) SELECT pg_advisory_unlock(77), pg_sleep(600) FROM a"}),
         "T N E(40001) Z(I)"},
    };
    for (const Excluded& it : all) {
        SCOPED_TRACE(it.why);
        auto a = client();
        a->send(it.bytes);
        wait_on_blue("PgSleep");
        EXPECT_EQ(plane_.close(std::chrono::minutes(1), cancelling()).get().outcome, Outcome::drained);
        plane_.give_up();
        std::string replies = a->replies();
        if (std::string(it.why) == "a notice was heard") replies.insert(2, "N ");  // replies() leaves notices out
        EXPECT_EQ(replies, it.replies);
    }
    EXPECT_EQ(green_->value("SELECT count(*) FROM t"), "0") << "nothing was run on the other side";
}

TEST_F(Policies, AnIndexBuiltConcurrentlyIsNotBuiltTwice) {
    RawClient reader(blue_->port(), "postgres", "postgres");  // past the proxy: the building waits for it
    reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t; LOCK TABLE t IN ACCESS SHARE MODE");
    reader.replies();
    auto a = client();
    a->query("CREATE INDEX CONCURRENTLY half_built ON t (n)");
    wait_on_blue("virtualxid");
    EXPECT_EQ(plane_.close(std::chrono::minutes(1), cancelling()).get().outcome, Outcome::drained);
    plane_.give_up();
    EXPECT_EQ(a->replies(), "E(40001) Z(I)");
    EXPECT_EQ(blue_->value("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "1") << "the first attempt's";
    reader.query("ROLLBACK");
    reader.replies();
    blue_->execute("DROP INDEX half_built");
}

TEST_F(Policies, ADatabaseThatAPipelineMadeIsNotMadeTwice) {
    auto a = client();
    a->send(extended("CREATE DATABASE made", false) + extended("SELECT pg_sleep(600)"));
    wait_on_blue("PgSleep");
    EXPECT_EQ(plane_.close(std::chrono::minutes(1), cancelling()).get().outcome, Outcome::drained);
    plane_.give_up();
    EXPECT_EQ(a->replies(), "1 2 C 1 2 E(40001) Z(I)");
    blue_->execute("DROP DATABASE made");
}

TEST_F(Policies, AStatementThatIsTooLargeToBeKeptIsNotRunAgain) {
    auto a = client();
    const std::string comment(64 * 1024, 'x');
    a->query("INSERT INTO t SELECT 1 FROM pg_sleep(600) /* " + comment + " */");
    wait_on_blue("PgSleep");
    EXPECT_EQ(plane_.close(std::chrono::minutes(1), cancelling()).get().outcome, Outcome::drained);
    plane_.give_up();
    EXPECT_EQ(a->replies(), "E(40001) Z(I)");
}

TEST_F(Policies, WhatARowWasHeardOfIsNotRunAgain) {
    auto a = client();
    a->query("SELECT repeat('x', 100000) FROM generate_series(1, 2) UNION ALL SELECT 'y' FROM pg_sleep(600)");
    EXPECT_EQ(a->next(2), "T D");
    wait_on_blue("PgSleep");
    EXPECT_EQ(plane_.close(std::chrono::minutes(1), cancelling()).get().outcome, Outcome::drained);
    plane_.give_up();
    EXPECT_EQ(a->replies(), "D E(40001) Z(I)");
}

TEST_F(Policies, AfterALostConnectionNothingIsRunAgain) {
    auto a = client();
    a->query("INSERT INTO t SELECT 1 FROM pg_sleep(600)");
    wait_on_blue("PgSleep");
    const std::int32_t backend = plane_.session(a->pid()).server_pid;
    ASSERT_EQ(::kill(backend, SIGSTOP), 0);
    auto drained = plane_.close(std::chrono::minutes(1), cancelling());
    while (!is_interrupted(backend)) std::this_thread::yield();
    // The end of the session comes before the cancel that waits.
    ASSERT_EQ(::kill(backend, SIGTERM), 0);
    ASSERT_EQ(::kill(backend, SIGCONT), 0);
    EXPECT_EQ(drained.get().outcome, Outcome::drained);
    plane_.give_up();
    EXPECT_NE(a->transcript_to_the_end().find("57P01"), std::string::npos);
}

TEST_F(Policies, TheClientsOwnCancelIsNotMistakenForOurs) {
    auto a = client();
    a->query("SELECT pg_sleep(600)");
    wait_on_blue("PgSleep");
    a->cancel();
    EXPECT_EQ(a->replies(), "T E(57014) Z(I)");
    EXPECT_EQ(a->value("SELECT 1"), "1");
}

TEST_F(Policies, AStatementThatWaitsForAnAdvisoryLockIsRunAgainWhateverThePolicy) {
    auto holder = client(), waiter = client();
    holder->query("SELECT pg_advisory_lock(42)");
    holder->replies();
    holder->query("SELECT pg_advisory_lock(42)");
    holder->replies();
    waiter->query("SELECT pg_advisory_lock(7)");
    waiter->replies();
    waiter->query("SELECT pg_advisory_lock(42)");
    wait_on_blue("advisory");
    for (int round = 0; round < 2; ++round) {
        plane_.arm();
        CloseRequest request;
        request.lock_waiters = lock_waiters();
        ASSERT_EQ(request.lock_waiters.size(), 1U);
        EXPECT_EQ(request.lock_waiters[0].locks_held, 1U);
        const DrainReport drained = plane_.close(std::chrono::minutes(1), request).get();
        ASSERT_EQ(drained.outcome, Outcome::drained);
        if (round == 0) {
            plane_.give_up();
            wait_on_blue("advisory");
            continue;
        }
        ASSERT_TRUE(plane_.claim());
        plane_.open_to_other();
        EXPECT_EQ(plane_.finish_moves().failed, 0U);
    }
    while (green_->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") != "1") {
        std::this_thread::yield();
    }
    EXPECT_FALSE(waiter->has_something());
    EXPECT_EQ(holder->value("SELECT pg_advisory_unlock(42)"), "t");
    EXPECT_FALSE(waiter->has_something()) << "taken twice";
    EXPECT_EQ(holder->value("SELECT pg_advisory_unlock(42)"), "t");
    EXPECT_EQ(waiter->replies(), "T D C Z(I)");
    EXPECT_EQ(waiter->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"),
              "2");
}

TEST_F(Policies, AStatementThatIsFoundWaitingForALockBehindTheGateIsRunAgain) {
    auto holder = client(), waiter = client();
    holder->query("SELECT pg_advisory_lock(42)");
    holder->replies();
    waiter->query("SELECT pg_advisory_lock(42)");
    wait_on_blue("advisory");
    auto drained = plane_.close();
    plane_->interrupt_lock_waiters(plane_.attempt(), lock_waiters());
    ASSERT_EQ(drained.get().outcome, Outcome::drained);
    ASSERT_TRUE(plane_.claim());
    plane_.open_to_other();
    EXPECT_EQ(plane_.finish_moves().failed, 0U);
    EXPECT_EQ(holder->value("SELECT pg_advisory_unlock(42)"), "t");
    EXPECT_EQ(waiter->replies(), "T D C Z(I)");
    EXPECT_EQ(port_of(*waiter), port_of(*green_));
}

TEST_F(Policies, ALockThatIsGrantedAtTheMomentOfTheCancelIsNotLeftBehind) {
    for (const bool switched : {false, true}) {
        SCOPED_TRACE(switched);
        auto holder = client(), waiter = client();
        holder->query("SELECT pg_advisory_lock(42)");
        holder->replies();
        waiter->query("SELECT pg_advisory_lock(7)");
        waiter->replies();
        waiter->send(extended("SELECT pg_advisory_lock(42)"));
        wait_on_blue("advisory");
        CloseRequest request;
        request.lock_waiters = lock_waiters();
        ASSERT_EQ(request.lock_waiters.size(), 1U);
        const std::int32_t backend = request.lock_waiters[0].server_pid;
        ASSERT_EQ(::kill(backend, SIGSTOP), 0);
        // The lock is its own, and it does not know yet.
        EXPECT_EQ(holder->value("SELECT pg_advisory_unlock(42)"), "t");
        auto drained = plane_.close(std::chrono::minutes(1), request);
        while (!is_interrupted(backend)) std::this_thread::yield();
        ASSERT_EQ(::kill(backend, SIGCONT), 0);
        ASSERT_EQ(drained.get().outcome, Outcome::drained);
        if (switched) {
            ASSERT_TRUE(plane_.claim());
            plane_.open_to_other();
            EXPECT_EQ(plane_.finish_moves().failed, 0U);
        } else {
            plane_.give_up();
        }
        EXPECT_EQ(waiter->replies(), "1 2 D C Z(I)");
        EXPECT_EQ(waiter->value("SHOW port"), switched ? port_of(*green_) : std::to_string(blue_->port()));
        EXPECT_EQ(holder->value("SELECT pg_try_advisory_lock(42)"), "f");
        for (const std::string key : {"42", "7"}) {
            EXPECT_EQ(waiter->value("SELECT pg_advisory_unlock(" + key + ")"), "t");
            EXPECT_EQ(waiter->value("SELECT pg_advisory_unlock(" + key + ")"), "f") << key << " was held twice";
        }
    }
}

TEST_F(Policies, AStatementThatItsOwnTimeOutEndedIsNotRunAgain) {
    auto a = client();
    a->query("SET statement_timeout = '500ms'");
    a->replies();
    const std::int32_t backend = plane_.session(a->pid()).server_pid;
    const auto began = Clock::now();
    a->query("INSERT INTO t SELECT 1 FROM pg_sleep(600)");
    plane_.wait_for_state(a->pid(), "active");
    // Both the time-out and the cancel wait for it.
    ASSERT_EQ(::kill(backend, SIGSTOP), 0);
    auto drained = plane_.close(std::chrono::minutes(1), cancelling());
    while (!a->has_something() && !is_interrupted(backend)) std::this_thread::yield();
    std::this_thread::sleep_until(began + std::chrono::milliseconds(500));
    ASSERT_EQ(::kill(backend, SIGCONT), 0);
    ASSERT_EQ(drained.get().outcome, Outcome::drained);
    plane_.give_up();
    const std::string replies = a->replies();
    EXPECT_TRUE(replies == "E(40001) Z(I)" || replies == "E(57014) Z(I)") << replies;
}

// ------------------------------------------------------------------------------------------------- pinned sessions

TEST_F(Policies, EndedSessionsAreToldWhichSwitchItWas) {
    auto a = client(), bystander = client();
    EXPECT_EQ(a->value("CREATE TEMP TABLE mine (n int)"), "");
    CloseRequest request;
    request.pinned = control::PinnedPolicy::end;
    go(request);
    const std::string last = a->transcript_to_the_end();
    EXPECT_NE(last.find("57P01"), std::string::npos) << last;
    EXPECT_NE(last.find("switched to green"), std::string::npos) << last;
    EXPECT_NE(last.find("mine"), std::string::npos) << last;
    EXPECT_EQ(port_of(*bystander), port_of(*green_));
    EXPECT_EQ(plane_.finish_moves().ended, 1U);
}

TEST_F(Policies, WhoCannotLogInOnTheStandbyIsKnownBeforeTheWindowAndNamed) {
    for (auto* cluster : {blue_.get(), green_.get()}) cluster->execute("CREATE ROLE locked_out LOGIN");
    auto a = plane_.client("locked_out"), bystander = client();
    green_->execute("ALTER ROLE locked_out NOLOGIN");
    const control::ArmReport armed = plane_.arm();
    EXPECT_EQ(armed.armed, 1U);
    ASSERT_EQ(armed.not_movable.size(), 1U);
    EXPECT_EQ(armed.not_movable[0].user, "locked_out");
    EXPECT_NE(armed.not_movable[0].reason.find("not permitted to log in"), std::string::npos);
    const DrainReport drained = plane_.close().get();
    EXPECT_EQ(drained.outcome, Outcome::pinned);
    ASSERT_EQ(drained.holding_up.size(), 1U);
    EXPECT_EQ(drained.holding_up[0].user, "locked_out");
    plane_.give_up();
    EXPECT_EQ(port_of(*a), std::to_string(blue_->port()));
    // It is tried again after each attempt.
    green_->execute("ALTER ROLE locked_out LOGIN");
    while (plane_.close().get().outcome != Outcome::drained) plane_.give_up();
    ASSERT_TRUE(plane_.claim());
    plane_.open_to_other();
    EXPECT_EQ(plane_.finish_moves().failed, 0U);
    EXPECT_EQ(port_of(*a), port_of(*green_));
    a.reset();
    for (auto* cluster : {blue_.get(), green_.get()}) cluster->execute("DROP ROLE locked_out");
}

/// As by idle_session_timeout, an administrator, or a standby that was restarted.
TEST_F(Policies, AnArmedBackendThatDiesIsArmedAgain) {
    auto a = client(), listener = client();
    a->query("SET work_mem = '11MB'");
    a->replies();
    listener->query("LISTEN news");
    listener->replies();
    const auto armed = [] {
        return green_->value(
            "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
            "pid <> pg_backend_pid()");
    };
    EXPECT_EQ(plane_.arm().armed, 2U);
    const std::string before = armed();
    green_->execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
        "pid <> pg_backend_pid()");
    std::istringstream words(before);
    for (pid_t pid = 0; words >> pid;)
        while (::kill(pid, 0) == 0) std::this_thread::yield();
    EXPECT_EQ(plane_.arm().armed, 2U);
    EXPECT_NE(armed(), before);
    go();
    EXPECT_EQ(a->value("SHOW work_mem"), "11MB");
    EXPECT_EQ(port_of(*a), port_of(*green_));
    EXPECT_EQ(plane_.finish_moves().failed, 0U);
    EXPECT_EQ(listener->value("SELECT pg_listening_channels()"), "news");
}

TEST_F(Policies, ATemporaryTableThatAFunctionMadeIsFoundInTheWindow) {
    auto a = client();
    EXPECT_EQ(a->value("DO $$ BEGIN EXECUTE 'CREATE TE' || 'MP TABLE hidden (n int)'; END $$"), "");
    const DrainReport drained = plane_.close().get();
    EXPECT_EQ(drained.outcome, Outcome::pinned);
    ASSERT_EQ(drained.holding_up.size(), 1U);
    EXPECT_NE(drained.holding_up[0].reason.find("hidden"), std::string::npos);
    plane_.give_up();
    a->value("DROP TABLE hidden");
    EXPECT_EQ(plane_.close().get().outcome, Outcome::drained) << "it is asked again";
    plane_.give_up();
}

}  // namespace
}  // namespace turnout::test
