// Clients as they are: psql, pgbench, npm's driver, libpq, with everything that they do on the wire, also while the
// server under them changes.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <boost/json.hpp>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

constexpr const char* kSchema = R"(
    CREATE TABLE things (id bigserial PRIMARY KEY, worker int, number int, note text);
    CREATE INDEX ON things (worker, number))";

class Clients : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        pair_ = std::make_unique<Pair>(PairOptions{.schema = kSchema});
        bench::must_run({.arguments = {bench::client_program("pgbench"), "-i", "-q", pair_->direct(pair_->blue())},
                         .environment = {}});
        const bench::Connection connection = bench::connect(pair_->direct(pair_->blue()));
        bench::run(connection.get(), "ALTER TABLE pgbench_history REPLICA IDENTITY FULL");
        pair_->sync();
    }
    static void TearDownTestSuite() { pair_.reset(); }

    static std::unique_ptr<Pair> pair_;
};
std::unique_ptr<Pair> Clients::pair_;

TEST_F(Clients, PsqlWithCopyCatalogQueriesAndTransactions) {
    const bench::Exit exit = psql(pair_->conninfo(), R"(
\set ON_ERROR_STOP 1
\d things
BEGIN;
\copy things (worker, number, note) FROM STDIN
70	1	one
70	2	two
\.
SAVEPOINT s;
DELETE FROM things WHERE worker = 70;
ROLLBACK TO s;
COMMIT;
\copy (SELECT number, note FROM things WHERE worker = 70 ORDER BY 1) TO STDOUT
SELECT 1 AS a \; SELECT 2 AS b;
DO $$ BEGIN RAISE NOTICE 'a notice passes'; END $$;
)");
    EXPECT_EQ(exit.status, 0) << exit.err;
    EXPECT_NE(exit.out.find("1\tone\n2\ttwo\n"), std::string::npos) << exit.out;
    EXPECT_NE(exit.out.find("1\n2\n"), std::string::npos) << exit.out;
    EXPECT_NE(exit.err.find("a notice passes"), std::string::npos) << exit.err;
}

TEST_F(Clients, PgbenchInEveryQueryModeWhileTheServerChangesTwice) {
    const std::string sums =
        "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history) AND "
        "(SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history) AND "
        "(SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history)";
    for (const std::string mode : {"simple", "extended", "prepared"}) {
        SCOPED_TRACE(mode);
        bench::Program pgbench({.arguments = {bench::client_program("pgbench"), "-n", "-M", mode, "-c", "4", "-T", "3",
                                              "-P", "1", pair_->conninfo()},
                                .environment = {}});
        const auto says_progress = [](const std::string& err, const std::string&) {
            return err.find("progress:") != std::string::npos;
        };
        ASSERT_TRUE(pgbench.read_until(says_progress));
        pair_->change();
        pair_->change();
        const bench::Exit exit = pgbench.wait();
        EXPECT_EQ(exit.status, 0) << exit.err;
        EXPECT_NE(exit.out.find("number of failed transactions: 0 "), std::string::npos) << exit.out;
        EXPECT_EQ(bench::value(pair_->connect().get(), sums), "t") << "nothing lost, nothing doubled";
    }
}

TEST_F(Clients, ADriverThatIsNotLibpqNoticesNothingOfTwoSwitches) {
    bench::Program driver(
        node("driver_load.js", {std::to_string(pair_->turnout().port()), Pair::kRole, Pair::kPassword, "app"}));
    const auto all_write = [](const std::string& err, const std::string&) {
        return std::count(err.begin(), err.end(), '\n') == 4;
    };
    ASSERT_TRUE(driver.read_until(all_write)) << "it ended: " << driver.wait().out;
    pair_->change();
    pair_->change();
    driver.signal(SIGINT);
    const bench::Exit exit = driver.wait();
    const boost::json::object result = boost::json::parse(exit.out).as_object();
    EXPECT_TRUE(result.at("errors").as_array().empty()) << exit.out;
    EXPECT_EQ(bench::number(pair_->connect().get(), "SELECT count(*) FROM things WHERE worker BETWEEN 1 AND 4"),
              result.at("acknowledged").to_number<std::int64_t>());
}

