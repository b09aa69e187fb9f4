// What the proxy bounds: sessions, the time to log in and to idle, the time a stop takes; and verifiers by a query.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"
#include "tests/integration/raw_peer.hpp"

namespace turnout::integration {
namespace {

class Limits : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        pair_ = std::make_unique<Pair>(
            // Before 16 there is no role pg_use_reserved_connections.
            PairOptions{.blue = 17,
                        .green = 15,
                        .auth = support::ClusterAuth::trust,
                        .lines = {{"auth", "method = \"trust\""}}});
    }
    static void TearDownTestSuite() { pair_.reset(); }

    /// Writes these lines in front of the configuration's [proxy] section's own, and has it read again.
    static void set(const std::string& lines) {
        std::ifstream in(pair_->turnout().configuration());
        std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
        static const std::string mark = "[proxy]\n";
        static const std::string plain = text;
        text = plain;
        text.insert(text.find(mark) + mark.size(), lines);
        std::ofstream(pair_->turnout().configuration()) << text;
    }
    static void reload() { pair_->turnout().report({"reload"}); }
    static bool metric(const std::string& line) {
        const std::string url = fmt::format("http://127.0.0.1:{}/metrics", pair_->turnout().metrics_port());
        const bench::Exit page = bench::must_run(
            {.arguments = {"node", "-e", "require('http').get(process.argv[1], r => r.pipe(process.stdout))", url},
             .environment = {}});
        return page.out.find(line) != std::string::npos;
    }

    static std::unique_ptr<Pair> pair_;
};
std::unique_ptr<Pair> Limits::pair_;

TEST_F(Limits, TheSessionTooManyIsRefusedAsPostgresRefusesIt) {
    set("max_client_connections = 2\nsuperuser_reserved_connections = 0\n");
    reload();
    const bench::Connection first = pair_->connect();
    const bench::Connection second = pair_->connect();
    RawPeer third(pair_->turnout().port());
    third.send(startup_packet(3, 0));
    EXPECT_EQ(third.messages(), "E(53300)");
    EXPECT_EQ(bench::number(first.get(), "SELECT 1"), 1);
    set("");
    reload();
    EXPECT_EQ(bench::number(pair_->connect().get(), "SELECT 1"), 1);
}

TEST_F(Limits, ALoginThatIsNotFinishedInTimeIsEnded) {
    set("login_timeout = \"200ms\"\n");
    reload();
    RawPeer silent(pair_->turnout().port());
    EXPECT_TRUE(silent.closed());
    RawPeer half(pair_->turnout().port());
    half.send(startup_packet(3, 0).substr(0, 20));
    EXPECT_EQ(half.messages(), "") << "nobody is told anything before the startup packet is there";
    set("");
    reload();
}

/// As superuser_reserved_connections and reserved_connections do: whoever has to look why it is full still gets in.
TEST_F(Limits, TheLastSlotsAreKeptForSuperusersAndOthersBeforeThem) {
    pair_->blue().execute("CREATE ROLE watcher LOGIN; GRANT pg_use_reserved_connections TO watcher");
    set("max_client_connections = 6\nsuperuser_reserved_connections = 1\nreserved_connections = 2\n");
    reload();
    const auto as = [](const std::string& user) { return bench::with(pair_->conninfo(), "user", user); };
    std::vector<bench::Connection> connections;
    // The slot of whoever was refused is free a moment later.
    const auto fill = [&](const std::string& user, std::size_t until, const std::string& refusal) {
        eventually(
            [&] {
                bench::Connection next = bench::try_connect(as(user));
                if (PQstatus(next.get()) == CONNECTION_OK) connections.push_back(std::move(next));
                return connections.size() == until;
            },
            ("connections of " + user).c_str());
        eventually(
            [&] {
                bench::Connection next = bench::try_connect(as(user));
                EXPECT_NE(PQstatus(next.get()), CONNECTION_OK) << user;
                return std::string(PQerrorMessage(next.get())).find(refusal) != std::string::npos;
            },
            refusal.c_str());
    };
    fill("app", 3,
         "remaining connection slots are reserved for roles with privileges of the \"pg_use_reserved_connections\" "
         "role");
    fill("watcher", 5, "remaining connection slots are reserved for roles with the SUPERUSER attribute");
    fill("postgres", 6, "sorry, too many clients already");
    connections.clear();
    set("");
    reload();
    EXPECT_EQ(bench::number(pair_->connect().get(), "SELECT 1"), 1);
}

/// What the proxy itself refuses says what to do, as PostgreSQL does.
TEST_F(Limits, RefusalsCarryAHint) {
    const auto told = [](const std::string& conninfo) {
        return std::string(PQerrorMessage(bench::try_connect(conninfo).get()));
    };
    EXPECT_NE(told(pair_->conninfo("turnout")).find("database \"turnout\" is not served by this proxy"),
              std::string::npos)
        << "the console is elsewhere, unless it is configured";
    const std::string database = told(pair_->conninfo("elsewhere"));
    EXPECT_NE(database.find("database \"elsewhere\" is not served by this proxy"), std::string::npos) << database;
    EXPECT_NE(database.find("HINT:  Add it to databases in the [switch] section"), std::string::npos) << database;
    set("max_client_connections = 1\nsuperuser_reserved_connections = 0\n");
    reload();
    const bench::Connection only = pair_->connect();
    const std::string many = told(pair_->conninfo());
    EXPECT_NE(many.find("HINT:  Raise max_client_connections"), std::string::npos) << many;
    set("");
    reload();
}

