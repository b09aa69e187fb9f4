// What a closed gate lets through and what it holds, on a real server, said by a client that pipelines.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <thread>

#include "protocol/frontend_messages.hpp"
#include "protocol/writer.hpp"
#include "proxy/proxy.hpp"
#include "raw_client.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::test {
namespace {

using control::Clock;
using control::DrainReport;
using Outcome = DrainReport::Outcome;
using std::chrono::milliseconds;

/// Everyone may come.
class OpenDoor final : public control::RoleDirectory {
  public:
    void look_up(Side, std::string, std::string, std::function<void(control::RoleAnswer)> done) override {
        control::RoleFacts facts;
        facts.exists = true;
        done(facts);
    }
};

std::uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
}

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
        work_.emplace(control_.get_executor());
        thread_ = std::thread([this] { control_.run(); });
        plane_ = proxy::make_data_plane(control_.get_executor(), door_);
        control::DataPlaneSettings settings;
        port_ = free_port();
        settings.listen = {"127.0.0.1:" + std::to_string(port_)};
        settings.workers = 2;
        settings.auth = control::AuthMethod::trust;
        settings.databases = {"postgres"};
        settings.sides[0].endpoints = {{"127.0.0.1", "", blue_->port()}};
        settings.sides[1].endpoints = {{"127.0.0.1", "", green_->port()}};
        plane_->start(settings);
        plane_->serve(Side::blue, 1);
    }
    void TearDown() override {
        plane_.reset();
        work_.reset();
        control_.stop();
        thread_.join();
    }

    std::unique_ptr<RawClient> client() { return std::make_unique<RawClient>(port_, "postgres", "postgres"); }

    std::future<DrainReport> close(milliseconds bound = milliseconds(60'000)) {
        auto promise = std::make_shared<std::promise<DrainReport>>();
        auto future = promise->get_future();
        plane_->close_gate({++attempt_, Clock::now() + bound},
                           [promise](DrainReport report) { promise->set_value(std::move(report)); });
        return future;
    }
    void open() { plane_->give_up(attempt_); }

    /// Until the session with this pid is in that state, as `show sessions` tells it.
    void wait_for_state(std::int32_t pid, const std::string& state) {
        for (const auto end = Clock::now() + std::chrono::seconds(10); Clock::now() < end;) {
            std::promise<bool> seen;
            plane_->sessions([&](const std::vector<control::SessionView>& views) {
                bool found = false;
                for (const auto& view : views) found |= view.client_pid == pid && view.state == state;
                seen.set_value(found);
            });
            if (seen.get_future().get()) return;
        }
        FAIL() << "no session with pid " << pid << " became \"" << state << '"';
    }

    static std::unique_ptr<support::Cluster> blue_, green_;
    OpenDoor door_;
    boost::asio::io_context control_;
    std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
    std::thread thread_;
    std::unique_ptr<control::DataPlane> plane_;
    std::uint16_t port_ = 0;
    std::uint64_t attempt_ = 0;
};

std::unique_ptr<support::Cluster> ClosedGate::blue_;
std::unique_ptr<support::Cluster> ClosedGate::green_;

std::string simple(std::initializer_list<std::string_view> texts) {
    std::string bytes;
    for (const std::string_view text : texts) append(bytes, protocol::Query{text});
    return bytes;
}

std::string extended(std::string_view sql, bool sync = true) {
    std::string bytes;
    append(bytes, protocol::Parse{"", sql, {}});
    append(bytes, protocol::Bind{});
    append(bytes, protocol::Execute{});
    if (sync) protocol::append_sync(bytes);
    return bytes;
}

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
    a->query("BEGIN");
    EXPECT_EQ(a->replies(), "C Z(T)");
    auto b = client();
    const DrainReport report = close(milliseconds(50)).get();
    EXPECT_EQ(report.outcome, Outcome::expired);
    ASSERT_EQ(report.holding_up.size(), 1U);
    EXPECT_EQ(report.holding_up[0].client_pid, a->pid());
    EXPECT_EQ(report.holding_up[0].state, "idle in transaction");
    EXPECT_FALSE(plane_->claim(attempt_)) << "too late";
    EXPECT_EQ(b->value("SELECT 5"), "5") << "goes on without control's doing";
}

TEST_F(ClosedGate, CommitAndChainNeverComesToASafePoint) {
    auto a = client();
    a->query("BEGIN");
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

TEST_F(ClosedGate, ACancelReachesTheStatementThatRunsAndNoLaterOne) {
    auto a = client();
    a->query("SELECT pg_sleep(30)");
    wait_for_state(a->pid(), "active");
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
    ASSERT_TRUE(plane_->claim(attempt_));
    plane_->open_to(attempt_, Side::green, 2, [](Clock::time_point) {});
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
    std::promise<control::ArmReport> armed;
    plane_->arm({.standby = Side::green}, [&](control::ArmReport r) { armed.set_value(std::move(r)); });
    const control::ArmReport asked = armed.get_future().get();
    ASSERT_EQ(asked.not_movable.size(), 1U);
    EXPECT_NE(asked.not_movable[0].reason.find("mine"), std::string::npos) << asked.not_movable[0].reason;
    EXPECT_EQ(a->value("DROP TABLE mine"), "");
    plane_->disarm();
}

TEST_F(ClosedGate, PauseHoldsUntilResume) {
    auto a = client();
    std::promise<void> paused;
    plane_->pause([&] { paused.set_value(); });
    paused.get_future().get();
    a->query("SELECT 1");
    wait_for_state(a->pid(), "held");
    plane_->resume();
    EXPECT_EQ(a->replies(), "T D C Z(I)");
}

}  // namespace
}  // namespace turnout::test
