// The promise itself: an application that writes all the time through switches back and forth sees no error, keeps its
// connections, and finds everything that was acknowledged, once. And the proxy needs no more memory, descriptors or
// objects on the servers after many switches than after a few. TURNOUT_SWITCHES=1000 makes it a soak (`./dev soak`).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "bench/ledger.hpp"
#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

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

/// What could leak with every switch.
struct Holdings {
    double descriptors = 0;
    double bytes = 0;
    std::array<std::size_t, 2> objects{};
    std::array<int, 2> sessions{};  ///< of control's own

    explicit Holdings(Pair& pair)
        : descriptors(gauge(pair, "process_open_fds")), bytes(gauge(pair, "process_resident_memory_bytes")) {
        for (support::Cluster* server : {&pair.blue(), &pair.green()}) {
            const std::size_t side = server == &pair.blue() ? 0 : 1;
            objects[side] = turnout_objects(*server, {"app"}).size();
            sessions[side] = std::stoi(
                server->value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'turnout control'"));
        }
    }
};

/// Like after like: the same side is active, and everything is settled.
void expect_flat(Pair& pair, const Holdings& before, int switches) {
    // Connections that are being closed, and those of the look at the lag, come and go; a leak grows with every switch.
    constexpr int kComeAndGo = 2;
    eventually(
        [&] {
            const Holdings now(pair);
            return now.descriptors <= before.descriptors + kComeAndGo && now.objects == before.objects &&
                   now.sessions[0] <= before.sessions[0] + kComeAndGo &&
                   now.sessions[1] <= before.sessions[1] + kComeAndGo;
        },
        "descriptors, objects and sessions as many as before");
    const Holdings now(pair);
    std::cout << switches << " switches: descriptors " << before.descriptors << " then " << now.descriptors
              << ", resident MB " << before.bytes / 1e6 << " then " << now.bytes / 1e6 << std::endl;
    // The allocator keeps what the busiest moment needed; a leak grows with every switch.
    EXPECT_LT(now.bytes, before.bytes * 1.25 + 4e6 + switches * 2e3);
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
        if (round == std::min(10, switches)) warm.emplace(pair);
        if (switches > 100 && round % 50 != 0 && round != switches) continue;  // an audit reads everything
        ledger.hold();
        expect_clean(bench::audit({&ledger}, pair.conninfo()));
        ledger.release();
    }
    if (!testing::Test::HasFailure()) expect_flat(pair, *warm, switches);
    ledger.stop();
    std::cout << ledger.totals().writes << " writes acknowledged through " << switches << " switches" << std::endl;
    expect_nothing_noticed(ledger);
    expect_clean(bench::audit({&ledger}, pair.active().conninfo("app")));
}

TEST(LedgerThroughSwitches, BackAndForthLosesNothingDoublesNothingAndNobodyNotices) {
    Pair pair({.fsync = true});
    switch_under_load(pair, rounds(20));
}

TEST(LedgerThroughSwitches, TheNewestMajorToo) {
    Pair pair({.green = 18, .fsync = true});
    switch_under_load(pair, 4);
}

}  // namespace
}  // namespace turnout::integration
