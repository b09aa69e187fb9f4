// The admin socket of a running turnout as people, drivers and exporters use it: psql, a driver that knows the extended
// protocol only, Debian's exporter for PgBouncer; the page and the report of a real switch; no secret in anything that
// was written.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>

#include "tests/integration/eventually.hpp"
#include "tests/integration/http_get.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

class AdminConsole : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        pair_ = std::make_unique<Pair>(
            PairOptions{.schema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)",
                        .lines = {{"admin", R"(stats_users = ["pgbouncer"])"}, {"log", R"(level = "trace")"}}});
        pair_->sync();
    }
    static void TearDownTestSuite() { pair_.reset(); }

    static std::string conninfo(const std::string& more = "dbname=turnout user=me") {
        return "host=" + pair_->turnout().directory().string() + " port=6432 " + more;
    }

    static std::unique_ptr<Pair> pair_;
};
std::unique_ptr<Pair> AdminConsole::pair_;

TEST_F(AdminConsole, PsqlShowsEveryTopic) {
    const bench::Connection client = pair_->connect();
    const bench::Exit help = psql(conninfo(), "SHOW HELP;");
    ASSERT_EQ(help.status, 0) << help.err;
    std::size_t topics = 0;
    std::istringstream lines(help.out);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("SHOW ")) continue;
        const std::string command = line.substr(0, line.find('|'));
        const bench::Exit shown = psql(conninfo(), command + ";");
        EXPECT_EQ(shown.status, 0) << command << ": " << shown.err;
        ++topics;
    }
    EXPECT_GE(topics, 24U) << help.out;
    EXPECT_EQ(psql(conninfo(), "SHOW REPLICATION").out.find("app|green|turnout_to_green"), 0U);
    EXPECT_NE(psql(conninfo("dbname=pgbouncer user=me"), "SHOW POOLS").out.find("app|app|1|0|"), std::string::npos);
}

TEST_F(AdminConsole, ADriverThatKnowsTheExtendedProtocolOnly) {
    const bench::Exit exit = bench::run_program(node("driver_console.js", {pair_->turnout().directory().string()}));
    ASSERT_EQ(exit.status, 0) << exit.err;
    const json::object seen = json::parse(exit.out).as_object();
    EXPECT_EQ(seen.at("active").as_string(), "blue");
    EXPECT_EQ(seen.at("database").as_string(), "app");
    EXPECT_EQ(seen.at("error").as_string(), "42601");
}

TEST_F(AdminConsole, WhoMayOnlyLookDoesNothingElse) {
    const std::string watcher = conninfo("dbname=pgbouncer user=pgbouncer");
    EXPECT_EQ(psql(watcher, "SHOW STATS").status, 0);
    for (const char* verb : {"PAUSE", "SWITCH", "RELOAD", "SHUTDOWN", "KILL_CLIENT 1", "SET switch.max_pause = '1s'"}) {
        const bench::Exit refused = psql(watcher, "\\set VERBOSITY verbose\n" + std::string(verb));
        EXPECT_NE(refused.err.find("42501"), std::string::npos) << verb << ": " << refused.err;
    }
    EXPECT_EQ(pair_->turnout().status().at("paused"), false);
}

