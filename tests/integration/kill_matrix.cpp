#include "tests/integration/kill_matrix.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <cstdlib>
#include <fstream>

#include "tests/integration/eventually.hpp"

namespace turnout::integration {

using namespace std::chrono_literals;

namespace {

/// Long enough that a process can be stopped in the window and the blow be struck before it is over.
constexpr const char* kMaxPause = R"(max_pause = "2s")";
/// Ends a hang of a cell; long, since it goes on while a machine is suspended.
constexpr auto kPatience = 300s;
constexpr const char* kDeadline = "4m";  // for the same reason
/// A process that was stopped by the test is not to be taken for one that hangs.
constexpr const char* kWatchdog = R"(claim_watchdog = "10m")";

PairOptions options() {
    PairOptions options;
    const char* other = std::getenv("TURNOUT_HALTING");  // one with a sanitizer, by hand
    options.program = other != nullptr ? other : TURNOUT_HALTING;
    options.lines = {{"switch", kMaxPause}, {"proxy", kWatchdog}};
    options.cables = true;
    return options;
}

/// Its place in the order of the steps.
std::size_t place(std::string_view step) {
    if (step.starts_with("2 ")) step.remove_prefix(2);
    const auto& steps = matrix_steps();
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (steps[i] == step) return i;
    }
    return steps.size();
}

/// While only the old side's standby is away, its clients go on with the old side, unless the activation was sent to
/// it. A claim answers at once, so within it the disabling of the forward streams is sent already: whoever is stopped
/// between that and its answer may find the answer when it wakes, and then sends the activation if `max_pause` still
/// lets it. Nothing is expected there.
bool goes_on_without_standby(const Cell& cell) {
    if (cell.moment == "within" && place(cell.step) >= place("claim")) return false;
    return place(cell.step) + (cell.moment == "after" ? 1 : 0) <= place("disable forward streams");
}

/// What a side holds that must be equal on both once they have caught up.
constexpr const char* kContents =
    "SELECT concat_ws(' ', (SELECT concat(count(*), ' ', sum(hashtext(e::text)::bigint)) FROM ledger_entries e), "
    "(SELECT sum(hashtext(c::text)::bigint) FROM ledger_counters c), "
    "(SELECT sum(hashtext(b::text)::bigint) FROM ledger_balances b))";

/// What is not in its steady state on the active side (first query) and on the standby; no row: all is.
constexpr const char* kActiveTrouble =
    "SELECT 'an intent' FROM turnout.intent UNION ALL "
    "SELECT 'a fence' FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase "
    "WHERE d.datname = 'app' AND 'default_transaction_read_only=on' = ANY (s.setconfig) UNION ALL "
    "SELECT 'a stream to it that is not probing' FROM pg_subscription WHERE NOT subenabled OR "
    "subpublications <> '{turnout_mark}' UNION ALL "
    "SELECT 'an idle slot' FROM pg_replication_slots WHERE NOT active";
constexpr const char* kStandbyTrouble =
    "SELECT 'an intent' FROM turnout.intent UNION ALL "
    "SELECT 'no fence' WHERE NOT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase "
    "WHERE d.datname = 'app' AND 'default_transaction_read_only=on' = ANY (s.setconfig)) UNION ALL "
    "SELECT 'a stream to it that is not whole' FROM pg_subscription WHERE NOT subenabled OR "
    "cardinality(subpublications) < 2 UNION ALL "
    "SELECT 'an idle slot' FROM pg_replication_slots WHERE NOT active";

}  // namespace

std::string_view name(Blow blow) {
    static constexpr std::array<std::string_view, kBlows> names{
        "proxy killed",          "proxy replaced",         "active killed",           "standby killed",
        "active frozen",         "standby frozen",         "proxy and active killed", "proxy and standby killed",
        "network to active cut", "network to standby cut", "servers parted"};
    return names.at(static_cast<std::size_t>(blow));
}

std::string Cell::text() const { return fmt::format("{} {}, {}", moment, step, name(blow)); }

const std::vector<std::string_view>& matrix_steps() {
    static const std::vector<std::string_view> steps{"recheck",
                                                     "park reverse stream",
                                                     "raise fence",
                                                     "bypassing",
                                                     "wait out transactions",
                                                     "arm sessions",
                                                     "warm up",
                                                     "look at the moment",
                                                     "note attempt",
                                                     "write intent",
                                                     "register attempt",
                                                     "close gate",
                                                     "read facts",
                                                     "catch up",
                                                     "carry sequences",
                                                     "claim",
                                                     "disable forward streams",
                                                     "activate",
                                                     "open gate",
                                                     "note generation",
                                                     "settle",
                                                     "finish moves"};
    return steps;
}

const std::vector<std::string_view>& matrix_moments() {
    static const std::vector<std::string_view> moments{"before", "within", "after"};
    return moments;
}

// --------------------------------------------------------------------------------------------------------------- arena

