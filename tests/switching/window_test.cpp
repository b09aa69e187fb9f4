// The whole control path on two real servers, without the proxy: copies, switches forth and back under writers, and the
// account at the end.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <thread>

#include "control/fence.hpp"
#include "control/journal.hpp"
#include "control/settle_driver.hpp"
#include "control/side.hpp"
#include "control/stream_setup.hpp"
#include "control/switch_driver.hpp"
#include "tests/support/cluster.hpp"
#include "tests/support/writers_plane.hpp"

namespace turnout::control {
namespace {

using namespace std::chrono_literals;

/// Runs an io_context on a thread of its own, as control has it.
class ControlThread {
  public:
    ControlThread() : guard_(context_.get_executor()), thread_([this] { context_.run(); }) {}
    ~ControlThread() {
        guard_.reset();
        thread_.join();
    }
    asio::any_io_executor executor() { return context_.get_executor(); }
    template <class T>
    T await(asio::awaitable<T> work) {
        return asio::co_spawn(context_, std::move(work), asio::use_future).get();
    }

  private:
    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard_;
    std::thread thread_;
};

class SwitchingTest : public testing::Test {
  protected:
    explicit SwitchingTest(std::vector<std::string> databases = {"app", "shop"}) : databases_(std::move(databases)) {
        auto blue = std::async(std::launch::async, [] {
            return std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .name = "blue"});
        });
        green_ = std::make_unique<support::Cluster>(support::ClusterOptions{.major = 17, .name = "green"});
        blue_ = blue.get();
        for (const std::string& database : databases_) {
            blue_->execute("CREATE DATABASE " + database);
            blue_->execute(std::string(support::kWritersSchema) + support::kWritersRows, database);
            green_->execute("CREATE DATABASE " + database);
            green_->execute(support::kWritersSchema, database);
        }
        ClusterSettings settings;
        settings.sides[index(Side::blue)].url = blue_->conninfo("");
        settings.sides[index(Side::green)].url = green_->conninfo("");
        settings.databases = databases_;
        cluster_.emplace(thread_.executor(), settings);
        thread_.await(prepare());

        support::WritersOptions options;
        options.conninfo = {blue_->conninfo(""), green_->conninfo("")};
        options.databases = databases_;
        plane_.emplace(thread_.executor(), options);
        plane_->serve(Side::blue, 1);
        switcher_.emplace(*cluster_, *plane_, state_);
    }
    ~SwitchingTest() override { plane_->stop(); }

    /// What `sync` does, for tables that are known to be the same.
    asio::awaitable<void> prepare() {
        const auto blue_journal = co_await Journal::open(*cluster_, Side::blue);
        const auto green_journal = co_await Journal::open(*cluster_, Side::green);
        co_await blue_journal->bootstrap(1);
        co_await green_journal->create();
        state_.store({1, {}});
        for (const std::string& database : databases_) {
            const auto blue = co_await cluster_->connect(Side::blue, database);
            const auto green = co_await cluster_->connect(Side::green, database);
            co_await make_markers(*blue, false);
            co_await make_markers(*green, true);
            const auto tables = co_await carried_tables(*blue);
            co_await make_publications(*blue, tables);
            co_await make_subscription(*cluster_, *green, *blue, true);
            co_await make_publications(*green, tables);
            while (!(co_await green->query("SELECT FROM pg_subscription_rel WHERE srsubstate <> 'r'")).empty()) {
            }
            co_await make_subscription(*cluster_, *blue, *green, false);
        }
        co_await raise_fence(*green_journal, databases_);
    }

    SwitchReport change(SwitchKind kind = SwitchKind::forward) {
        SwitchOptions options;
        options.kind = kind;
        options.from = plane_->side();
        if (kind == SwitchKind::forward && options.from == Side::green) options.kind = SwitchKind::rollback;
        return thread_.await(switcher_->run(options, [](const std::string&) {}));
    }

    support::Cluster& server(Side side) { return side == Side::blue ? *blue_ : *green_; }

    /// Everything acknowledged is there, once, on the active side; nobody saw an error or an older state.
    void audit() {
        const Side side = plane_->side();
        const auto accounts = plane_->stop();
        std::int64_t total = 0;
        for (std::size_t i = 0; i < accounts.size(); ++i) {
            const auto& account = accounts[i];
            EXPECT_TRUE(account.errors.empty()) << account.errors.front();
            EXPECT_EQ(account.went_back, 0) << "writer " << i;
            const std::string found = server(side).value(
                fmt::format("SELECT count(*) || ' ' || count(DISTINCT n) || ' ' || coalesce(max(n), 0) FROM ledger "
                            "WHERE writer = {}",
                            i),
                account.database);
            EXPECT_EQ(found, fmt::format("{0} {0} {0}", account.acknowledged)) << "writer " << i;
            total += account.acknowledged;
        }
        fmt::print("{} transactions acknowledged, none lost, none doubled\n", total);
    }

    std::vector<std::string> databases_;
    std::unique_ptr<support::Cluster> blue_;
    std::unique_ptr<support::Cluster> green_;
    ControlThread thread_;
    std::optional<Cluster> cluster_;
    StateFile state_{""};
    std::optional<support::WritersPlane> plane_;
    std::optional<Switcher> switcher_;
};

TEST_F(SwitchingTest, forth_and_back_under_writers_loses_and_doubles_nothing) {
    for (int i = 0; i < 10; ++i) {
        const Side from = plane_->side();
        const SwitchReport report = change();
        ASSERT_EQ(name(report.outcome), from == Side::blue ? "switched" : "rolled_back") << to_text(report);
        EXPECT_EQ(report.generation, i + 2);
        EXPECT_EQ(plane_->side(), other(from));
        EXPECT_TRUE(report.left_over.empty()) << to_text(report);
        EXPECT_EQ(report.stray_transactions, 0U) << to_text(report);
        EXPECT_EQ(state_.load(), (ServedState{i + 2, {}}));
        fmt::print("{}", to_text(report));
    }
    audit();
}

}  // namespace
}  // namespace turnout::control