/// Whoever waits for the operator is not late.
TEST_F(Limits, TheTimeALoginWaitsAtAClosedGateIsNotItsOwn) {
    set("login_timeout = \"5s\"\n");  // more than a login takes by itself, on however busy a machine
    reload();
    pair_->turnout().report({"pause"});
    RawPeer held(pair_->turnout().port());
    held.send(startup_packet(3, 0));
    RawPeer silent(pair_->turnout().port());
    EXPECT_TRUE(silent.closed()) << "a login_timeout is over by now";
    pair_->turnout().report({"resume"});
    EXPECT_EQ(held.messages(), "R K(4) Z");
    set("");
    reload();
}

TEST_F(Limits, AnIdleSessionIsEndedAndOneInATransactionIsNot) {
    set("client_idle_timeout = \"100ms\"\n");
    reload();
    const bench::Connection in_transaction = pair_->connect();
    bench::run(in_transaction.get(), "BEGIN");
    RawPeer idle(pair_->turnout().port());
    idle.send(startup_packet(3, 0));
    ASSERT_EQ(idle.messages(), "R K(4) Z");
    EXPECT_EQ(idle.messages(), "E(57P05)") << "terminating connection due to idle-session timeout";
    EXPECT_EQ(bench::number(in_transaction.get(), "SELECT 1"), 1);
    set("");
    reload();
}

TEST_F(Limits, AConfigurationThatIsRefusedIsToldInLogAndMetrics) {
    EXPECT_TRUE(metric("turnout_config_load_failed 0"));
    set("workerz = 7\n");
    ASSERT_EQ(::kill(pair_->turnout().pid(), SIGHUP), 0);
    eventually([&] { return metric("turnout_config_load_failed 1"); }, "the metric");
    EXPECT_NE(pair_->turnout().log().find("unknown key 'workerz' in [proxy]; did you mean 'workers'?"),
              std::string::npos);
    EXPECT_EQ(bench::number(pair_->connect().get(), "SELECT 1"), 1);
    set("");
    reload();
    EXPECT_TRUE(metric("turnout_config_load_failed 0"));
}

TEST_F(Limits, AStopLetsTransactionsEndAndTheRestIsTold) {
    set("shutdown_timeout = \"2s\"\n");
    reload();
    const bench::Connection works = pair_->connect();
    bench::run(works.get(), "BEGIN");
    const bench::Connection stays = pair_->connect();
    bench::run(stays.get(), "BEGIN");
    RawPeer idle(pair_->turnout().port());
    idle.send(startup_packet(3, 0));
    ASSERT_EQ(idle.messages(), "R K(4) Z");
    ASSERT_EQ(::kill(pair_->turnout().pid(), SIGTERM), 0);
    EXPECT_EQ(idle.messages(), "E(57P01)") << "it is at a safe point";
    bench::run(works.get(), "CREATE TABLE finished (id int PRIMARY KEY)");
    bench::run(works.get(), "COMMIT");
    const bench::Result ended{PQexec(stays.get(), "SELECT pg_sleep(600)")};
    EXPECT_NE(std::string(PQerrorMessage(stays.get())).find("terminating connection due to administrator command"),
              std::string::npos)
        << PQerrorMessage(stays.get());
    eventually([&] { return !pair_->turnout().running(); }, "the end of the proxy");
    EXPECT_EQ(pair_->blue().value("SELECT count(*) FROM finished", "app"), "0");
    pair_->turnout().start();
    set("");
    reload();
}

TEST(AuthQuery, StandsInPlaceOfPgAuthid) {
    Pair pair({.auth = support::ClusterAuth::scram,
               .lines = {{"auth",
                          "auth_query = \"SELECT role, secret FROM public.verifiers WHERE role = $1 AND enabled\""}}});
    const bench::Connection no_table = bench::try_connect(pair.conninfo());
    EXPECT_NE(std::string(PQerrorMessage(no_table.get())).find("the database server cannot be reached at present"),
              std::string::npos)
        << PQerrorMessage(no_table.get());
    EXPECT_NE(pair.turnout().log().find("public.verifiers"), std::string::npos) << pair.turnout().log();
    pair.blue().execute(
        "CREATE TABLE public.verifiers AS SELECT rolname::text AS role, rolpassword AS secret, true AS enabled FROM "
        "pg_authid WHERE rolname = 'app'");
    EXPECT_EQ(bench::number(pair.connect().get(), "SELECT 1"), 1);
    psql("host=" + pair.turnout().directory().string() + " port=6432 dbname=turnout user=me",
         "SET proxy.login_timeout = '200ms'");
    RawPeer says_nothing(pair.turnout().port());
    says_nothing.send(startup_packet(3, 0));
    EXPECT_EQ(says_nothing.messages(), "R E(57014)") << "canceling authentication due to timeout";
    pair.turnout().report({"reload"});
    pair.blue().execute("UPDATE public.verifiers SET enabled = false");
    const bench::Connection refused = bench::try_connect(pair.conninfo());
    EXPECT_NE(std::string(PQerrorMessage(refused.get())).find("password authentication failed for user \"app\""),
              std::string::npos)
        << PQerrorMessage(refused.get());
}

}  // namespace
}  // namespace turnout::integration
