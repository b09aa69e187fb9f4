// The admin socket of a running turnout as people, drivers and exporters use it: psql, a driver that knows the extended
// protocol only, Debian's exporter for PgBouncer; the page and the report of a real switch; no secret in anything that
// was written.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
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
        pair_ =
            std::make_unique<Pair>(PairOptions{.schema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)",
                                               .tls = true,
                                               .lines = {{"admin", R"(stats_users = ["pgbouncer"])"},
                                                         {"admin", R"(admin_users = ["dba"])"},
                                                         {"admin", "remote = true"},
                                                         {"proxy.tls", R"(mode = "allow")"},
                                                         {"log", R"(level = "trace")"}}});
        pair_->blue().execute(
            "CREATE ROLE dba LOGIN PASSWORD 'geheim3'; CREATE ROLE pgbouncer LOGIN PASSWORD 'geheim3'");
        pair_->sync();
    }
    static void TearDownTestSuite() { pair_.reset(); }

    static std::string conninfo(const std::string& more = "dbname=turnout user=me") {
        return "host=" + pair_->turnout().directory().string() + " port=6432 " + more;
    }

    /// By the clients' listener.
    static std::string remote(const std::string& user, const std::string& more = "password=geheim3") {
        return fmt::format("host=127.0.0.1 port={} dbname=turnout user={} {}", pair_->turnout().port(), user, more);
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

TEST_F(AdminConsole, AsyncpgShowsEveryTopicAndRunsTheVerbs) {
    const fs::path driver = fs::path(TURNOUT_SOURCE_DIR) / ".cache/asyncpg/usr/lib/python3/dist-packages";
    ASSERT_TRUE(fs::exists(driver)) << "./dev setup unpacks it";
    const fs::path script = fs::path(TURNOUT_SOURCE_DIR) / "tests/newcomer/console_driver.py";
    const bench::Exit exit = bench::run_program(
        {.arguments = {"/usr/bin/python3", "-B", script.string(), pair_->turnout().directory().string()},
         .environment = {{"PYTHONPATH", driver.string()}}});
    EXPECT_EQ(exit.status, 0) << exit.err << exit.out;
    std::istringstream help(psql(conninfo(), "SHOW HELP").out);
    for (std::string line; std::getline(help, line);)
        if (line.starts_with("SHOW ")) {
            EXPECT_NE(exit.out.find("=> " + line.substr(0, line.find('|')) + ";\n"), std::string::npos) << line;
        }
    EXPECT_NE(exit.out.find("NOTICE:  switch: settle\n"), std::string::npos) << "progress while it waits";
}

TEST_F(AdminConsole, WhoMayOnlyLookDoesNothingElse) {
    const std::string watcher = conninfo("dbname=pgbouncer user=pgbouncer");
    EXPECT_EQ(psql(watcher, "SHOW STATS").status, 0);
    for (const char* verb : {"PAUSE", "SWITCH", "RELOAD", "SHUTDOWN", "KILL_CLIENT 1", "SET switch.max_pause = '1s'"}) {
        const bench::Exit refused = psql(watcher, "\\set VERBOSITY verbose\n" + std::string(verb));
        EXPECT_NE(refused.err.find("42501: "), std::string::npos) << verb << ": " << refused.err;
        EXPECT_NE(refused.err.find(" is refused: this user may only look"), std::string::npos) << verb;
    }
    EXPECT_EQ(pair_->turnout().status().at("paused"), false);
}

TEST_F(AdminConsole, WhoIsNamedLogsInByTheClientsListenerAsAnyClientDoes) {
    for (const char* transport : {" sslmode=disable", " sslmode=require"})
        for (const char* database : {" dbname=turnout", " dbname=pgbouncer"})
            EXPECT_EQ(psql(remote("dba") + transport + database, "SHOW STATE").out.find("active|yes"), 0U)
                << transport << database;
    EXPECT_EQ(psql(remote("pgbouncer"), "SHOW STATS").status, 0);
    const bench::Exit only_looks = psql(remote("pgbouncer"), "\\set VERBOSITY verbose\nPAUSE");
    EXPECT_NE(only_looks.err.find("42501"), std::string::npos) << only_looks.err;
    const auto refusal = [](const std::string& conninfo) {
        return std::string(PQerrorMessage(bench::try_connect(conninfo).get()));
    };
    EXPECT_NE(refusal(remote("dba", "password=wrong")).find("password authentication failed"), std::string::npos);
    EXPECT_NE(refusal(remote("nobody")).find("password authentication failed"), std::string::npos);
    const std::string unnamed = refusal(bench::with(pair_->conninfo(), "dbname", "turnout"));
    EXPECT_NE(unnamed.find("user \"app\" may not use the console"), std::string::npos) << unnamed;
    for (const char* no_more : {"NOLOGIN", "LOGIN VALID UNTIL '2001-01-01'"}) {
        pair_->blue().execute(std::string("ALTER ROLE dba ") + no_more);
        EXPECT_NE(refusal(remote("dba")).find("user \"dba\" may not use the console"), std::string::npos) << no_more;
    }
    pair_->blue().execute("ALTER ROLE dba VALID UNTIL 'infinity'");
    EXPECT_EQ(psql(remote("dba"), "SHOW VERSION").status, 0);
}

TEST_F(AdminConsole, AClientOfTheConsoleIsNoSessionAndWaitsAtNoGate) {
    const bench::Connection console = bench::connect(remote("dba"));
    EXPECT_EQ(pair_->turnout().run({"show", "sessions", "--json"}).out.find("\"dba\""), std::string::npos);
    bench::run(console.get(), "PAUSE");
    EXPECT_EQ(bench::value(console.get(), "SHOW STATE"), "active");
    EXPECT_NE(psql(remote("dba"), "SHOW STATE").out.find("paused|yes"), std::string::npos) << "and a new one comes in";
    bench::run(console.get(), "RESUME");

    const bench::Connection client = pair_->connect();
    ASSERT_EQ(PQsendQuery(console.get(), "SHUTDOWN WAIT_FOR_CLIENTS"), 1);
    eventually(
        [] {
            const bench::Connection next = bench::try_connect(pair_->conninfo());
            return PQstatus(next.get()) == CONNECTION_BAD;
        },
        "the closed door");
    char error[256] = "";
    const std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> cancel(PQgetCancel(console.get()), PQfreeCancel);
    ASSERT_EQ(PQcancel(cancel.get(), error, sizeof error), 1) << error;
    const bench::Result cancelled{PQgetResult(console.get())};
    EXPECT_STREQ(PQresultErrorField(cancelled.get(), PG_DIAG_MESSAGE_PRIMARY),
                 "SHUTDOWN was cancelled; clients are let in again")
        << PQerrorMessage(console.get());
    EXPECT_EQ(bench::number(client.get(), "SELECT 1"), 1);
}

/// The answer comes before the end.
TEST_F(AdminConsole, AShutdownByTheClientsListenerIsAnswered) {
    const bench::Exit shut_down = psql(remote("dba"), "SHUTDOWN");
    EXPECT_EQ(shut_down.status, 0) << shut_down.err;
    eventually([&] { return !pair_->turnout().running(); }, "the end of the proxy");
    pair_->turnout().start();
    EXPECT_EQ(bench::number(pair_->connect().get(), "SELECT 1"), 1);
}

TEST_F(AdminConsole, StatisticsAreOfEachDatabaseInMicroseconds) {
    const auto stats = [] {
        const json::array rows = json::parse(psql(conninfo(), "SHOW STATS AS JSON").out).as_array();
        EXPECT_EQ(rows.size(), 1U);
        return rows.at(0).as_object();
    };
    const auto total = [](const json::object& row, const char* name) {
        return row.at("total_" + std::string(name)).to_number<std::int64_t>();
    };
    const json::object before = stats();
    EXPECT_EQ(before.at("database").as_string(), "app");
    {
        const bench::Connection client = pair_->connect();
        bench::run(client.get(), "BEGIN");
        bench::run(client.get(), "SELECT pg_sleep(0.05)");
        bench::run(client.get(), "COMMIT");
        const bench::Result prepared{PQprepare(client.get(), "one", "SELECT 1", 0, nullptr)};
        for (int i = 0; i < 2; ++i)
            const bench::Result executed{PQexecPrepared(client.get(), "one", 0, nullptr, nullptr, nullptr, 0)};
    }
    const json::object after = stats();
    const auto grown = [&](const char* name) { return total(after, name) - total(before, name); };
    EXPECT_EQ(grown("server_assignment_count"), 1);
    EXPECT_EQ(grown("query_count"), 6);
    EXPECT_EQ(grown("xact_count"), 4) << "a transaction, a Parse and two executions";
    EXPECT_EQ(grown("client_parse_count"), 1);
    EXPECT_EQ(grown("bind_count"), 2);
    EXPECT_GE(grown("xact_time"), 50'000);
    EXPECT_GE(grown("query_time"), 50'000);
    EXPECT_GE(grown("xact_time"), grown("query_time"));
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

/// Beside a reason and a remedy, the clients go on.
TEST_F(AdminConsole, WhatCannotBeDoneNowSaysWhatToDo) {
    const auto refused = [](const std::string& command, const std::string& message, const std::string& hint) {
        const std::string said = psql(conninfo(), command).err;
        EXPECT_NE(said.find(message), std::string::npos) << command << ": " << said;
        EXPECT_NE(said.find("HINT:  " + hint), std::string::npos) << command << ": " << said;
    };
    refused("ROLLBACK", "there is nothing to roll back: blue is active, as at the beginning", "turnout switch");
    refused("FINISH", "blue is still active: there is nothing to finish", "turnout switch first");
    refused("RESUME", "the proxy is not paused", "turnout pause");
    refused("SET proxy.tls.cert = '/nonexistent'", "proxy.tls.cert is not changed: could not use the certificate",
            "Correct the value");
    EXPECT_EQ(psql(conninfo(), "PAUSE").status, 0);
    refused("PAUSE", "the proxy is paused already", "turnout resume");
    refused("SWITCH", "SWITCH is refused: the proxy is paused", "turnout resume");
    {
        const bench::Connection entering(PQconnectStart(pair_->conninfo().c_str()));
        std::string id;
        eventually(
            [&] {
                PQconnectPoll(entering.get());
                const json::value sessions = json::parse(pair_->turnout().run({"show", "sessions", "--json"}).out);
                for (const json::value& session : sessions.as_array())
                    if (session.at("state").as_string() == "login" && session.at("user").as_string() == "app")
                        id = json::serialize(session.at("id"));
                return !id.empty();
            },
            "a login at the closed gate");
        refused("KILL_CLIENT " + id, "session " + id + " is still logging in", "Try again");
    }
    EXPECT_EQ(psql(conninfo(), "RESUME").status, 0);

    const bench::Connection holding = pair_->connect();
    bench::run(holding.get(), "BEGIN; INSERT INTO things (note) VALUES ('holds the switch up')");
    const bench::Connection switching = bench::connect(conninfo());
    ASSERT_EQ(PQsendQuery(switching.get(), "SWITCH"), 1);
    eventually([] { return pair_->turnout().status().at("phase").as_string() == "switching"; }, "the switch");
    refused("VERIFY", "VERIFY is refused: SWITCH is running, for ", "Wait until it ends");
    const std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> cancel(PQgetCancel(switching.get()), PQfreeCancel);
    char error[256] = "";
    ASSERT_EQ(PQcancel(cancel.get(), error, sizeof error), 1) << error;
    const bench::Result cancelled{PQgetResult(switching.get())};
    EXPECT_STREQ(PQresultErrorField(cancelled.get(), PG_DIAG_SQLSTATE), "57014") << PQerrorMessage(switching.get());
    bench::run(holding.get(), "ROLLBACK");
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
    EXPECT_NE(refused.err.find("SWITCH is refused by the hook before_switch"), std::string::npos) << refused.err;
    EXPECT_NE(refused.err.find("switch from blue to green: not yet"), std::string::npos) << refused.err;
    EXPECT_EQ(pair_->turnout().status().at("active").as_string(), "blue");
    EXPECT_EQ(psql(conninfo(), "RELOAD").status, 0);
}

TEST_F(AdminConsole, HooksAreToldEachPhaseInItsOrderAndThoseOfTheWindowBehindIt) {
    const fs::path directory = pair_->turnout().directory();
    const fs::path hook = directory / "teller", told = directory / "told";
    std::ofstream(hook) << "#!/bin/sh\ncat >> " << told.string() << "\n[ \"$TURNOUT_EVENT\" != before_switch ]\n";
    fs::permissions(hook, fs::perms::owner_all);
    for (const char* key : {"before_switch", "phase", "after_switch"})
        EXPECT_EQ(psql(conninfo(), fmt::format("SET hooks.{} = '{}'", key, hook.string())).status, 0);
    EXPECT_EQ(pair_->turnout().run({"switch"}).status, 1) << "the hook before it fails, and refuses it";
    EXPECT_EQ(psql(conninfo(), "SET hooks.on_failure = 'go_on'").status, 0);
    fs::remove(told);
    const json::object report = pair_->change();
    std::vector<json::object> events;
    eventually(
        [&] {
            events.clear();
            std::ifstream lines(told);
            for (std::string line; std::getline(lines, line) && !lines.eof();)
                events.push_back(json::parse(line).as_object());
            return !events.empty() && events.back().at("event").as_string() == "after_switch";
        },
        "the hook after the switch");
    EXPECT_EQ(events.front().at("event").as_string(), "before_switch");
    EXPECT_EQ(events.back().at("report").at("window_us"), report.at("window_us"));
    std::string phases;
    json::array timed;
    for (const json::object& event : events) {
        EXPECT_EQ(event.at("to"), report.at("to"));
        if (event.at("event").as_string() != "phase") continue;
        phases += std::string(event.at("phase").as_string()) + " ";
        if (event.contains("us"))
            timed.push_back({{"name", event.at("phase")}, {"us", event.at("us")}, {"began_us", event.at("began_us")}});
    }
    EXPECT_EQ(json::value(timed), report.at("phases")) << "those of the window, with what the report says of them";
    EXPECT_EQ(phases.find("recheck "), 0U) << phases;
    std::string of_the_window;
    for (const json::value& phase : report.at("phases").as_array())
        of_the_window += std::string(phase.at("name").as_string()) + " ";
    EXPECT_NE(phases.find("intent " + of_the_window + "settle "), std::string::npos) << phases;
    const std::string id = fs::path(std::string(report.at("report").as_string())).stem().string();
    EXPECT_NE(pair_->turnout().log().find(": settle [switch=" + id + " phase=settle side="), std::string::npos);
    EXPECT_EQ(psql(conninfo(), "RELOAD").status, 0);
    pair_->change();
}

/// Whatever the hook before it has stopped, the one after it can start again.
TEST_F(AdminConsole, HooksAreToldOfAFailureWithItsReason) {
    const fs::path directory = pair_->turnout().directory();
    const fs::path hook = directory / "teller", told = directory / "told";
    std::ofstream(hook) << "#!/bin/sh\necho \"$TURNOUT_EVENT $TURNOUT_OUTCOME $TURNOUT_SQLSTATE $TURNOUT_REASON\" >> "
                        << told.string() << "\n[ \"$TURNOUT_EVENT\" != before_sync ]\n";
    fs::permissions(hook, fs::perms::owner_all);
    const auto lines_after = [&](const std::vector<std::string>& verb) {
        fs::remove(told);
        EXPECT_EQ(pair_->turnout().run(verb).status, 1) << verb.front();
        std::string text;
        eventually([&] { return (text = read(told)).find("\nafter_") != std::string::npos && text.back() == '\n'; },
                   "the hook after it");
        return text;
    };
    for (const char* key :
         {"before_sync", "after_sync", "before_switch", "after_switch", "before_finish", "after_finish"})
        EXPECT_EQ(psql(conninfo(), fmt::format("SET hooks.{} = '{}'", key, hook.string())).status, 0);
    const bench::Connection holding = pair_->connect();
    bench::run(holding.get(), "BEGIN; INSERT INTO things (note) VALUES ('holds the switch up')");
    EXPECT_EQ(lines_after({"finish"}),
              "before_finish   \nafter_finish failed 55000 blue is still active: there is nothing to finish\n");
    EXPECT_EQ(lines_after({"sync"}),
              "before_sync   \nafter_sync failed 55000 SYNC is refused by the hook before_sync\n");
    EXPECT_EQ(lines_after({"switch", "--deadline", "1s"}).find("before_switch   \nafter_switch given_up 55P03 "), 0U);
    bench::run(holding.get(), "ROLLBACK");
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
    const std::string history = pair_->turnout().run({"show", "history", "--json"}).out;
    const json::object before = pair_->turnout().status();
    const json::object plan = pair_->turnout().report({"switch", "--dry-run"});
    EXPECT_EQ(plan.at("outcome").as_string(), "possible") << json::serialize(plan);
    EXPECT_GT(plan.at("window_us_estimate").to_number<double>(), 0);
    EXPECT_EQ(plan.at("steps").as_array().size(), 12U);
    EXPECT_EQ(pair_->turnout().status().at("generation"), before.at("generation"));
    EXPECT_EQ(pair_->turnout().run({"show", "history", "--json"}).out, history);
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
    EXPECT_NE(pair_->turnout().run({"switch"}).err.find("green is active already"), std::string::npos);
    EXPECT_NE(
        pair_->turnout().run({"abort"}).err.find("green is active: aborting now would lose what was written there"),
        std::string::npos);
    pair_->change();
    bench::number(client.get(), "SELECT 1");
    psql(conninfo(), "SET side.blue.url = 'host=x password=geheim1'");
    EXPECT_THROW(bench::connect(pair_->turnout().conninfo("app", "a wrong geheim2")), std::exception);
    psql(remote("dba"), "SHOW CONFIG");
    std::vector<std::string> secrets{Pair::kPassword, "geheim1", "geheim2", "geheim3"};
    const std::string verifier = pair_->blue().value("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'");
    ASSERT_TRUE(verifier.starts_with("SCRAM-SHA-256$")) << verifier;
    secrets.push_back(verifier.substr(verifier.rfind(':') + 1));
    secrets.push_back(verifier.substr(verifier.rfind('$') + 1, verifier.rfind(':') - verifier.rfind('$') - 1));
    const std::regex given("password='?([^' ]+)");
    const std::string configuration = read(pair_->turnout().configuration());
    for (std::sregex_iterator it(configuration.begin(), configuration.end(), given), none; it != none; ++it)
        if ((*it)[1] != "postgres") secrets.push_back((*it)[1]);  // which is a user's and a database's name, too
    // Core dumps would hold them.
    EXPECT_TRUE(std::regex_search(read(fs::path("/proc") / std::to_string(pair_->turnout().pid()) / "limits"),
                                  std::regex("Max core file size +0 +0 ")));
    const auto all = everything(*pair_, conninfo());
    EXPECT_GT(all.size(), 80U);
    EXPECT_EQ(pair_->turnout().run({"show", "history", "--json"}).out.find("[{\"time\""), 0U);
    for (const auto& [where, text] : all)
        for (const std::string& secret : secrets) EXPECT_EQ(text.find(secret), std::string::npos) << where;
}

TEST_F(AdminConsole, IsNotAmongTheSessionsThatASwitchMoves) {
    EXPECT_EQ(psql(conninfo(), "RELOAD").status, 0);
    const bench::Connection client = pair_->connect();
    const bench::Connection console = bench::connect(remote("dba"));
    bench::run(console.get(), "SHOW VERSION");
    eventually(
        [] {
            const std::string clients = psql(conninfo(), "SHOW CLIENTS").out;
            return std::count(clients.begin(), clients.end(), '\n') == 1;
        },
        "the clients of the tests before to be gone");
    const json::object report = pair_->change();
    EXPECT_EQ(report.at("sessions").at("total").to_number<int>(), 1);
    EXPECT_EQ(report.at("sessions").at("moved").to_number<int>(), 1);
    bench::run(console.get(), "SHOW VERSION");
}

}  // namespace
}  // namespace turnout::integration
