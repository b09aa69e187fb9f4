// Transactions that finish on the side that was left: every way in which something could be written there, or held, or
// heard by nobody, on real servers.
#include <gtest/gtest.h>

#include <future>
#include <memory>
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
    CREATE SEQUENCE s;
    CREATE FUNCTION hides_a_lock() RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_lock(7); RETURN 'mine'; END $$;
    CREATE FUNCTION tries_a_lock() RETURNS bool LANGUAGE plpgsql AS
        $$ BEGIN RETURN pg_try_advisory_lock(9); END $$;
    CREATE FUNCTION says() RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_notify('news', 'from behind'); RETURN 'said'; END $$;
    CREATE FUNCTION swallows() RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO t VALUES (1); RETURN 'written'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;)";

class LeftBehind : public TwoServers<LeftBehind> {
  protected:
    static void SetUpTestSuite() { set_up(kSchema); }
    void SetUp() override {
        for (auto* cluster : {blue_.get(), green_.get()}) cluster->execute("TRUNCATE t");
    }

    /// One with a transaction that has read.
    std::unique_ptr<RawClient> reader(const std::string& begin = "BEGIN") {
        auto it = client();
        say(*it, begin, "C Z(T)");
        say(*it, "SELECT count(*) FROM t", "T D C Z(T)");
        return it;
    }
    static void say(RawClient& client, const std::string& sql, const std::string& replies) {
        client.query(sql);
        EXPECT_EQ(client.replies(), replies) << sql;
    }

    static CloseRequest leaving() {
        CloseRequest request;
        request.read_only_at = Clock::now();
        return request;
    }
    /// Opens to the other side without waiting for whoever can be left behind.
    void leave() { go(leaving()); }
    static void until(const support::Cluster& cluster, const std::string& question, const std::string& answer) {
        const auto end = Clock::now() + std::chrono::seconds(30);
        std::string last;
        while (Clock::now() < end && (last = cluster.value(question)) != answer) std::this_thread::yield();
        EXPECT_EQ(last, answer) << question;
    }
    static constexpr const char* kSessions =
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
};

TEST_F(LeftBehind, ATransactionThatReadsFinishesWhereItIsAndItsSessionComesAfter) {
    auto a = reader("BEGIN ISOLATION LEVEL REPEATABLE READ"), bystander = client();
    leave();
    EXPECT_EQ(port_of(*bystander), port_of(*green_));
    const control::MoveReport moved = plane_.finish_moves();
    EXPECT_EQ(moved.left_behind, 1U);
    EXPECT_EQ(moved.failed, 0U);
    EXPECT_EQ(plane_.session(a->pid()).side, Side::blue);
    EXPECT_NE(plane_.session(a->pid()).reason.find("finishes a read-only transaction on blue"), std::string::npos);
    for (auto* cluster : {blue_.get(), green_.get()}) cluster->execute("INSERT INTO t VALUES (1)");
    EXPECT_EQ(a->value("SELECT count(*) FROM t"), "0") << "as of then";
    EXPECT_EQ(port_of(*a), port_of(*blue_));
    a->send(extended("SELECT count(*) FROM t"));
    EXPECT_EQ(a->replies(), "1 2 D C Z(T)");
    say(*a, "COMMIT", "C Z(I)");
    EXPECT_EQ(port_of(*a), port_of(*green_));
    say(*a, "INSERT INTO t VALUES (2)", "C Z(I)");
    EXPECT_EQ(green_->value("SELECT count(*) FROM t"), "2");
    until(*blue_, kSessions, "0");
}

