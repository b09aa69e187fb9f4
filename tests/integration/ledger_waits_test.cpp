// How the load measures waiting.
#include <gtest/gtest.h>

#include "bench/waits.hpp"

namespace turnout::bench {
namespace {

using namespace std::chrono_literals;

TEST(LedgerWaits, PercentilesAreOfTheNearestRank) {
    std::vector<Microseconds> sample;
    for (int i = 100; i >= 1; --i) sample.emplace_back(i);
    const Distribution hundred = distribution_of(sample);
    EXPECT_EQ(hundred.count, 100U);
    EXPECT_EQ(hundred.p50, 50us);
    EXPECT_EQ(hundred.p99, 99us);
    EXPECT_EQ(hundred.max, 100us);
    const Distribution one = distribution_of({7us});
    EXPECT_EQ(one.p50, 7us);
    EXPECT_EQ(one.p99, 7us);
    EXPECT_EQ(distribution_of({}).count, 0U);
}

TEST(LedgerWaits, OnlyWaitsThatTouchTheIntervalCount) {
    const Clock::time_point zero{};
    WaitLog log;
    for (const auto& [from, to] : {std::pair{0ms, 10ms}, {10ms, 21ms}, {25ms, 26ms}, {29ms, 45ms}, {50ms, 51ms}}) {
        log.sent(zero + from);
        log.answered(zero + to);
    }
    const Waits waits = waits_during({&log}, zero + 20ms, zero + 30ms);
    EXPECT_EQ(waits.statements.count, 3U);
    EXPECT_EQ(waits.statements.max, 16ms);
    EXPECT_EQ(waits.connections.count, 1U);
    EXPECT_EQ(waits.connections.max, 16ms);
}

TEST(LedgerWaits, AStatementWithoutAnAnswerIsWaitingStill) {
    WaitLog log;
    const Clock::time_point now = Clock::now();
    log.sent(now - 1s);
    const Waits waits = waits_during({&log}, now - 10ms, now);
    EXPECT_EQ(waits.statements.count, 1U);
    EXPECT_GE(waits.statements.max, 1s);
}

TEST(LedgerWaits, OldWaitsFallOut) {
    const Clock::time_point zero{};
    WaitLog log;
    for (std::size_t i = 0; i < WaitLog::kRemembered + 10; ++i) {
        log.sent(zero + i * 1us);
        log.answered(zero + i * 1us);
    }
    EXPECT_TRUE(log.overlapping(zero, zero + 9us).empty());
    EXPECT_EQ(log.overlapping(zero, zero + 1h).size(), WaitLog::kRemembered);
}

TEST(LedgerWaits, DurationsAreReadable) {
    EXPECT_EQ(human(950us), "950 µs");
    EXPECT_EQ(human(1234us), "1.23 ms");
    EXPECT_EQ(human(56789us), "56.8 ms");
    EXPECT_EQ(human(567890us), "568 ms");
    EXPECT_EQ(human(12345678us), "12.3 s");
}

}  // namespace
}  // namespace turnout::bench
