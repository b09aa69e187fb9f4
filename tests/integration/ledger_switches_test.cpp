// The promise itself: an application that writes all the time through switches back and forth sees no error, keeps its
// connections, and finds everything that was acknowledged, once. And the proxy needs no more memory, descriptors or
// objects on the servers after many switches than after a few. TURNOUT_SWITCHES=1000 makes it a soak (`./dev soak`).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "bench/ledger.hpp"
#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"
#include "tests/integration/process_descriptors.hpp"

namespace turnout::integration {
namespace {

void expect_nothing_noticed(const bench::Ledger& ledger) {
    const bench::Totals totals = ledger.totals();
    EXPECT_EQ(totals.errors, 0U);
    EXPECT_EQ(totals.reconnects, 0U);
    EXPECT_EQ(totals.unknown, 0U);
    EXPECT_EQ(totals.back_in_time, 0U);
    EXPECT_EQ(totals.unexplained, 0U);
    for (const std::string& text : totals.error_texts) ADD_FAILURE() << text;
}

void expect_clean(const bench::Audit& audit) {
    EXPECT_TRUE(audit.clean()) << audit.summary();
    for (const std::string& example : audit.examples) ADD_FAILURE() << example;
}

/// A gauge of the proxy's own /metrics.
double gauge(Pair& pair, const std::string& name) {
    const std::string script = "exec 3<>/dev/tcp/127.0.0.1/" + std::to_string(pair.turnout().metrics_port()) +
                               " && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
    const bench::Exit exit = bench::must_run({.arguments = {"bash", "-c", script}});
    const std::size_t at = exit.out.find("\n" + name + " ");
    if (at == std::string::npos) throw std::runtime_error("no metric " + name + " in: " + exit.out);
    return std::stod(exit.out.substr(at + name.size() + 2));
}

/// What control keeps open on a server when nothing is going on: the proxy's lock, the reader of roles, and on the
/// active side the look at the lag.
constexpr int kOnActive = 3;
constexpr int kOnStandby = 2;
/// Of the third of them, which begins up to a second after each switch.
constexpr const char* kLookAtTheLag = " postgres SELECT s.database, r.state";

/// Control's own sessions on a server, each with the port of its client and what it asked last.
std::string control_sessions(const support::Cluster& server) {
    return server.value(
        "SELECT string_agg(concat_ws(' ', client_port, datname, left(query, 60)), E'\n') FROM pg_stat_activity "
        "WHERE application_name = 'turnout control'");
}

/// Whether each of these sessions is one that the proxy still holds: a server takes a moment to notice that one was
/// closed.
bool all_are_held(const std::string& sessions, const std::vector<std::string>& open) {
    std::istringstream lines(sessions);
    for (std::string line; std::getline(lines, line);) {
        const std::string socket = " TCP " + line.substr(0, line.find(' ')) + " > ";
        const bool held = std::any_of(open.begin(), open.end(),
                                      [&](const std::string& one) { return one.find(socket) != std::string::npos; });
        if (!held) return false;
    }
    return true;
}

/// Everybody's sessions on a server, each with the port of its client and what it asked last.
std::string all_sessions(const support::Cluster& server) {
    return server.value(
        "SELECT string_agg(concat_ws(' ', client_port, pid, backend_type, usename, application_name, datname, state, "
        "to_char(backend_start, 'HH24:MI:SS'), left(query, 60)), E'\n' ORDER BY backend_start) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid()");
}

/// What could leak with every switch; `settled`: what control always keeps is open, and nothing else of it is. To count
/// its sessions is not enough: one that was closed a moment ago may stand for one that has not begun yet.
struct Holdings {
    bool settled = false;
    double descriptors = 0;
    double bytes = 0;
    std::array<std::size_t, 2> objects{};
    std::string sessions;
    std::vector<std::string> open;  ///< each descriptor, as descriptors_of() has it