Arena::Arena() : pair_(options()) {
    proxies_.push_back(&pair_.turnout());
    bench::ServedOptions second = pair_.served_options();
    second.start = false;
    own_.push_back(std::make_unique<bench::Served>(second));
    proxies_.push_back(own_.back().get());

    bench::install_ledger(pair_.direct(pair_.blue()));
    pair_.sync();
    for (const bool blue : {true, false}) objects_[blue] = turnout_objects(server(blue), {});
    bench::LedgerSettings settings;
    settings.conninfo = conninfo();
    settings.writers = 4;
    settings.pace.think = 3ms;
    settings.seed = seed();
    ledger_ = std::make_unique<bench::Ledger>(settings);
    ledger_->start();
}

Arena::~Arena() { ledger_->stop(); }

/// Whichever of the two proxies listens: the ledger's connections try both.
std::string Arena::conninfo() const {
    const std::string one = pair_.conninfo();
    const std::string ports = fmt::format("{},{}", proxies_[0]->port(), proxies_[1]->port());
    return bench::with(bench::with(bench::with(one, "host", "127.0.0.1,127.0.0.1"), "port", ports), "connect_timeout",
                       "3");
}

std::string Arena::active() {
    const boost::json::object status = proxy().status();
    return status.at("active").is_null() ? std::string() : std::string(status.at("active").as_string());
}

bool Arena::on_blue() { return active() == "blue"; }

bool Arena::stopped() { return process_state(proxy().pid()) == 'T'; }

void Arena::wake() { ::kill(proxy().pid(), SIGCONT); }

void Arena::await_writes(std::uint64_t more, const char* what) {
    const std::uint64_t goal = ledger_->totals().writes + more;
    eventually([&] { return ledger_->totals().writes >= goal; }, what, kPatience);
}

void Arena::change() {
    await_steady();
    proxy().report({on_blue() ? "switch" : "rollback"});
    await_steady();
}

std::string Arena::play(const Cell& cell) {
    SCOPED_TRACE(cell.text());
    const bool blue = on_blue();
    support::Cluster& from = server(blue);
    support::Cluster& to = server(!blue);
    await_writes(20, "the load's writes before the switch");
    std::ofstream(proxy().directory() / "halt") << (cell.step.starts_with("2 ") ? "2 " : "") << cell.moment << ' '
                                                << (cell.step.starts_with("2 ") ? cell.step.substr(2) : cell.step);
    bench::Program verb(proxy().verb({blue ? "switch" : "rollback", "--deadline", kDeadline}));
    eventually(
        [&] {
            return stopped() || !std::filesystem::exists(fmt::format("/proc/{}", verb.pid())) ||
                   process_state(verb.pid()) == 'Z';
        },
        "the moment of the cell", kPatience);
    if (!stopped()) {
        const bench::Exit exit = verb.wait();
        ADD_FAILURE() << "the moment was not met: " << exit.status << ' ' << exit.err << exit.out;
        return "not met";
    }
    const std::string meanwhile = strike(cell, from, to);
    const bench::Exit exit = verb.wait(kPatience);
    const bool proxy_dies = cell.blow == Blow::kill_proxy || cell.blow == Blow::replace_proxy ||
                            cell.blow == Blow::kill_proxy_and_active || cell.blow == Blow::kill_proxy_and_standby;
    if (!proxy_dies) {
        EXPECT_NE(exit.status, 3) << exit.err << exit.out;
    }
    await_steady();
    await_writes(20, "the load's writes after the blow");
    expect_one_writable_side();
    expect_clean_account();
    return (on_blue() == blue ? "old side" : "new side") + meanwhile;
}

std::string Arena::strike(const Cell& cell, support::Cluster& from, support::Cluster& to) {
    const bool active =
        cell.blow == Blow::kill_active || cell.blow == Blow::freeze_active || cell.blow == Blow::kill_proxy_and_active;
    support::Cluster& victim = active ? from : to;
    switch (cell.blow) {
        case Blow::kill_proxy:
            proxy().kill();
            proxy().start();
            return "";
        case Blow::replace_proxy: replace(); return "";
        case Blow::kill_active:
        case Blow::kill_standby:
            victim.crash();
            wake();
            victim.start();
            return "";
        case Blow::freeze_active:
        case Blow::freeze_standby: freeze(cell, victim); return "";
        case Blow::cut_active:
        case Blow::cut_standby:
        case Blow::part_servers: cut(cell, from); return "";
        case Blow::kill_proxy_and_active:
        case Blow::kill_proxy_and_standby: return restart_without(victim);
    }
    return "";
}

void Arena::freeze(const Cell& cell, support::Cluster& victim) {
    victim.freeze();
    wake();
    if (cell.blow == Blow::freeze_standby) {
        while_standby_is_away(cell);
    } else {
        proxy().status();  // control answers
    }
    victim.thaw();
}

void Arena::cut(const Cell& cell, const support::Cluster& from) {
    const bool blue = &from == &pair_.blue();
    const Cable cable = cell.blow == Blow::part_servers           ? Cable::servers
                        : (cell.blow == Blow::cut_active) == blue ? Cable::proxy_blue
                                                                  : Cable::proxy_green;
    pair_.cut(cable);
    wake();
    switch (cell.blow) {
        case Blow::part_servers: await_writes(20, "the load's writes while the servers are parted"); break;
        case Blow::cut_standby: while_standby_is_away(cell); break;
        default: proxy().status(); break;  // control answers
    }
    pair_.mend(cable);
}

