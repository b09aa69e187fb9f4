// Sessions that rely on what their backend keeps for them, at work while the server changes again and again: a leader
// election, a producer and a consumer, tenants behind row-level security, drivers that cache prepared statements.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <future>
#include <iostream>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

/// `./dev soak` asks for more.
int switches() {
    const char* wanted = std::getenv("TURNOUT_SWITCHES");
    return wanted == nullptr ? 5 : std::stoi(wanted);
}

constexpr const char* kSchema = R"(
    CREATE TABLE documents (id int PRIMARY KEY, tenant text NOT NULL, body text);
    INSERT INTO documents SELECT i, (i % 4)::text, 'of tenant ' || i % 4 FROM generate_series(1, 40) i;
    ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON documents USING (tenant = current_setting('app.tenant_id', true));
    CREATE FUNCTION log_in_as(id text) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM set_config('app.tenant_id', id, false); RETURN 'welcome'; END $$;
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE notes (worker int, number int, tenant text, feeling mood, PRIMARY KEY (worker, number));
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON notes USING (tenant = current_setting('app.tenant_id', true));)";
constexpr const char* kGrants = "GRANT SELECT ON documents TO tenant; GRANT SELECT, INSERT ON notes TO tenant";

class SessionsAtWork : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        pair_ = std::make_unique<Pair>(PairOptions{.schema = kSchema, .lines = {{"switch", R"(max_pause = "1s")"}}});
        pair_->blue().execute("CREATE ROLE tenant LOGIN PASSWORD 'app''s password'");
        pair_->blue().execute(kGrants, "app");
        // Where the same is done without any switch.
        pair_->blue().execute("CREATE DATABASE twin");
        pair_->blue().execute(std::string(kSchema) + kGrants, "twin");
        pair_->sync();
    }
    static void TearDownTestSuite() { pair_.reset(); }

    void TearDown() override { join(); }

    /// Runs `work(connection)` again and again on a thread of its own until join(). What it throws is a failure.
    template <class Work>
    void repeat(const std::string& conninfo, Work work) {
        threads_.emplace_back([this, conninfo, work] {
            try {
                const bench::Connection connection = bench::connect(conninfo);
                while (!stop_) work(connection.get());
            } catch (const std::exception& error) {
                const std::lock_guard lock(mutex_);
                failures_.emplace_back(error.what());
            }
        });
    }
    /// Never throws: the threads use what stands on the test's stack, and are joined behind it. How many attempts it
    /// took.
    int change_often(int times = switches()) {
        int attempts = 0;
        try {
            for (int n = 0; n < times; ++n) {
                const boost::json::object report = pair_->change();
                EXPECT_EQ(report.at("sessions").at("failed").to_number<int>(), 0);
                attempts += report.at("attempts").to_number<int>();
            }
        } catch (const std::exception& error) {
            ADD_FAILURE() << error.what();
        }
        return attempts;
    }
    void join() {
        stop_ = true;
        for (std::thread& thread : threads_) thread.join();
        threads_.clear();
        for (const std::string& failure : failures_) ADD_FAILURE() << failure;
        failures_.clear();
    }

    static std::unique_ptr<Pair> pair_;
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::vector<std::string> failures_;
};
std::unique_ptr<Pair> SessionsAtWork::pair_;

TEST_F(SessionsAtWork, AnElectionNeverHasTwoLeaders) {
    std::atomic<int> leaders{0};
    std::atomic<std::uint64_t> terms{0};
    for (int contender = 0; contender < 3; ++contender) {
        repeat(pair_->conninfo(), [&](PGconn* connection) {
            bench::run(connection, "SELECT pg_advisory_lock(42)");
            EXPECT_EQ(++leaders, 1);
            // So short that somebody always begins to wait behind the last look at the server before the gate closes.
            bench::run(connection, "SELECT count(*) FROM documents");
            ++terms;
            --leaders;
            EXPECT_EQ(bench::value(connection, "SELECT pg_advisory_unlock(42)"), "t");
        });
    }
    EXPECT_LT(change_often(), 2 * switches()) << "attempts had to wait for a lock that nobody could give";
    // Those that still wait get their turn.
    join();
    EXPECT_GE(terms, 3U);
}