TEST_F(Clients, CopyInThatIsUnderWayIsWaitedFor) {
    const bench::Connection connection = pair_->connect();
    ASSERT_EQ(PQresultStatus(bench::Result{PQexec(connection.get(), "COPY things (worker, number) FROM STDIN")}.get()),
              PGRES_COPY_IN);
    const auto send = [&](int from, int to) {
        for (int i = from; i < to; ++i) {
            const std::string row = fmt::format("80\t{}\n", i);
            ASSERT_EQ(PQputCopyData(connection.get(), row.data(), static_cast<int>(row.size())), 1);
        }
    };
    send(0, 5000);
    bench::Program change(pair_->turnout().verb({&pair_->active() == &pair_->blue() ? "switch" : "rollback"}));
    eventually([&] { return pair_->turnout().status().at("phase").as_string() == "switching"; }, "the switch");
    send(5000, 10000);
    ASSERT_EQ(PQputCopyEnd(connection.get(), nullptr), 1);
    EXPECT_EQ(PQresultStatus(bench::Result{PQgetResult(connection.get())}.get()), PGRES_COMMAND_OK);
    EXPECT_EQ(PQgetResult(connection.get()), nullptr);
    const bench::Exit exit = change.wait();
    EXPECT_EQ(exit.status, 0) << exit.err << exit.out;
    EXPECT_EQ(bench::number(connection.get(), "SELECT count(*) FROM things WHERE worker = 80"), 10000);
}

TEST_F(Clients, CopyOutComesWhole) {
    const bench::Connection connection = pair_->connect();
    ASSERT_EQ(
        PQresultStatus(bench::Result{
            PQexec(connection.get(), "COPY (SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i) TO STDOUT")}
                           .get()),
        PGRES_COPY_OUT);
    std::size_t rows = 0;
    std::size_t bytes = 0;
    char* buffer = nullptr;
    for (int size = 0; (size = PQgetCopyData(connection.get(), &buffer, 0)) > 0; PQfreemem(buffer)) {
        ++rows;
        bytes += static_cast<std::size_t>(size);
    }
    EXPECT_EQ(rows, 50000U);
    EXPECT_GT(bytes, 50000U * 1000U);
    EXPECT_EQ(PQresultStatus(bench::Result{PQgetResult(connection.get())}.get()), PGRES_COMMAND_OK);
}

TEST_F(Clients, NotificationsReachASessionThatIsIdle) {
    const bench::Connection listener = pair_->connect();
    bench::run(listener.get(), "LISTEN news");
    const bench::Connection speaker = pair_->connect();
    bench::run(speaker.get(), "NOTIFY news, 'something happened'");
    PGnotify* notification = nullptr;
    eventually(
        [&] {
            PQconsumeInput(listener.get());
            return (notification = PQnotifies(listener.get())) != nullptr;
        },
        "the notification");
    EXPECT_STREQ(notification->extra, "something happened");
    PQfreemem(notification);
}

TEST_F(Clients, ACancelRequestEndsTheStatementAndNothingElse) {
    const bench::Connection connection = pair_->connect();
    const bench::Connection bystander = pair_->connect();
    ASSERT_EQ(PQsendQuery(connection.get(), "SELECT pg_sleep(600)"), 1);
    ASSERT_EQ(PQsendQuery(bystander.get(), "SELECT pg_sleep(0.2)"), 1);
    std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> cancel(PQgetCancel(connection.get()), &PQfreeCancel);
    char error[256] = "";
    eventually(
        [&] {
            return pair_->active().value(
                       "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(600)%' AND "
                       "state = 'active' AND pid <> pg_backend_pid()") == "1";
        },
        "the statement at the server");
    ASSERT_EQ(PQcancel(cancel.get(), error, sizeof error), 1) << error;
    const bench::Result result{PQgetResult(connection.get())};
    EXPECT_STREQ(PQresultErrorField(result.get(), PG_DIAG_SQLSTATE), "57014");
    EXPECT_EQ(PQgetResult(connection.get()), nullptr);
    EXPECT_EQ(bench::number(connection.get(), "SELECT 1"), 1);
    EXPECT_EQ(PQresultStatus(bench::Result{PQgetResult(bystander.get())}.get()), PGRES_TUPLES_OK);
}

}  // namespace
}  // namespace turnout::integration