TEST_F(LeftBehind, NothingIsWrittenWhateverItsClientTries) {
    struct Escape {
        std::string bytes, replies;
        bool in_transaction = true;  ///< afterwards, as failed
    };
    const std::string insert = "INSERT INTO t VALUES (1)";
    const Escape all[] = {
        {simple({"COMMIT; " + insert}), "E(40001) Z(E)"},
        {simple({"ROLLBACK; " + insert}), "E(40001) Z(E)"},
        {simple({"SELECT $a$;$a$; ROLLBACK/* ; */; " + insert}), "E(40001) Z(E)"},
        {extended("COMMIT", false) + extended(insert), "1 2 C 1 2 E(40001) Z(I)", false},
        {extended("ROLLBACK", false) + extended("SELECT 1", false) + extended(insert), "1 2 C 1 2 E(40001) Z(I)",
         false},
        {simple({"COMMIT AND CHAIN"}), "E(40001) Z(E)"},
        {extended("ROLLBACK AND CHAIN"), "E(40001) Z(E)"},
        {simple({"SET TRANSACTION READ WRITE"}), "E(25001) Z(E)"},
        {simple({"SET transaction_read_only = off"}), "E(25001) Z(E)"},
        {simple({"SELECT set_config('transaction_read_only', 'off', true)"}), "T E(25001) Z(E)"},
        {simple({insert}), "E(40001) Z(E)"},
        {extended(insert), "1 2 E(40001) Z(E)"},
        {simple({"SELECT nextval('s')"}), "T E(40001) Z(E)"},
        {simple({"SELECT * FROM t FOR UPDATE"}), "E(40001) Z(E)"},
        {simple({"CREATE TABLE u (n int)"}), "E(40001) Z(E)"},
        {simple({"COPY t FROM STDIN"}), "E(40001) Z(E)"},
        {simple({"PREPARE TRANSACTION 'left'"}), "E(40001) Z(E)"},
        {simple({"LISTEN news"}), "E(40001) Z(E)"},
        {simple({"NOTIFY news"}), "E(40001) Z(E)"},
        {simple({"SELECT pg_notify('news', '')"}), "E(40001) Z(E)"},
        {simple({"SELECT pg_advisory_lock(1)"}), "E(40001) Z(E)"},
        {extended("SELECT pg_advisory_xact_lock(1)"), "E(40001) Z(E)"},
        {simple({"DECLARE c CURSOR WITH HOLD FOR SELECT 1"}), "E(40001) Z(E)"},
    };
    std::vector<std::unique_ptr<RawClient>> clients;
    for (std::size_t i = 0; i < std::size(all); ++i) clients.push_back(reader());
    leave();
    EXPECT_EQ(plane_.finish_moves().left_behind, std::size(all));
    for (std::size_t i = 0; i < std::size(all); ++i) {
        SCOPED_TRACE(all[i].bytes);
        RawClient& a = *clients[i];
        a.send(all[i].bytes);
        EXPECT_EQ(a.replies(), all[i].replies);
        if (all[i].in_transaction) {
            say(a, insert, "E(25P02) Z(E)");
            say(a, "ROLLBACK", "C Z(I)");
        }
        EXPECT_EQ(port_of(a), port_of(*green_));
    }
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t") + green_->value("SELECT count(*) FROM t"), "00");
    EXPECT_EQ(blue_->value("SELECT is_called FROM s"), "f");
    until(*blue_, kSessions, "0");
}