TEST_F(SessionsAtWork, NotificationsAreNeitherMissedNorDoubled) {
    const bench::Connection consumer = pair_->connect();
    bench::run(consumer.get(), "LISTEN jobs");
    std::vector<int> got;
    const auto drain = [&] {
        PQconsumeInput(consumer.get());
        while (PGnotify* notification = PQnotifies(consumer.get())) {
            got.push_back(std::stoi(notification->extra));
            PQfreemem(notification);
        }
    };
    std::atomic<int> produced{0};
    repeat(pair_->conninfo(),
           [&](PGconn* connection) { bench::run(connection, fmt::format("NOTIFY jobs, '{}'", produced++)); });
    for (int n = 0; n < switches(); ++n) {
        // A consumer that does not read could not be moved once all buffers are full.
        auto change = std::async(std::launch::async, [this] { change_often(1); });
        while (change.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) drain();
    }
    join();
    bench::run(consumer.get(), "SELECT 1");  // what was sent before has come with its answer
    drain();
    ASSERT_EQ(got.size(), static_cast<std::size_t>(produced));
    for (int n = 0; n < produced; ++n) ASSERT_EQ(got[static_cast<std::size_t>(n)], n);
}

TEST_F(SessionsAtWork, NoTenantEverSeesAnothersRows) {
    std::atomic<std::uint64_t> looks{0};
    for (int tenant = 0; tenant < 4; ++tenant) {
        const auto log_in = [tenant](PGconn* connection) {
            const std::string id = std::to_string(tenant);
            const char* values[] = {"app.tenant_id", id.c_str()};
            switch (tenant) {
                case 0: bench::run(connection, "SET app.tenant_id = '" + id + "'"); break;
                case 1: bench::run(connection, "SELECT set_config('app.tenant_id', '" + id + "', false)"); break;
                case 2:
                    bench::Result{PQexecParams(connection, "SELECT set_config($1, $2, false)", 2, nullptr, values,
                                               nullptr, nullptr, 0)};
                    break;
                default: bench::run(connection, "SELECT log_in_as('" + id + "')"); break;
            }
        };
        repeat(pair_->turnout().conninfo("tenant", Pair::kPassword), [&, tenant, log_in](PGconn* connection) {
            log_in(connection);
            for (int n = 0; n < 50 && !stop_; ++n, ++looks) {
                EXPECT_EQ(
                    bench::value(connection, "SELECT string_agg(DISTINCT tenant, ',') || count(*) FROM documents"),
                    std::to_string(tenant) + "10");
            }
        });
    }
    change_often();
    join();
    EXPECT_GT(looks, 4U);
}

// Two drivers and their twins want more of a machine than every test run has to give.
TEST_F(SessionsAtWork, SoakDriversThatCacheStatementsSeeWhatTheirTwinsSeeOnASingleServer) {
    const std::string seed = std::to_string(std::random_device()());
    std::cout << "seed " << seed << std::endl;
    std::vector<std::unique_ptr<bench::Program>> all;
    for (const std::string driver : {"pg", "postgres"}) {
        const std::vector<std::string> arguments{driver,          std::to_string(pair_->turnout().port()),
                                                 "app",           std::to_string(pair_->blue().port()),
                                                 "twin",          "tenant",
                                                 Pair::kPassword, seed};
        all.push_back(std::make_unique<bench::Program>(node("driver_twins.js", arguments)));
    }
    const auto all_work = [](const std::string& err, const std::string&) {
        return std::count(err.begin(), err.end(), '\n') == 3;
    };
    for (auto& twins : all) ASSERT_TRUE(twins->read_until(all_work)) << "it ended: " << twins->wait().out;
    change_often();
    for (auto& twins : all) {
        twins->signal(SIGINT);
        const bench::Exit exit = twins->wait();
        const boost::json::object result = boost::json::parse(exit.out).as_object();
        for (const boost::json::value& difference : result.at("differences").as_array()) ADD_FAILURE() << difference;
        EXPECT_GT(result.at("looks").to_number<int>(), 0);
    }
}

}  // namespace
}  // namespace turnout::integration