void Arena::while_standby_is_away(const Cell& cell) {
    if (goes_on_without_standby(cell)) {
        await_writes(20, "the load's writes on the old side while the standby is away");
    } else {
        proxy().status();  // control answers
    }
}

/// A person who starts the proxy first, and the server later.
std::string Arena::restart_without(support::Cluster& away) {
    proxy().kill();
    away.crash();
    proxy().start();
    const bool nobody = active().empty();
    expect_served_or_told();
    if (!nobody && active() != away.name()) await_writes(20, "the load's writes while a server is away");
    away.start();
    return nobody ? ", 57P03 meanwhile" : "";
}

/// Another proxy takes over, on a port of its own as on another machine; then the first one wakes.
void Arena::replace() {
    bench::Served& zombie = proxy();
    current_ = 1 - current_;
    proxy().start({"--take-over"});
    ::kill(zombie.pid(), SIGCONT);
    eventually([&] { return !zombie.running(); }, "the end of the proxy that was replaced", kPatience);
}

/// While the truth is away clients are told so, with a hint; otherwise they are served.
void Arena::expect_served_or_told() {
    const bench::Connection connection =
        bench::try_connect(proxy().conninfo(Pair::kRole, Pair::kPassword) + " connect_timeout=5");
    if (PQstatus(connection.get()) == CONNECTION_OK) return;
    const std::string told = PQerrorMessage(connection.get());
    EXPECT_NE(told.find("FATAL"), std::string::npos) << told;
    EXPECT_NE(told.find("HINT"), std::string::npos) << told;
}

std::string Arena::not_steady() {
    const boost::json::object status = proxy().status();
    if (status.at("active").is_null()) return "nobody is served: " + boost::json::serialize(status);
    if (const auto* running = status.if_contains("running"); running != nullptr && running->is_string())
        return "it is running: " + boost::json::serialize(status);
    const bool blue = status.at("active").as_string() == "blue";
    for (const bool side : {true, false}) {
        const auto objects = turnout_objects(server(side), {});
        if (objects != objects_[side])
            return fmt::format("{} has {}, and had {}", server(side).name(), fmt::join(objects, ", "),
                               fmt::join(objects_[side], ", "));
    }
    for (const bool standby : {false, true}) {
        const support::Cluster& one = server(blue != standby);
        const std::string trouble = one.value(standby ? kStandbyTrouble : kActiveTrouble);
        if (!trouble.empty()) return one.name() + ": " + trouble;
    }
    return "";
}

void Arena::await_steady() {
    std::string why;
    try {
        eventually([&] { return (why = not_steady()).empty(); }, "the steady state", kPatience);
    } catch (const std::runtime_error&) {
        throw std::runtime_error("the steady state never came: " + why + "\n" + proxy().log());
    }
}

/// Directly, as an application that bypasses the proxy by accident.
void Arena::expect_one_writable_side() {
    const bool blue = on_blue();
    const bench::Connection standby = bench::connect(pair_.direct(server(!blue)));
    try {
        bench::run(standby.get(), "INSERT INTO ledger_counters VALUES (-1)");
        ADD_FAILURE() << "the standby can be written to";
    } catch (const bench::Failure& refused) {
        EXPECT_EQ(refused.sqlstate, "25006") << refused.what();
    }
    const bench::Connection active = bench::connect(pair_.direct(server(blue)));
    EXPECT_EQ(bench::value(active.get(), "SHOW transaction_read_only"), "off");
}

void Arena::expect_clean_account() {
    ledger_->hold(kPatience);
    const support::Cluster& active = server(on_blue());
    const support::Cluster& standby = server(!on_blue());
    const bench::Audit audit = bench::audit({ledger_.get()}, active.conninfo("app"));
    EXPECT_TRUE(audit.clean()) << audit.summary();
    for (const std::string& example : audit.examples) ADD_FAILURE() << example;
    EXPECT_EQ(ledger_->totals().back_in_time, 0U);
    EXPECT_EQ(ledger_->totals().unexplained, 0U);
    eventually([&] { return standby.value(kContents, "app") == active.value(kContents, "app"); },
               "the same contents on the standby", kPatience);
    ledger_->release();
}

std::string Arena::summary() {
    const bench::Totals totals = ledger_->totals();
    return fmt::format("{} transactions acknowledged, {} of unknown outcome, {} reconnects", totals.writes,
                       totals.unknown, totals.reconnects);
}

std::string Arena::logs() {
    constexpr std::size_t kEnd = 4000;
    std::string text;
    for (const auto& [who, log] : {std::pair<std::string, std::string>{"blue", pair_.blue().log()},
                                   {"green", pair_.green().log()},
                                   {"the proxy", proxy().log()}})
        text +=
            fmt::format("\nThe end of the log of {}:\n{}", who, log.substr(log.size() - std::min(log.size(), kEnd)));
    return text;
}

}  // namespace turnout::integration
