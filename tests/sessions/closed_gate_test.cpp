// What a closed gate lets through and what it holds, on a real server, said by a client that pipelines.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include "plane.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/startup.hpp"
#include "protocol/writer.hpp"
#include "socket.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::test {
namespace {

using control::DrainReport;
using Outcome = DrainReport::Outcome;
using std::chrono::milliseconds;

/// Two servers, the data plane in front of them, and control's thread.
class ClosedGate : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        blue_ = std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .name = "blue"});
        green_ = std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .name = "green"});
        for (auto* cluster : {blue_.get(), green_.get()}) {
            cluster->execute("CREATE TABLE t (n int)");
        }
    }
    static void TearDownTestSuite() {
        green_.reset();
        blue_.reset();
    }

    void SetUp() override {
        blue_->execute("TRUNCATE t");
        plane_ = std::make_unique<Plane>(*blue_, *green_);
    }

    std::unique_ptr<RawClient> client() { return plane_->client(); }
    std::future<DrainReport> close(milliseconds bound = milliseconds(60'000)) { return plane_->close(bound); }
    void open() { plane_->give_up(); }
    void wait_for_state(std::int32_t pid, const std::string& state) { plane_->wait_for_state(pid, state); }

    static std::unique_ptr<support::Cluster> blue_, green_;
    std::unique_ptr<Plane> plane_;
};

std::unique_ptr<support::Cluster> ClosedGate::blue_;
std::unique_ptr<support::Cluster> ClosedGate::green_;

TEST_F(ClosedGate, IdleSessionsDrainAtOnceAndHoldWhatTheySayThen) {
    auto a = client();
    auto drained = close();
    EXPECT_EQ(drained.get().outcome, Outcome::drained);
    a->query("SELECT 1");
    wait_for_state(a->pid(), "held");
    EXPECT_FALSE(a->has_something());
    open();
    EXPECT_EQ(a->replies(), "T D C Z(I)");
}

TEST_F(ClosedGate, ASessionThatIsHeldAtSeveralAttemptsCountsOnce) {
    auto a = client();
    auto b = client();
    plane_->arm();
    for (int attempt = 0; attempt < 3; ++attempt) {
        ASSERT_EQ(close().get().outcome, Outcome::drained);
        a->query("SELECT 1");
        wait_for_state(a->pid(), "held");
        if (attempt < 2) {
            open();
        } else {
            ASSERT_TRUE(plane_->claim());
            plane_->open_to_other();
        }
        EXPECT_EQ(a->replies(), "T D C Z(I)");
    }
    const control::MoveReport report = plane_->finish_moves();
    EXPECT_EQ(report.held, 1U);
    EXPECT_EQ(report.stalls.size(), 3U);
    EXPECT_EQ(report.total, 2U);
}

TEST_F(ClosedGate, APipelinedCommitIsLetThroughTheBeginBehindItIsHeld) {
    auto a = client();
    a->query("BEGIN; INSERT INTO t VALUES (1)");
    EXPECT_EQ(a->replies(), "C C Z(T)");
    auto drained = close();
    a->send(simple({"COMMIT", "BEGIN", "COMMIT"}));
    EXPECT_EQ(drained.get().outcome, Outcome::drained);
    EXPECT_EQ(a->replies(), "C Z(I)");
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t"), "1");
    wait_for_state(a->pid(), "held");
    EXPECT_FALSE(a->has_something());
    open();
    EXPECT_EQ(a->replies(2), "C Z(T) C Z(I)");
}

TEST_F(ClosedGate, AnExtendedBatchThatWasBegunIsLetOnToItsSync) {
    auto a = client();
    a->send(extended("INSERT INTO t VALUES (1)", false) + [] {
        std::string flush;
        protocol::append_flush(flush);
        return flush;
    }());
    EXPECT_EQ(a->next(3), "1 2 C");
    auto drained = close();
    std::string rest;
    protocol::append_sync(rest);
    a->send(rest + extended("SELECT 1"));
    EXPECT_EQ(drained.get().outcome, Outcome::drained);
    EXPECT_EQ(a->replies(), "Z(I)");
    wait_for_state(a->pid(), "held");
    open();
    EXPECT_EQ(a->replies(), "1 2 D C Z(I)");
}

TEST_F(ClosedGate, ALivingCopyIsFedToItsEnd) {
    auto a = client();
    a->query("COPY t FROM STDIN");
    EXPECT_EQ(a->next(1), "G");
    auto drained = close();
    std::string data;
    protocol::Writer(data).begin(protocol::FrontendType::copy_data).bytes("1\n2\n").end();
    protocol::append_copy_done(data);
    a->send(data + simple({"SELECT 1"}));
    EXPECT_EQ(drained.get().outcome, Outcome::drained);
    EXPECT_EQ(a->replies(), "C Z(I)");
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t"), "2");
    open();
    EXPECT_EQ(a->replies(), "T D C Z(I)");
}

TEST_F(ClosedGate, CopyDataBehindAHeldQueryWaitsWithIt) {
    auto a = client();
    ASSERT_EQ(close().get().outcome, Outcome::drained);
    std::string bytes = simple({"COPY t FROM STDIN"});
    protocol::Writer(bytes).begin(protocol::FrontendType::copy_data).bytes("7\n").end();
    protocol::append_copy_done(bytes);
    a->send(bytes);
    wait_for_state(a->pid(), "held");
    open();
    EXPECT_EQ(a->replies(), "G C Z(I)");
    EXPECT_EQ(blue_->value("SELECT n FROM t"), "7");
}

TEST_F(ClosedGate, HalfAMessageDoesNotHoldTheDrain) {
    auto a = client();
    const std::string whole = simple({"SELECT 42"});
    a->send(std::string_view(whole).substr(0, 9));
    auto drained = close();
    EXPECT_EQ(drained.get().outcome, Outcome::drained);
    a->send(std::string_view(whole).substr(9));
    open();
    EXPECT_EQ(a->replies(), "T D C Z(I)");
}

TEST_F(ClosedGate, TheDeadlineOpensItWhoeverHoldsItUpIsNamed) {
    auto a = client();
    a->query("BEGIN; SELECT 1");
    EXPECT_EQ(a->replies(), "C T D C Z(T)");
    auto b = client();
    const DrainReport report = close(milliseconds(50)).get();
    EXPECT_EQ(report.outcome, Outcome::expired);
    ASSERT_EQ(report.holding_up.size(), 1U);
    EXPECT_EQ(report.holding_up[0].client_pid, a->pid());
    EXPECT_EQ(report.holding_up[0].state, "idle in transaction");
    EXPECT_FALSE(plane_->claim()) << "too late";
    EXPECT_EQ(b->value("SELECT 5"), "5") << "goes on without control's doing";
}

TEST_F(ClosedGate, CommitAndChainNeverComesToASafePoint) {
    auto a = client();
    a->query("BEGIN; SELECT 1");
    a->replies();
    auto drained = close(milliseconds(50));
    a->query("COMMIT AND CHAIN");
    EXPECT_EQ(a->replies(), "C Z(T)");
    EXPECT_EQ(drained.get().outcome, Outcome::expired);
}

TEST_F(ClosedGate, ACancelOfAHeldStatementIsAnsweredByTheProxy) {
    auto a = client();
    ASSERT_EQ(close().get().outcome, Outcome::drained);
    a->query("INSERT INTO t VALUES (1)");
    wait_for_state(a->pid(), "held");
    a->cancel();
    EXPECT_EQ(a->replies(), "E(57014) Z(I)");
    a->send(extended("INSERT INTO t VALUES (2)"));
    wait_for_state(a->pid(), "held");
    a->cancel();
    EXPECT_EQ(a->replies(), "E(57014) Z(I)");
    open();
    EXPECT_EQ(a->value("SELECT count(*) FROM t"), "0") << "neither reached the server";
}

TEST_F(ClosedGate, ACancelOfAHeldStatementTooLargeForABufferIsAnsweredToo) {
    auto a = client();
    ASSERT_EQ(close().get().outcome, Outcome::drained);
    auto sent = std::async(std::launch::async, [&] {
        a->send(simple({"INSERT INTO t VALUES (1) -- " + std::string(4'000'000, 'x'), "INSERT INTO t VALUES (2)"}));
    });
    wait_for_state(a->pid(), "held");
    a->cancel();
    EXPECT_EQ(a->replies(), "E(57014) Z(I)");
    sent.get();
    wait_for_state(a->pid(), "held");
    EXPECT_FALSE(a->has_something());
    open();
    EXPECT_EQ(a->replies(), "C Z(I)");
    EXPECT_EQ(a->value("SELECT string_agg(n::text, ' ') FROM t"), "2") << "the first never reached the server";
}

TEST_F(ClosedGate, ACancelFindsTheHeldStatementBehindWhatIsNone) {
    auto a = client();
    ASSERT_EQ(close().get().outcome, Outcome::drained);
    std::string bytes;
    protocol::append_copy_done(bytes);  // late, of a COPY that failed
    protocol::append_flush(bytes);
    protocol::append_sync(bytes);
    a->send(bytes + simple({"INSERT INTO t VALUES (1)"}));
    wait_for_state(a->pid(), "held");
    a->cancel();
    EXPECT_EQ(a->replies(2), "Z(I) E(57014) Z(I)");
    open();
    EXPECT_EQ(a->value("SELECT count(*) FROM t"), "0");
}

TEST_F(ClosedGate, WhoBreaksTheProtocolHoldsTheDrainUntilItsServerIsDone) {
    auto a = client();
    a->query("BEGIN; LOCK TABLE t; INSERT INTO t VALUES (1)");
    a->replies();
    auto b = client();
    b->query("INSERT INTO t VALUES (2)");
    wait_for_state(b->pid(), "active");
    b->send("!");
    EXPECT_EQ(b->rest(), "E(08P01)");
    auto drained = close();
    EXPECT_EQ(drained.wait_for(milliseconds(100)), std::future_status::timeout);
    a->query("COMMIT");
    EXPECT_EQ(a->replies(), "C Z(I)");
    EXPECT_EQ(drained.get().outcome, Outcome::drained);
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t"), "2") << "nothing is committed behind the drain";
    open();
}

TEST_F(ClosedGate, TheServersOwnFatalIsTheLastWord) {
    auto a = client();
    a->query("DO $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); END $$");
    EXPECT_EQ(a->rest(), "E(57P01)");
}

TEST_F(ClosedGate, ACancelReachesTheStatementThatRunsAndNoLaterOne) {
    auto a = client();
    a->query("SELECT pg_sleep(30)");
    while (blue_->value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") != "1") {
        std::this_thread::yield();
    }
    a->cancel();
    EXPECT_EQ(a->replies(), "T E(57014) Z(I)");
    EXPECT_EQ(a->value("SELECT 1"), "1");
}

TEST_F(ClosedGate, AClientThatVanishesInATransactionHoldsTheDrainUntilItsServerIsDone) {
    auto a = client();
    a->query("BEGIN; LOCK TABLE t; INSERT INTO t VALUES (1)");
    a->replies();
    auto b = client();
    b->query("INSERT INTO t VALUES (2)");
    wait_for_state(b->pid(), "active");
    b->vanish();  // its statement waits on the server and will commit once it may
    auto drained = close();
    EXPECT_EQ(drained.wait_for(milliseconds(100)), std::future_status::timeout);
    a->query("COMMIT");
    EXPECT_EQ(a->replies(), "C Z(I)");
    EXPECT_EQ(drained.get().outcome, Outcome::drained);
    EXPECT_EQ(blue_->value("SELECT count(*) FROM t"), "2") << "nothing is committed behind the drain";
    open();
}

TEST_F(ClosedGate, ALoginWaitsAndGoesOnWithTheSideThatIsActiveThen) {
    ASSERT_EQ(close().get().outcome, Outcome::drained);
    auto late = std::async(std::launch::async, [this] { return client()->value("SHOW port"); });
    EXPECT_EQ(late.wait_for(milliseconds(100)), std::future_status::timeout);
    ASSERT_TRUE(plane_->claim());
    plane_->open_to_other();
    EXPECT_EQ(late.get(), std::to_string(green_->port()));
}

TEST_F(ClosedGate, ATemporaryTablePinsItsSession) {
    auto a = client();
    EXPECT_EQ(a->value("CREATE TEMP TABLE mine (n int)"), "");
    const DrainReport report = close().get();
    EXPECT_EQ(report.outcome, Outcome::pinned);
    ASSERT_EQ(report.holding_up.size(), 1U);
    EXPECT_EQ(report.holding_up[0].movable, control::Movable::pinned);
    open();
    const control::ArmReport asked = plane_->arm();
    ASSERT_EQ(asked.not_movable.size(), 1U);
    EXPECT_NE(asked.not_movable[0].reason.find("mine"), std::string::npos) << asked.not_movable[0].reason;
    EXPECT_EQ(a->value("DROP TABLE mine"), "");
    (*plane_)->disarm();
}

/// Its text would run its neighbours again, and currval is known to nobody but its backend.
TEST_F(ClosedGate, WhatCannotBeAskedForOrRepeatedPinsItsSession) {
    blue_->execute("CREATE SEQUENCE drawn");
    const std::vector<std::pair<std::string, std::string>> all{
        {"SELECT 1; PREPARE among AS SELECT 2; SELECT 3",
         "\"among\" was prepared by SQL inside a multi-statement query"},
        {"SELECT nextval('drawn'), currval('drawn')", "currval"},
        {"SELECT setseed(0.5)", "setseed"}};
    for (const auto& [text, reason] : all) {
        SCOPED_TRACE(text);
        auto a = client();
        a->query(text);
        EXPECT_EQ(a->replies().find('E'), std::string::npos);
        const DrainReport report = close().get();
        EXPECT_EQ(report.outcome, Outcome::pinned);
        ASSERT_EQ(report.holding_up.size(), 1U);
        EXPECT_NE(report.holding_up[0].reason.find(reason), std::string::npos) << report.holding_up[0].reason;
        open();
    }
    blue_->execute("DROP SEQUENCE drawn");
}

/// It would be ended behind the gate: so it is waited for in front of it.
TEST_F(ClosedGate, WhatTheStandbyRefusedWhenItWasArmedPinsItsSession) {
    auto a = client();
    a->value("CREATE TABLE only_here (n int)");
    a->value("PREPARE p AS SELECT * FROM only_here");
    const control::ArmReport armed = plane_->arm();
    ASSERT_EQ(armed.not_movable.size(), 1U);
    EXPECT_NE(armed.not_movable[0].reason.find("only_here"), std::string::npos) << armed.not_movable[0].reason;
    EXPECT_EQ(close().get().outcome, Outcome::pinned);
    open();
    EXPECT_EQ(a->value("DEALLOCATE p"), "");
    EXPECT_EQ(plane_->arm().not_movable.size(), 0U);
    EXPECT_EQ(close().get().outcome, Outcome::drained);
    open();
    EXPECT_EQ(a->value("DROP TABLE only_here"), "");
    (*plane_)->disarm();
}

TEST_F(ClosedGate, PauseHoldsUntilResume) {
    auto a = client();
    std::promise<void> paused;
    (*plane_)->pause([&] { paused.set_value(); });
    paused.get_future().get();
    a->query("SELECT 1");
    wait_for_state(a->pid(), "held");
    (*plane_)->resume();
    EXPECT_EQ(a->replies(), "T D C Z(I)");
}

/// What it said is not run: nobody could be told what became of it.
TEST_F(ClosedGate, AClientThatHangsUpWhileItIsHeldIsLetGoAtOnce) {
    auto stays = client(), plain = client(), pipelines = client();
    ASSERT_EQ(close().get().outcome, Outcome::drained);
    stays->query("INSERT INTO t VALUES (1)");
    plain->query("INSERT INTO t VALUES (2)");
    pipelines->send(extended("INSERT INTO t VALUES (3)"));
    for (auto* one : {stays.get(), plain.get(), pipelines.get()}) wait_for_state(one->pid(), "held");
    pipelines->query("INSERT INTO t VALUES (4)");  // not read any more, and in front of the end of the connection
    plain->vanish();
    pipelines->vanish();
    const auto end = control::Clock::now() + std::chrono::seconds(30);
    while (plane_->sessions().size() > 1) ASSERT_LT(control::Clock::now(), end) << "their slots are not free";
    const std::string backends = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    while (blue_->value(backends) != "2") ASSERT_LT(control::Clock::now(), end) << "their backends have not gone";
    open();
    EXPECT_EQ(stays->replies(), "C Z(I)");
    EXPECT_EQ(blue_->value("SELECT string_agg(n::text, ',') FROM t"), "1");
}

TEST_F(ClosedGate, ALoginThatIsHeldIsLetGoWhenItsClientHangsUp) {
    ASSERT_EQ(close().get().outcome, Outcome::drained);
    protocol::StartupMessage message;
    message.parameters = {{"user", "postgres"}, {"database", "postgres"}};
    std::string startup;
    append(startup, message);
    const Socket late(plane_->port());
    late.send(startup);
    const auto end = control::Clock::now() + std::chrono::seconds(30);
    while (plane_->sessions().empty()) ASSERT_LT(control::Clock::now(), end);
    late.hang_up();
    while (!plane_->sessions().empty()) ASSERT_LT(control::Clock::now(), end) << "its slot is not free";
    open();
    EXPECT_EQ(client()->value("SELECT 1"), "1");
}

}  // namespace
}  // namespace turnout::test
