// What a client uses is planned on its armed backend before the move, is not executed there, and leaves nothing behind.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include "protocol/frontend_messages.hpp"
#include "two_servers.hpp"

namespace turnout::test {
namespace {

using control::DrainReport;

/// planned() is called by whoever plans, executed() only by whoever executes; both say so in the server's log.
constexpr const char* kSchema = R"(
CREATE TABLE t (n int);
INSERT INTO t VALUES (7);
CREATE FUNCTION planned(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$BEGIN RAISE LOG 'planner has called with %', n; RETURN n; END$$;
CREATE FUNCTION executed(n int) RETURNS int VOLATILE LANGUAGE plpgsql AS
    $$BEGIN RAISE LOG 'executor has called with %', n; RETURN n; END$$;
CREATE FUNCTION locked(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$BEGIN PERFORM pg_advisory_lock(n); RETURN n; END$$)";

class Warming : public TwoServers<Warming> {
  protected:
    static void SetUpTestSuite() { set_up(kSchema); }

    /// Whether green has said that since the test began.
    bool logged(const std::string& text) const { return green_->log().find(text, log_begins_) != std::string::npos; }
    /// What the sessions on green do and hold, but for whoever asks.
    static std::string left_on_green() {
        return green_->value(
            "SELECT concat_ws(' ', (SELECT string_agg(DISTINCT state, ',') FROM pg_stat_activity WHERE client_port > 0 "
            "AND pid <> pg_backend_pid()), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'))");
    }
    /// Closes the gate and moves everybody.
    void change() {
        go();
        EXPECT_EQ(plane_.finish_moves().failed, 0U);
    }
    void run(std::string_view sql) {
        client_->query(sql);
        client_->replies();
    }

    std::unique_ptr<RawClient> client_ = client();
    const std::size_t log_begins_ = green_->log().size();
};

std::string prepare(std::string_view name, std::string_view sql) {
    std::string bytes;
    append(bytes, protocol::Parse{name, sql, {}});
    protocol::append_sync(bytes);
    return bytes;
}

std::string execute(std::string_view name, std::vector<std::optional<std::string_view>> values = {}) {
    std::string bytes;
    append(bytes, protocol::Bind{"", name, {}, std::move(values), {}});
    append(bytes, protocol::Execute{});
    protocol::append_sync(bytes);
    return bytes;
}

TEST_F(Warming, WhatAClientSaysIsPlannedOnTheStandbyAndNotExecuted) {
    plane_.arm();
    run("BEGIN; UPDATE t SET n = executed(n) WHERE n = planned(101); COMMIT");
    client_->send(extended("DELETE FROM t WHERE n = planned(102) AND executed(n) > 0"));
    EXPECT_EQ(client_->replies(), "1 2 C Z(I)");
    run("SELECT executed(n) FROM t WHERE n > planned(103) FOR UPDATE");
    run("INSERT INTO t VALUES (executed(planned(104)))");
    plane_.warm().get();
    for (const char* call : {"101", "102", "103", "104"})
        EXPECT_TRUE(logged(std::string("planner has called with ") + call)) << call;
    EXPECT_FALSE(logged("executor has called"));
    EXPECT_FALSE(logged("ERROR"));
    EXPECT_EQ(green_->value("SELECT string_agg(n::text, ' ') FROM t"), "7");
    EXPECT_EQ(left_on_green(), "idle 0");
    change();
    EXPECT_EQ(client_->value("SELECT string_agg(n::text, ' ') FROM t"), "7") << "green's, with nothing of blue's";
}

TEST_F(Warming, WhatWasSaidShortlyBeforeTheArmingCountsToo) {
    run("SELECT planned(201)");
    plane_.arm();
    plane_.warm().get();
    EXPECT_TRUE(logged("planner has called with 201"));
}

TEST_F(Warming, NamedStatementsArePlannedByTheirNames) {
    client_->send(prepare("named", "SELECT n + $1::int FROM t LIMIT 1"));
    EXPECT_EQ(client_->replies(), "1 Z(I)");
    plane_.arm();
    client_->send(execute("named", {"1"}));
    EXPECT_EQ(client_->replies(), "2 D C Z(I)");
    plane_.warm().get();
    plane_.warm().get();
    change();
    EXPECT_EQ(client_->value("SELECT generic_plans + custom_plans FROM pg_prepared_statements"), "1")
        << "planned there, and once only";
    client_->send(execute("named", {"1"}));
    EXPECT_EQ(client_->replies(), "2 D C Z(I)");
}

TEST_F(Warming, StatementPreparedBehindTheArmingIsPlannedByItsText) {
    plane_.arm();
    client_->send(prepare("late", "SELECT planned(301) + $1::int"));
    EXPECT_EQ(client_->replies(), "1 Z(I)");
    client_->send(execute("late", {"1"}));
    EXPECT_EQ(client_->replies(), "2 D C Z(I)");
    plane_.warm().get();
    EXPECT_TRUE(logged("planner has called with 301"));
    change();
    client_->send(execute("late", {"1"}));
    EXPECT_EQ(client_->replies(), "2 D C Z(I)");
}

TEST_F(Warming, TheUnnamedStatementIsTheClientsAsBefore) {
    client_->send(prepare("", "SELECT 40 + $1::int AS n"));
    EXPECT_EQ(client_->replies(), "1 Z(I)");
    plane_.arm();
    client_->send(execute("", {"1"}));
    EXPECT_EQ(client_->replies(), "2 D C Z(I)");
    plane_.warm().get();
    change();
    client_->send(execute("", {"2"}));
    EXPECT_NE(client_->transcript(1).find("42"), std::string::npos);
    EXPECT_EQ(client_->value("SELECT count(*) FROM pg_prepared_statements"), "0");
}

TEST_F(Warming, WhatCannotBePlannedLeavesTheSessionAsItIs) {
    blue_->execute("CREATE TABLE only_blue (n int)");
    plane_.arm();
    run("SELECT n FROM only_blue");
    run("SELECT 1; SELEC 2; SELECT 3");
    run("VACUUM t");
    run("SELECT '" + std::string(20000, 'x') + "'");
    for (int i = 0; i < 40; ++i) run("SELECT 1 AS c" + std::to_string(i));
    plane_.warm().get();
    EXPECT_EQ(left_on_green(), "idle 0");
    EXPECT_TRUE(plane_.session(client_->pid()).armed);
    EXPECT_TRUE(logged("only_blue"));
    change();
    EXPECT_EQ(client_->value("SELECT 'there'"), "there");
    run("BEGIN");
    run("INSERT INTO t VALUES (8)");
    client_->query("ROLLBACK");
    EXPECT_EQ(client_->replies(), "C Z(I)");
}

TEST_F(Warming, LocksThatAFunctionTakesWhileItIsPlannedAreGivenBack) {
    plane_.arm();
    run("SELECT locked(5)");
    run("SELECT pg_advisory_unlock_all()");
    plane_.warm().get();
    EXPECT_EQ(left_on_green(), "idle 0");
    change();
    EXPECT_EQ(left_on_green(), "idle 0");
}

/// A client that uses many statements on a table that is locked on green: planning each waits for a while.
class WarmingHeldUp : public Warming {
  protected:
    WarmingHeldUp() {
        holder_.query("BEGIN; LOCK TABLE t");
        holder_.replies();
        plane_.arm();
        for (int i = 0; i < 16; ++i) run("SELECT n AS c" + std::to_string(i) + " FROM t");
    }
    /// The pid of the armed backend, once it waits.
    static std::string waiting() {
        for (;;) {
            const std::string pid =
                green_->value("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND client_port > 0");
            if (!pid.empty()) return pid;
        }
    }

    RawClient holder_{green_->port(), "postgres", "postgres"};
};

TEST_F(WarmingHeldUp, TheGateClosesAndOpensAllTheSame) {
    auto warm = plane_.warm();
    waiting();
    change();
    warm.get();
    EXPECT_EQ(client_->value("SHOW port"), std::to_string(green_->port()));
}

TEST_F(WarmingHeldUp, ABackendThatIsLostIsReplaced) {
    auto warm = plane_.warm();
    green_->execute("SELECT pg_terminate_backend(" + waiting() + ")");
    warm.get();
    while (!plane_.session(client_->pid()).armed) std::this_thread::yield();
    change();
    EXPECT_EQ(client_->value("SHOW port"), std::to_string(green_->port()));
}

TEST_F(WarmingHeldUp, AfterADisarmNobodyIsLeftThere) {
    auto warm = plane_.warm();
    waiting();
    plane_->disarm();
    warm.get();
    holder_.query("ROLLBACK");
    holder_.replies();
    while (green_->value("SELECT count(*) FROM pg_stat_activity WHERE client_port > 0 AND pid <> pg_backend_pid()") !=
           "1") {
        std::this_thread::yield();
    }
    EXPECT_FALSE(plane_.session(client_->pid()).armed);
}

TEST_F(Warming, AStandbyThatHangsAndDiesHoldsNobodyUp) {
    plane_.arm();
    run("SELECT n FROM t");
    green_->freeze();
    auto warm = plane_.warm();
    EXPECT_EQ(client_->value("SELECT 'served'"), "served");
    green_->crash();
    warm.get();
    EXPECT_EQ(client_->value("SELECT 'served'"), "served");
    green_->start();
    EXPECT_EQ(plane_.arm().armed, 1U);
    plane_.warm().get();
    change();
    EXPECT_EQ(client_->value("SHOW port"), std::to_string(green_->port()));
}

}  // namespace
}  // namespace turnout::test
