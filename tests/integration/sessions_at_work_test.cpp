// Sessions that rely on what their backend keeps for them, at work while the server changes again and again: a
// producer and a consumer, tenants behind row-level security.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

constexpr int kSwitches = 5;

constexpr const char* kSchema = R"(
    CREATE TABLE documents (id int PRIMARY KEY, tenant text NOT NULL, body text);
    INSERT INTO documents SELECT i, (i % 4)::text, 'of tenant ' || i % 4 FROM generate_series(1, 40) i;
    ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON documents USING (tenant = current_setting('app.tenant_id', true));
    CREATE FUNCTION log_in_as(id text) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM set_config('app.tenant_id', id, false); RETURN 'welcome'; END $$)";

class SessionsAtWork : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        pair_ = std::make_unique<Pair>(PairOptions{.schema = kSchema});
        pair_->blue().execute("CREATE ROLE tenant LOGIN PASSWORD 'app''s password'");
        pair_->blue().execute("GRANT SELECT ON documents TO tenant", "app");
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
    /// Never throws: the threads use what stands on the test's stack, and are joined behind it.
    void change_often() {
        try {
            for (int n = 0; n < kSwitches; ++n) {
                const boost::json::object report = pair_->change();
                EXPECT_EQ(report.at("sessions").at("failed").to_number<int>(), 0);
            }
        } catch (const std::exception& error) {
            ADD_FAILURE() << error.what();
        }
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
    for (int n = 0; n < kSwitches; ++n) {
        drain();
        pair_->change();
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

}  // namespace
}  // namespace turnout::integration