TEST_F(AdminConsole, PgBouncersVerbsDoWhatTheySay) {
    const auto console = [](const std::string& command) { return psql(conninfo(), command); };
    const bench::Connection client = pair_->connect();
    const std::string pid = bench::value(client.get(), "SELECT pg_backend_pid()").value();

    EXPECT_EQ(console("DISABLE app").status, 0);
    EXPECT_THROW(pair_->connect(), std::exception);
    EXPECT_EQ(bench::number(client.get(), "SELECT 1"), 1) << "who is in stays";
    EXPECT_EQ(console("ENABLE app").status, 0);
    EXPECT_EQ(bench::number(pair_->connect().get(), "SELECT 1"), 1);
    EXPECT_NE(console("DISABLE nosuch").err.find("no such database: nosuch"), std::string::npos);

    for (const char* accepted :
         {"RECONNECT", "RECONNECT app", "WAIT_CLOSE", "WAIT_CLOSE app", "RELOAD", "PAUSE app", "RESUME app"})
        EXPECT_EQ(console(accepted).status, 0) << accepted;

    EXPECT_EQ(console("SET switch.max_pause = '77ms'").status, 0);
    EXPECT_NE(console("SHOW CONFIG").out.find("switch.max_pause|77ms"), std::string::npos);
    EXPECT_EQ(console("RELOAD").status, 0);
    EXPECT_EQ(console("SHOW CONFIG").out.find("switch.max_pause|77ms"), std::string::npos) << "until a reload";

    std::string id;
    const json::value sessions = json::parse(pair_->turnout().run({"show", "sessions", "--json"}).out);
    for (const json::value& session : sessions.as_array())
        if (json::serialize(session.at("client_pid")) == pid) id = json::serialize(session.at("id"));
    EXPECT_EQ(console("KILL_CLIENT " + id).status, 0);
    const bench::Result ended{PQexec(client.get(), "SELECT 1")};
    EXPECT_EQ(PQresultStatus(ended.get()), PGRES_FATAL_ERROR);
    EXPECT_EQ(PQstatus(client.get()), CONNECTION_BAD);
    EXPECT_NE(console("KILL_CLIENT 999999").err.find("there is no session 999999"), std::string::npos);
}

