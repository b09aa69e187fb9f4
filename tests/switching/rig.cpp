#include "tests/switching/rig.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "control/fence.hpp"
#include "control/journal.hpp"
#include "control/settle_driver.hpp"
#include "control/stream_setup.hpp"

namespace turnout::control::test {

namespace {

using namespace std::chrono_literals;

/// Version 15 starts apply workers at most once in this time; by default 5 s, and a switch settles that long.
const std::vector<std::pair<std::string, std::string>> kSettings{{"wal_retrieve_retry_interval", "50ms"}};

}  // namespace

SwitchingTest::SwitchingTest(std::vector<std::string> databases)
    : databases_(std::move(databases)),
      folder_(std::filesystem::temp_directory_path() / fmt::format("turnout-switching-{}", ::getpid())) {
    auto blue = std::async(std::launch::async, [] {
        return std::make_unique<support::Cluster>(support::ClusterOptions{15, "blue", kSettings});
    });
    green_ = std::make_unique<support::Cluster>(support::ClusterOptions{17, "green", kSettings});
    blue_ = blue.get();
    for (const std::string& database : databases_) {
        blue_->execute("CREATE DATABASE " + database);
        blue_->execute(std::string(support::kWritersSchema) + support::kWritersRows, database);
        green_->execute("CREATE DATABASE " + database);
        green_->execute(support::kWritersSchema, database);
    }
    settings_.sides[index(Side::blue)].url = blue_->conninfo("");
    settings_.sides[index(Side::green)].url = green_->conninfo("");
    settings_.databases = databases_;
    start_process();
    process_->thread.await(copy());
}

SwitchingTest::~SwitchingTest() {
    if (process_) kill_process();
    std::filesystem::remove_all(folder_);
}

void SwitchingTest::start_process() {
    support::WritersOptions writers;
    writers.conninfo = {blue_->conninfo(""), green_->conninfo("")};
    writers.databases = databases_;
    for (const auto& account : accounts_) writers.acknowledged.push_back(account.acknowledged);
    process_ = std::make_unique<Process>(settings_, writers, folder_ / "state");
    const Recovered recovered = process_->thread.await(recover(process_->cluster, process_->state_file));
    if (const auto* nobody = std::get_if<decision::Nobody>(&recovered)) FAIL() << nobody->reason;
    const auto& serve = std::get<decision::Serve>(recovered);
    process_->plane.serve(serve.side, static_cast<std::uint64_t>(serve.generation));
}

void SwitchingTest::kill_process() {
    process_->thread.kill();
    take_account();
    process_.reset();
}

void SwitchingTest::take_account() {
    const auto now = process_->plane.stop();
    accounts_.resize(now.size());
    for (std::size_t i = 0; i < now.size(); ++i) {
        EXPECT_TRUE(now[i].errors.empty()) << "writer " << i << ": " << now[i].errors.front();
        EXPECT_EQ(now[i].went_back, 0) << "writer " << i;
        accounts_[i] = now[i];
    }
}

/// What `sync` does, for tables that are known to be the same.
asio::awaitable<void> SwitchingTest::copy() {
    const Cluster& cluster = process_->cluster;
    const auto green_journal = co_await Journal::open(cluster, Side::green);
    co_await green_journal->create();
    for (const std::string& database : databases_) {
        const auto blue = co_await cluster.connect(Side::blue, database);
        const auto green = co_await cluster.connect(Side::green, database);
        co_await make_markers(*blue, false);
        co_await make_markers(*green, true);
        const auto tables = co_await carried_tables(*blue);
        co_await make_publications(*blue, tables);
        co_await make_subscription(cluster, *green, *blue, true);
        co_await make_publications(*green, tables);
        while (!(co_await green->query("SELECT FROM pg_subscription_rel WHERE srsubstate <> 'r'")).empty()) {
        }
        co_await make_subscription(cluster, *blue, *green, false);
    }
    co_await raise_fence(*green_journal, databases_);
}

SwitchOptions SwitchingTest::options() const {
    SwitchOptions options;
    options.from = active();
    options.kind = options.from == Side::blue ? SwitchKind::forward : SwitchKind::rollback;
    options.deadline = Milliseconds(20000);
    return options;
}

asio::awaitable<SwitchReport> SwitchingTest::change_later() { return process_->switcher.run(options(), {}); }

void SwitchingTest::settle_all() {
    const ServedState state = process_->state_file.load();
    const auto settled = process_->thread.await(process_->switcher.settle(active(), state.served, Clock::now() + 30s));
    EXPECT_TRUE(settled.left.empty()) << settled.left.front();
}

void SwitchingTest::audit() {
    const Side side = active();
    kill_process();
    std::int64_t total = 0;
    for (std::size_t i = 0; i < accounts_.size(); ++i) {
        const auto& account = accounts_[i];
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

std::uint64_t seed() {
    const char* given = std::getenv("TURNOUT_SEED");
    const std::uint64_t value = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    fmt::print("TURNOUT_SEED={}\n", value);
    return value;
}

}  // namespace turnout::control::test
