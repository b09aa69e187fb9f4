#include "bench/demo.hpp"

#include <fmt/format.h>

#include <future>

#include "bench/interrupt.hpp"
#include "bench/json_fields.hpp"
#include "bench/pq.hpp"
#include "bench/program.hpp"

namespace turnout::bench {

using namespace std::chrono_literals;

namespace {

constexpr const char* kRole = "app";
constexpr const char* kPassword = "a password that only the application knows";
constexpr const char* kDatabase = "app";

double seconds_since(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }

std::unique_ptr<support::Cluster> make_server(int major, const std::string& name) {
    support::ClusterOptions options;
    options.major = major;
    options.name = name;
    options.fsync = true;
    options.auth = support::ClusterAuth::scram;
    options.password = "a password that only control knows";
    // The defaults are for a machine of long ago: 2 million rows would checkpoint all the time.
    options.settings = {{"shared_buffers", "256MB"}, {"max_wal_size", "4GB"}};
    return std::make_unique<support::Cluster>(std::move(options));
}

Totals difference(const Totals& now, const Totals& before) {
    Totals result = now;
    result.writes -= before.writes;
    result.reads -= before.reads;
    result.errors -= before.errors;
    result.reconnects -= before.reconnects;
    result.unknown -= before.unknown;
    result.back_in_time -= before.back_in_time;
    result.unexplained -= before.unexplained;
    return result;
}

/// A finding may go away again (a row that was there too early, say): never below nothing.
std::uint64_t more(std::uint64_t now, std::uint64_t before) { return now > before ? now - before : 0; }

Audit difference(const Audit& now, const Audit& before) {
    Audit result = now;
    result.lost = more(now.lost, before.lost);
    result.duplicated = more(now.duplicated, before.duplicated);
    result.unexplained = more(now.unexplained, before.unexplained);
    result.counters_low = more(now.counters_low, before.counters_low);
    result.counters_high = more(now.counters_high, before.counters_high);
    result.tickets_doubled = more(now.tickets_doubled, before.tickets_doubled);
    return result;
}

}  // namespace

DemoOutcome Demo::run() {
    start_servers();
    load_data();
    if (options_.conventional) conventional();
    start_turnout();
    sync();
    for (const char* verb : {"switch", "rollback", "switch"}) change(verb);
    finish();
    return std::move(outcome_);
}

std::string Demo::as_application(const std::string& conninfo_without_user) const {
    return with(with(with(conninfo_without_user, "user", kRole), "password", kPassword), "dbname", kDatabase);
}

void Demo::start_servers() {
    terminal_.heading(
        fmt::format("Servers: blue is PostgreSQL {}, green is PostgreSQL {}", options_.blue, options_.green));
    terminal_.live("making throw-away clusters, fsync on, logins by SCRAM-SHA-256");
    auto green = std::async(std::launch::async, make_server, options_.green, "green");
    auto blue = std::async(std::launch::async, make_server, options_.blue, "blue");
    blue_ = blue.get();
    green_ = green.get();
    if (options_.conventional) third_ = make_server(options_.green, "conventional");
    check_interrupted();
    for (const support::Cluster* server : {blue_.get(), green_.get()})
        terminal_.line(fmt::format("{:<6} 127.0.0.1:{}  PostgreSQL {}", server->name(), server->port(),
                                   server->value("SHOW server_version")));
}

void Demo::load_data() {
    terminal_.heading(
        fmt::format("Data: pgbench at scale {} and a ledger, in blue's database \"{}\"", options_.scale, kDatabase));
    const Clock::time_point started = Clock::now();
    terminal_.live("pgbench -i");
    blue_->execute(fmt::format("CREATE ROLE {} LOGIN PASSWORD '{}'", kRole, kPassword));
    blue_->execute(fmt::format("CREATE DATABASE {} OWNER {}", kDatabase, kRole));
    const std::string application = as_application(fmt::format("host=127.0.0.1 port={}", blue_->port()));
    must_run({.arguments = {client_program("pgbench"), "-i", "-q", "-s", std::to_string(options_.scale), application},
              .environment = {}});
    // It has no key: an UPDATE or DELETE of it could not be carried to the other side otherwise.
    bench::run(connect(application).get(), "ALTER TABLE pgbench_history REPLICA IDENTITY FULL");
    install_ledger(application);
    terminal_.line(fmt::format("{} of data in {:.1f} s",
                               blue_->value(fmt::format("SELECT pg_size_pretty(pg_database_size('{}'))", kDatabase)),
                               seconds_since(started)));
}

void Demo::conventional() {
    terminal_.heading("The conventional way, for comparison: stop, dump, restore, verify, restart");
    ConventionalPlan plan;
    plan.from = blue_.get();
    plan.to = third_.get();
    plan.database = kDatabase;
    plan.role = kRole;
    plan.password = kPassword;
    plan.load.writers = options_.writers;
    plan.tell = [this](std::string_view text) { terminal_.live(text); };
    outcome_.conventional = change_conventionally(plan);
    outcome_.with_conventional = true;
    terminal_.line(fmt::format("no client could write for {} (dump and restore {}, verifying {} rows {})",
                               human(outcome_.conventional.downtime), human(outcome_.conventional.copy),
                               outcome_.conventional.rows, human(outcome_.conventional.verify)));
    third_.reset();
}

void Demo::start_turnout() {
    terminal_.heading("turnout serve, and the load through it");
    ServedOptions served;
    served.program = options_.program;
    served.blue = blue_->conninfo("");
    served.green = green_->conninfo("");
    served.databases = {kDatabase};
    turnout_ = std::make_unique<Served>(std::move(served));
    terminal_.line(fmt::format("clients connect to 127.0.0.1:{} from here on", turnout_->port()));
    LedgerSettings settings;
    settings.conninfo = turnout_->conninfo(kRole, kPassword, kDatabase);
    settings.writers = options_.writers;
    flat_out_ = std::make_unique<Ledger>(settings);
    settings.writers = 5;
    settings.pace = {.read_every = 3s, .write_every = 10s};
    settings.seed = 2;
    thesis_ = std::make_unique<Ledger>(settings);
    const Clock::time_point started = Clock::now();
    flat_out_->start();
    thesis_->start();
    rest(std::chrono::seconds(options_.seconds_between));
    terminal_.line(
        fmt::format("{} connections write as fast as they can (simple, extended, prepared, pipelined): {:.0f} "
                    "transactions a second",
                    options_.writers, static_cast<double>(flat_out_->totals().writes) / seconds_since(started)));
    terminal_.line("5 connections read every 3 s and write every 10 s, as the thesis' client did");
}

void Demo::sync() {
    terminal_.heading("turnout check, sync, check");
    check();
    const Clock::time_point started = Clock::now();
    const auto tell = [this](std::string_view line) { terminal_.live(line); };
    const boost::json::object report = turnout_->report({"sync"}, tell);
    terminal_.line(fmt::format("synced in {:.1f} s, the load going on: {} tables, {} bytes copied",
                               seconds_since(started), grouped(integer(report, "tables")),
                               grouped(integer(report, "bytes"))));
    check();
}

void Demo::check() {
    const Exit exit = turnout_->run({"check", "--json"});
    boost::json::error_code error;
    const boost::json::value parsed = boost::json::parse(exit.out, error);
    if (error) throw std::runtime_error("turnout check said no JSON: " + exit.err + exit.out);
    const boost::json::array* findings = nullptr;
    if (parsed.is_array()) findings = &parsed.get_array();
    if (parsed.is_object()) {
        const boost::json::value* list = parsed.get_object().if_contains("findings");
        findings = list == nullptr ? nullptr : list->if_array();
    }
    std::size_t looked = 0;
    for (const boost::json::value& finding : findings == nullptr ? boost::json::array() : *findings) {
        ++looked;
        const boost::json::object& object = finding.as_object();
        const std::string severity{object.at("severity").as_string()};
        if (severity == "pass") continue;
        terminal_.line(fmt::format("{}: {}", severity == "warn" ? severity : terminal_.red(severity),
                                   std::string_view(object.at("sentence").as_string())));
    }
    terminal_.line(fmt::format("check looked at {} things: {}", looked,
                               exit.done() ? "nothing stands in the way" : "the above stands in the way"));
}

Totals Demo::load_totals() const {
    Totals totals = flat_out_->totals();
    totals += thesis_->totals();
    return totals;
}

Audit Demo::audit_now() {
    flat_out_->hold();
    thesis_->hold();
    const Audit found = audit({flat_out_.get(), thesis_.get()}, turnout_->conninfo(kRole, kPassword, kDatabase));
    flat_out_->release();
    thesis_->release();
    return found;
}

void Demo::change(const std::string& verb) {
    terminal_.heading("turnout " + verb);
    rest(std::max<std::chrono::milliseconds>(std::chrono::seconds(options_.seconds_between), 1s));
    DemoSwitch change;
    change.verb = verb;
    const Totals before = load_totals();
    const Clock::time_point started = Clock::now();
    change.before = flat_out_->waits(started - 1s, started);
    change.report = turnout_->report({verb}, [this](std::string_view line) { terminal_.live(line); });
    const Clock::time_point ended = Clock::now();
    change.during = flat_out_->waits(started, ended);
    rest(std::chrono::seconds(options_.seconds_between));
    const Audit found = audit_now();
    change.totals = difference(load_totals(), before);
    change.audit = difference(found, found_before_);
    found_before_ = found;
    terminal_.line(fmt::format(
        "from {} to {}: window {} µs, {} attempt(s); the whole verb took {:.2f} s", text(change.report, "from"),
        text(change.report, "to"), grouped(integer(change.report, "window_us")),
        grouped(integer(change.report, "attempts")), std::chrono::duration<double>(ended - started).count()));
    terminal_.line(fmt::format("the load saw {} errors and {} reconnects, its longest wait was {}",
                               change.totals.errors, change.totals.reconnects, human(change.during.statements.max)));
    outcome_.switches.push_back(std::move(change));
}

void Demo::finish() {
    terminal_.heading("turnout finish");
    const boost::json::object status = turnout_->status();
    const support::Cluster& winner = status.at("active").as_string() == "blue" ? *blue_ : *green_;
    const Exit exit = turnout_->run({"finish"});
    if (!exit.done()) throw std::runtime_error("turnout finish was refused: " + exit.err + exit.out);
    rest(1s);
    flat_out_->stop();
    thesis_->stop();
    outcome_.totals = load_totals();
    outcome_.audit = audit({flat_out_.get(), thesis_.get()}, winner.conninfo(kDatabase));
    const Connection connection = connect(winner.conninfo(kDatabase));
    const Result objects = bench::run(connection.get(),
                                      "SELECT 'slot ' || slot_name FROM pg_replication_slots UNION ALL "
                                      "SELECT 'subscription ' || subname FROM pg_subscription UNION ALL "
                                      "SELECT 'publication ' || pubname FROM pg_publication UNION ALL "
                                      "SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname LIKE 'turnout%'");
    for (int row = 0; row < PQntuples(objects.get()); ++row) outcome_.leftovers.emplace_back(field(objects, row, 0));
    terminal_.line(fmt::format("{} stays alone and serves; {} objects of replication are left in it", winner.name(),
                               outcome_.leftovers.size()));
    turnout_.reset();
}

}  // namespace turnout::bench