/// What a read-only transaction may do, though it is more than reading.
TEST_F(LeftBehind, WhatTakesATransactionIdOrALockIsRolledBackBeforeItCanCommit) {
    const std::pair<std::string, std::string> all[] = {
        {"SELECT pg_current_xact_id()", "T D C Z(T)"},
        {"SELECT pg_logical_emit_message(true, 'a', 'b')", "T D C Z(T)"},
        {"SELECT lo_create(0)", "T D C Z(T)"},
        {"LOCK TABLE t IN EXCLUSIVE MODE", "C Z(T)"},
        {"ANALYZE t", "C Z(T)"},
        {"SELECT hides_a_lock()", "T D C Z(T)"},
    };
    std::vector<std::unique_ptr<RawClient>> clients;
    for (std::size_t i = 0; i < std::size(all); ++i) clients.push_back(reader());
    leave();
    for (std::size_t i = 0; i < std::size(all); ++i) {
        RawClient& a = *clients[i];
        say(a, all[i].first, all[i].second);
        say(a, "COMMIT", "E(40001) Z(E)");
        say(a, "ROLLBACK", "C Z(I)");
        EXPECT_EQ(port_of(a), port_of(*green_));
    }
    plane_.finish_moves();
    EXPECT_EQ(blue_->value("SELECT count(*) FROM pg_largeobject_metadata"), "0");
    EXPECT_EQ(blue_->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
    EXPECT_EQ(green_->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
}

TEST_F(LeftBehind, AWriteThatAFunctionSwallowsIsNoWrite) {
    auto a = reader();
    leave();
    EXPECT_EQ(a->value("SELECT swallows()"), "25006");
    say(*a, "COMMIT", "C Z(I)");
    plane_.finish_moves();
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t") + green_->value("SELECT count(*) FROM t"), "00");
}

TEST_F(LeftBehind, WhoCannotBeLeftIsWaitedFor) {
    std::vector<std::unique_ptr<RawClient>> all;
    const auto add = [&](const std::string& first, const std::string& second = "") {
        all.push_back(client());
        say(*all.back(), "BEGIN", "C Z(T)");
        all.back()->value(first);
        if (!second.empty()) all.back()->value(second);
    };
    add("SHOW port");  // no snapshot: READ WRITE could be set afterwards
    add("SELECT 1", "INSERT INTO t VALUES (1)");
    add("SELECT 1", "SELECT pg_current_xact_id()");
    add("SELECT 1", "LOCK TABLE t IN ROW SHARE MODE");
    add("SELECT 1", "SELECT pg_advisory_xact_lock(1)");
    add("SELECT 1", "SELECT hides_a_lock()");
    add("SAVEPOINT s", "SELECT 1");
    add("SELECT 1", "NOTIFY news");
    add("SELECT 1", "COMMIT AND CHAIN");
    all.push_back(reader());
    std::string bytes;
    append(bytes, protocol::Parse{"", "INSERT INTO t VALUES (2)", {}});
    protocol::Bind bind;
    bind.portal = "waits";
    append(bytes, bind);
    protocol::append_sync(bytes);
    all.back()->send(bytes);
    EXPECT_EQ(all.back()->replies(), "1 2 Z(T)");
    const DrainReport drained = plane_.close(std::chrono::milliseconds(300), leaving()).get();
    EXPECT_EQ(drained.outcome, Outcome::expired);
    EXPECT_EQ(drained.holding_up.size(), all.size());
    for (auto& it : all) {
        say(*it, "INSERT INTO t VALUES (3)", "C Z(T)");
        say(*it, "COMMIT", "C Z(I)");
    }
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t WHERE n = 3"), std::to_string(all.size()));
}

TEST_F(LeftBehind, OneThatOnlyBeganBeginsAgainAndOneThatFailedStaysFailed) {
    auto begun = client(), failed = client();
    say(*begun, "BEGIN", "C Z(T)");
    say(*failed, "BEGIN", "C Z(T)");
    say(*failed, "SELECT 1/0", "E(22012) Z(E)");
    leave();
    say(*begun, "INSERT INTO t VALUES (1)", "C Z(T)");
    say(*begun, "COMMIT", "C Z(I)");
    say(*failed, "INSERT INTO t VALUES (1)", "E(25P02) Z(E)");
    say(*failed, "ROLLBACK", "C Z(I)");
    EXPECT_EQ(plane_.finish_moves().left_behind, 0U);
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t") + green_->value("SELECT count(*) FROM t"), "01");
}

TEST_F(LeftBehind, SavepointsOfItsOwnWorkAndDoNotLetItWrite) {
    auto a = reader();
    leave();
    say(*a, "SAVEPOINT s", "C Z(T)");
    a->query("INSERT INTO t VALUES (1)");
    EXPECT_NE(a->transcript(1).find("the transaction cannot go on like this"), std::string::npos);
    say(*a, "ROLLBACK TO s", "C Z(T)");
    say(*a, "INSERT INTO t VALUES (1)", "E(40001) Z(E)");
    a->send(extended("ROLLBACK TO SAVEPOINT s"));
    EXPECT_EQ(a->replies(), "1 2 C Z(T)");
    say(*a, "RELEASE s", "C Z(T)");
    say(*a, "COMMIT", "C Z(I)");
    plane_.finish_moves();
    EXPECT_EQ(port_of(*a), port_of(*green_));
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t"), "0");
}

TEST_F(LeftBehind, CursorsGoOnByPortalAndBySql) {
    auto a = reader();
    say(*a, "DECLARE c CURSOR FOR SELECT generate_series(1, 5)", "C Z(T)");
    std::string bytes;
    append(bytes, protocol::Parse{"", "SELECT generate_series(1, 5)", {}});
    protocol::Bind bind;
    bind.portal = "p";
    append(bytes, bind);
    append(bytes, protocol::Execute{"p", 2});
    protocol::append_sync(bytes);
    a->send(bytes);
    EXPECT_EQ(a->replies(), "1 2 D D s Z(T)");
    leave();
    // An Execute behind the answer of the one before, without a Sync in between.
    std::string one;
    append(one, protocol::Execute{"p", 2});
    protocol::append_flush(one);
    a->send(one);
    EXPECT_EQ(a->next(3), "D D s");
    a->send(one);
    EXPECT_EQ(a->next(2), "D C");
    bytes.clear();
    protocol::append_sync(bytes);
    a->send(bytes);
    EXPECT_EQ(a->replies(), "Z(T)");
    say(*a, "FETCH 4 FROM c", "T D D D D C Z(T)");
    say(*a, "CLOSE c", "C Z(T)");
    say(*a, "COMMIT", "C Z(I)");
    EXPECT_EQ(port_of(*a), port_of(*green_));
    plane_.finish_moves();
}

TEST_F(LeftBehind, AfterACommitNothingOfTheSameBatchRunsEvenIfItsAnswerIsAwaited) {
    auto a = reader();
    leave();
    std::string commit = extended("COMMIT", false);
    protocol::append_flush(commit);
    a->send(commit);
    EXPECT_EQ(a->next(3), "1 2 C");
    a->send(extended("INSERT INTO t VALUES (1)"));
    EXPECT_EQ(a->replies(), "1 2 E(40001) Z(I)");
    EXPECT_EQ(port_of(*a), port_of(*green_));
    plane_.finish_moves();
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t") + green_->value("SELECT count(*) FROM t"), "00");
}

TEST_F(LeftBehind, WhatItChangedInItsSessionComesAfter) {
    auto a = reader();
    leave();
    say(*a, "SET work_mem = '5MB'", "C Z(T)");
    say(*a, "SELECT set_config('app.tenant_id', '7', false)", "T D C Z(T)");
    say(*a, "PREPARE p AS SELECT 1", "C Z(T)");
    say(*a, "COMMIT", "C Z(I)");
    EXPECT_EQ(port_of(*a), port_of(*green_));
    EXPECT_EQ(a->value("SHOW work_mem"), "5MB");
    EXPECT_EQ(a->value("SHOW app.tenant_id"), "7");
    EXPECT_EQ(a->value("EXECUTE p"), "1");
    plane_.finish_moves();
}

TEST_F(LeftBehind, IfTheAttemptIsGivenUpItGoesOnAndCanBeRunAgain) {
    auto a = reader();
    EXPECT_EQ(plane_.close(std::chrono::minutes(1), leaving()).get().outcome, Outcome::drained);
    plane_.give_up();
    EXPECT_EQ(a->value("SELECT count(*) FROM t"), "0");
    say(*a, "INSERT INTO t VALUES (1)", "E(40001) Z(E)");
    say(*a, "ROLLBACK", "C Z(I)");
    say(*a, "BEGIN; INSERT INTO t VALUES (1); COMMIT", "C C C Z(I)");
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t"), "1");
    EXPECT_EQ(port_of(*a), port_of(*blue_));
}

TEST_F(LeftBehind, ListenersHearItAndLocksAreNotItsToTake) {
    auto a = reader(), listener = client(), holder = client();
    say(*listener, "LISTEN news", "C Z(I)");
    say(*holder, "SELECT pg_advisory_lock(9)", "T D C Z(I)");
    leave();
    plane_.finish_moves();
    EXPECT_EQ(port_of(*listener), port_of(*green_));
    EXPECT_EQ(port_of(*holder), port_of(*green_));
    EXPECT_EQ(a->value("SELECT tries_a_lock()"), "f");
    EXPECT_EQ(a->value("SELECT says()"), "said");
    say(*a, "COMMIT", "C Z(I)");
    EXPECT_EQ(listener->next(1), "A");
    until(*blue_, kSessions, "0");
    EXPECT_EQ(holder->value("SELECT pg_advisory_unlock(9)"), "t");
    EXPECT_EQ(holder->value("SELECT pg_advisory_unlock(9)"), "f");
}

TEST_F(LeftBehind, TheNextSwitchWaitsForItOrEndsIt) {
    auto a = reader();
    leave();
    plane_.finish_moves();
    const DrainReport drained = plane_.close(std::chrono::milliseconds(50)).get();
    EXPECT_EQ(drained.outcome, Outcome::expired);
    ASSERT_EQ(drained.holding_up.size(), 1U);
    EXPECT_NE(drained.holding_up[0].reason.find("read-only transaction on blue"), std::string::npos);
    EXPECT_EQ(port_of(*a), port_of(*blue_)) << "and it goes on";
    CloseRequest cancelling;
    cancelling.cancel_at = Clock::now();
    EXPECT_EQ(plane_.close(std::chrono::minutes(1), cancelling).get().outcome, Outcome::drained);
    ASSERT_TRUE(plane_.claim());
    plane_.open_to_other();
    say(*a, "INSERT INTO t VALUES (1)", "E(40001) Z(E)");
    say(*a, "ROLLBACK", "C Z(I)");
    say(*a, "INSERT INTO t VALUES (2)", "C Z(I)");
    plane_.finish_moves();
    EXPECT_EQ(blue_->value("SELECT sum(n) FROM t"), "2");
}

TEST_F(LeftBehind, OneWhoseClientGoesIsNotWaitedFor) {
    auto a = reader(), bystander = client();
    leave();
    plane_.finish_moves();
    EXPECT_NE(blue_->value(kSessions), "0");
    a->vanish();
    until(*blue_, kSessions, "0");
    EXPECT_EQ(plane_.change().failed, 0U);
    EXPECT_EQ(port_of(*bystander), port_of(*blue_));
}

}  // namespace
}  // namespace turnout::test