TEST_F(AdminConsole, AHoldFileAndAHookThatFailsRefuseASwitch) {
    const fs::path directory = pair_->turnout().directory();
    const auto set = [](const std::string& key, const std::string& value) {
        EXPECT_EQ(psql(conninfo(), "SET " + key + " = '" + value + "'").status, 0);
    };
    const fs::path hold = directory / "hold";
    std::ofstream(hold) << "not tonight";
    set("switch.hold_file", hold.string());
    const bench::Exit held = pair_->turnout().run({"switch"});
    EXPECT_EQ(held.status, 1);
    EXPECT_NE(held.err.find("the hold file " + hold.string() + " exists"), std::string::npos) << held.err;
    fs::remove(hold);

    const fs::path hook = directory / "hook";
    std::ofstream(hook) << "#!/bin/sh\necho \"$TURNOUT_VERB from $TURNOUT_FROM to $TURNOUT_TO: not yet\" >&2\nexit 1\n";
    fs::permissions(hook, fs::perms::owner_all);
    set("hooks.before_switch", hook.string());
    const bench::Exit refused = pair_->turnout().run({"switch"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find("switch from blue to green: not yet"), std::string::npos) << refused.err;
    EXPECT_EQ(pair_->turnout().status().at("active").as_string(), "blue");
    EXPECT_EQ(psql(conninfo(), "RELOAD").status, 0);
}

TEST_F(AdminConsole, DebiansExporterRunsAgainstItUnchanged) {
    const bench::Connection client = pair_->connect();
    bench::number(client.get(), "SELECT 1");
    const fs::path exporter = fs::path(TURNOUT_SOURCE_DIR) / ".cache/exporter";
    ASSERT_TRUE(fs::exists(exporter)) << "./dev setup unpacks it";
    const std::uint16_t port = bench::free_port();
    bench::Program program(
        {.arguments = {"/usr/bin/python3", (exporter / "usr/bin/prometheus-pgbouncer-exporter").string(), "--host",
                       "127.0.0.1", "--port", std::to_string(port), "--pgbouncer-host",
                       pair_->turnout().directory().string(), "--pgbouncer-port", "6432"},
         .environment = {{"PYTHONPATH", (exporter / "usr/lib/python3/dist-packages").string()}}});
    std::string metrics;
    eventually(
        [&] {
            metrics = http_get(port, "/metrics");
            // Clients of other tests may be on their way out.
            return metrics.find("pgbouncer_used_clients 1.0") != std::string::npos;
        },
        "the exporter's metrics");
    program.signal(SIGTERM);
    for (const char* metric :
         {"pgbouncer_requests_total{database=\"app\"}", "pgbouncer_received_bytes_total{database=\"app\"}",
          "pgbouncer_active_clients{database=\"app\",user=\"app\"} 1.0", "pgbouncer_waiting_clients{database=\"app\"",
          "pgbouncer_databases 1.0", "pgbouncer_used_clients 1.0", "pgbouncer_dns_pending 0.0"})
        EXPECT_NE(metrics.find(metric), std::string::npos) << metric << "\n" << metrics;
}

TEST_F(AdminConsole, ADryRunListsTheStepsAndChangesNothing) {
    const json::object before = pair_->turnout().status();
    const json::object plan = pair_->turnout().report({"switch", "--dry-run"});
    EXPECT_EQ(plan.at("outcome").as_string(), "possible") << json::serialize(plan);
    EXPECT_GT(plan.at("window_us_estimate").to_number<double>(), 0);
    EXPECT_EQ(plan.at("steps").as_array().size(), 12U);
    EXPECT_EQ(pair_->turnout().status().at("generation"), before.at("generation"));
    EXPECT_EQ(pair_->turnout().run({"show", "history", "--json"}).out, "[]\n");
}

/// All that a run of turnout leaves behind or shows, by where it stands.
std::map<std::string, std::string> everything(Pair& pair, const std::string& conninfo) {
    std::map<std::string, std::string> all;
    const fs::path directory = pair.turnout().directory();
    for (const auto& entry : fs::recursive_directory_iterator(directory))
        if (entry.is_regular_file() && entry.path().filename() != "turnout.toml")  // which holds them for a reason
            all[entry.path().string()] = read(entry.path());
    const fs::path process = fs::path("/proc") / std::to_string(pair.turnout().pid());
    for (const char* name : {"cmdline", "comm", "environ"}) all["/proc " + std::string(name)] = read(process / name);
    for (const auto& thread : fs::directory_iterator(process / "task"))
        all["title of thread " + thread.path().filename().string()] = read(thread.path() / "comm");
    for (const char* page : {"/metrics", "/", "/readyz"}) all[page] = http_get(pair.turnout().metrics_port(), page);
    std::istringstream help(psql(conninfo, "SHOW HELP").out);
    for (std::string line; std::getline(help, line);) {
        if (!line.starts_with("SHOW ")) continue;
        const std::string command = line.substr(0, line.find('|'));
        for (const char* form : {"", " AS JSON", " AS TEXT"}) all[command + form] = psql(conninfo, command + form).out;
    }
    for (support::Cluster* server : {&pair.blue(), &pair.green()})
        all["what " + std::to_string(server->port()) + " shows of sessions"] =
            server->value("SELECT string_agg(query || application_name, ' ') FROM pg_stat_activity");
    return all;
}

TEST_F(AdminConsole, NoPasswordAndNoVerifierIsInAnythingThatWasWritten) {
    const bench::Connection client = pair_->connect();
    pair_->change();
    pair_->change();
    bench::number(client.get(), "SELECT 1");
    psql(conninfo(), "SET side.blue.url = 'host=x password=geheim1'");
    EXPECT_THROW(bench::connect(pair_->turnout().conninfo("app", "a wrong geheim2")), std::exception);
    std::vector<std::string> secrets{Pair::kPassword, "geheim1", "geheim2"};
    const std::string verifier = pair_->blue().value("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'");
    ASSERT_TRUE(verifier.starts_with("SCRAM-SHA-256$")) << verifier;
    secrets.push_back(verifier.substr(verifier.rfind(':') + 1));
    secrets.push_back(verifier.substr(verifier.rfind('$') + 1, verifier.rfind(':') - verifier.rfind('$') - 1));
    const std::regex given("password='?([^' ]+)");
    const std::string configuration = read(pair_->turnout().configuration());
    for (std::sregex_iterator it(configuration.begin(), configuration.end(), given), none; it != none; ++it)
        if ((*it)[1] != "postgres") secrets.push_back((*it)[1]);  // which is a user's and a database's name, too
    const auto all = everything(*pair_, conninfo());
    EXPECT_GT(all.size(), 80U);
    EXPECT_EQ(pair_->turnout().run({"show", "history", "--json"}).out.find("[{\"time\""), 0U);
    for (const auto& [where, text] : all)
        for (const std::string& secret : secrets) EXPECT_EQ(text.find(secret), std::string::npos) << where;
}

}  // namespace
}  // namespace turnout::integration
