// The promise itself: an application that writes all the time through switches back and forth sees no error, keeps its
// connections, and finds everything that was acknowledged, once.
#include <gtest/gtest.h>

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

void switch_under_load(Pair& pair, int switches) {
    bench::install_ledger(pair.direct(pair.blue()));
    bench::LedgerSettings settings;
    settings.conninfo = pair.conninfo();
    settings.writers = 8;
    settings.seed = seed();
    bench::Ledger ledger(settings);
    ledger.start();
    pair.sync();
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
        ledger.hold();
        expect_clean(bench::audit({&ledger}, pair.conninfo()));
        ledger.release();
    }
    ledger.stop();
    expect_nothing_noticed(ledger);
    expect_clean(bench::audit({&ledger}, pair.active().conninfo("app")));
}

TEST(LedgerThroughSwitches, TwentyBackAndForthLoseNothingDoubleNothingAndNobodyNotices) {
    Pair pair({.fsync = true});
    switch_under_load(pair, 20);
}

TEST(LedgerThroughSwitches, TheNewestMajorToo) {
    Pair pair({.green = 18, .fsync = true});
    switch_under_load(pair, 4);
}

}  // namespace
}  // namespace turnout::integration