    explicit Holdings(Pair& pair) {
        const support::Cluster& active = pair.active();
        const support::Cluster& standby = &active == &pair.blue() ? pair.green() : pair.blue();
        const std::string here = control_sessions(active);
        const std::string there = control_sessions(standby);
        open = descriptors_of(pair.turnout().pid());
        settled = std::count(here.begin(), here.end(), '\n') + 1 == kOnActive &&
                  std::count(there.begin(), there.end(), '\n') + 1 == kOnStandby &&
                  here.find(kLookAtTheLag) != std::string::npos && all_are_held(here, open) &&
                  all_are_held(there, open);
        sessions = "on the active side:\n" + here + "\non the standby:\n" + there;
        descriptors = gauge(pair, "process_open_fds");
        bytes = gauge(pair, "process_resident_memory_bytes");
        objects = {turnout_objects(pair.blue(), {"app"}).size(), turnout_objects(pair.green(), {"app"}).size()};
    }
};

/// Right after a switch connections are still being closed, and the look at the lag has not begun.
Holdings when_settled(Pair& pair) {
    std::optional<Holdings> now;
    try {
        eventually([&] { return now.emplace(pair).settled; }, "no session of control's but those that it keeps");
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(error.what() + ("; there are " + now->sessions));
    }
    return *now;
}

/// Whose each descriptor of the proxy's is: for whoever has to find one that is too many.
std::string who_holds_what(Pair& pair, const Holdings& before, const Holdings& now) {
    std::ostringstream text;
    text << "open before:\n";
    for (const std::string& one : before.open) text << one << '\n';
    text << "open now:\n";
    for (const std::string& one : now.open) text << one << '\n';
    for (support::Cluster* server : {&pair.blue(), &pair.green()})
        text << "sessions on " << server->name() << ", port " << server->port() << ":\n"
             << all_sessions(*server) << '\n';
    text << "sessions of the proxy's, port " << pair.turnout().port() << ":\n"
         << pair.turnout().run({"show", "sessions"}).out;
    const std::string log = pair.turnout().log();
    text << "the end of its log:\n" << log.substr(log.size() - std::min<std::size_t>(log.size(), 20'000));
    return text.str();
}

/// Like after like: the same side is active, and everything is settled.
void expect_flat(Pair& pair, const Holdings& before, int switches) {
    std::optional<Holdings> now;
    try {
        eventually(
            [&] {
                now = when_settled(pair);
                return now->descriptors <= before.descriptors && now->objects == before.objects;
            },
            "descriptors and objects as many as before");
    } catch (const std::runtime_error& error) {
        ADD_FAILURE() << error.what() << '\n' << who_holds_what(pair, before, *now);
    }
    std::cout << switches << " switches: descriptors " << before.descriptors << " then " << now->descriptors
              << ", resident MB " << before.bytes / 1e6 << " then " << now->bytes / 1e6 << std::endl;
    // The allocator keeps what the busiest moment needed; a leak grows with every switch.
    EXPECT_LT(now->bytes, before.bytes * 1.25 + 4e6 + switches * 2e3);
}

/// How often to switch: $TURNOUT_SWITCHES, or as many as the test needs. Even, so that it ends where it began.
int rounds(int usual) {
    const char* wanted = std::getenv("TURNOUT_SWITCHES");
    return wanted != nullptr ? std::max(2, std::atoi(wanted) / 2 * 2) : usual;
}

void switch_under_load(Pair& pair, int switches) {
    bench::install_ledger(pair.direct(pair.blue()));
    bench::LedgerSettings settings;
    settings.conninfo = pair.conninfo();
    settings.writers = 8;
    settings.seed = seed();
    bench::Ledger ledger(settings);
    ledger.start();
    pair.sync();
    std::optional<Holdings> warm;
    for (int round = 1; round <= switches && !testing::Test::HasFailure(); ++round) {
        SCOPED_TRACE(testing::Message() << "switch " << round);
        const std::uint64_t goal = ledger.totals().writes + 200;
        eventually([&] { return ledger.totals().writes >= goal; }, "the load's writes");
        const support::Cluster& from = pair.active();
        const boost::json::object report = pair.change();
        EXPECT_EQ(report.at("outcome").as_string(), &from == &pair.blue() ? "switched" : "rolled_back") << report;
        EXPECT_NE(&pair.active(), &from);
        EXPECT_EQ(report.at("generation").to_number<int>(), round + 1);
        EXPECT_GT(report.at("window_us").to_number<std::int64_t>(), 0);
        if (round == std::min(10, switches)) warm = when_settled(pair);
        if (round % (switches > 100 ? 50 : 10) != 0 && round != switches) continue;  // an audit reads everything
        ledger.hold();
        expect_clean(bench::audit({&ledger}, pair.conninfo()));
        ledger.release();
        if (round > 10 || round == switches) expect_flat(pair, *warm, round);  // found near where it came into being
    }
    ledger.stop();
    std::cout << ledger.totals().writes << " writes acknowledged through " << switches << " switches" << std::endl;
    expect_nothing_noticed(ledger);
    expect_clean(bench::audit({&ledger}, pair.active().conninfo("app")));
}

TEST(LedgerThroughSwitches, BackAndForthLosesNothingDoublesNothingAndNobodyNotices) {
    Pair pair({.fsync = true});
    switch_under_load(pair, rounds(50));
}

TEST(LedgerThroughSwitches, TheNewestMajorToo) {
    Pair pair({.green = 18, .fsync = true});
    switch_under_load(pair, 4);
}

}  // namespace
}  // namespace turnout::integration
