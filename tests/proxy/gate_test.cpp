// The gate decides by compare-and-set only: every late or repeated caller loses quietly.
#include "proxy/gate.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace turnout::proxy {
namespace {

constexpr auto kNever = control::Clock::time_point::max();

TEST(Gate, LetsPassUntilClosedAndAgainAfterEachWayOut) {
    struct WayOut {
        const char* what;
        bool (*take)(Gate&);
        Side side;
    };
    const WayOut ways[] = {
        {"expire", [](Gate& g) { return g.expire(1); }, Side::blue},
        {"give up before the claim", [](Gate& g) { return g.give_up(1); }, Side::blue},
        {"give up after the claim", [](Gate& g) { return g.claim(1) && g.give_up(1); }, Side::blue},
        {"open to the new side", [](Gate& g) { return g.claim(1) && g.open_to(1, Side::green); }, Side::green},
    };
    for (const WayOut& way : ways) {
        SCOPED_TRACE(way.what);
        Gate gate;
        EXPECT_TRUE(gate.view().lets_pass());
        EXPECT_TRUE(gate.close(1, kNever));
        EXPECT_FALSE(gate.view().lets_pass());
        EXPECT_TRUE(way.take(gate));
        EXPECT_TRUE(gate.view().lets_pass());
        EXPECT_EQ(gate.view().side, way.side);
    }
}

TEST(Gate, AfterTheClaimTheDeadlineNoLongerOpensIt) {
    Gate gate;
    gate.close(1, kNever);
    ASSERT_TRUE(gate.claim(1));
    EXPECT_FALSE(gate.expire(1));
    EXPECT_FALSE(gate.view().lets_pass());
}

TEST(Gate, AfterTheDeadlineNothingCanBeClaimedOrOpened) {
    Gate gate;
    gate.close(1, kNever);
    ASSERT_TRUE(gate.expire(1));
    EXPECT_FALSE(gate.claim(1));
    EXPECT_FALSE(gate.open_to(1, Side::green));
    EXPECT_EQ(gate.view().side, Side::blue);
}

TEST(Gate, WhatBelongsToAnEarlierAttemptHasNoEffectOnALaterOne) {
    Gate gate;
    gate.close(1, kNever);
    gate.give_up(1);
    ASSERT_TRUE(gate.close(2, kNever));
    EXPECT_FALSE(gate.claim(1));
    EXPECT_FALSE(gate.expire(1));
    EXPECT_FALSE(gate.give_up(1));
    EXPECT_FALSE(gate.close(2, kNever)) << "closed already";
    EXPECT_TRUE(gate.claim(2));
    EXPECT_FALSE(gate.open_to(1, Side::green));
    EXPECT_TRUE(gate.open_to(2, Side::green));
    EXPECT_FALSE(gate.close(2, kNever)) << "a number is used once";
}

TEST(Gate, WhatWasGivenUpBeforeItClosedCannotCloseAnyMore) {
    Gate gate;
    EXPECT_FALSE(gate.give_up(1));
    EXPECT_FALSE(gate.close(1, kNever));
    EXPECT_TRUE(gate.view().lets_pass());
    EXPECT_TRUE(gate.close(2, kNever));
}

TEST(Gate, PauseHoldsAcrossAnAttempt) {
    Gate gate;
    gate.set_paused(true);
    gate.close(1, kNever);
    gate.give_up(1);
    EXPECT_FALSE(gate.view().lets_pass());
    gate.set_paused(false);
    EXPECT_TRUE(gate.view().lets_pass());
}

TEST(Gate, OfAClaimAndManyExpiriesExactlyOneWins) {
    for (std::uint64_t attempt = 1; attempt <= 100; ++attempt) {
        Gate gate;
        gate.close(attempt, kNever);
        std::atomic<int> winners{0};
        std::atomic<bool> go{false};
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([&, i] {
                while (!go.load()) {
                }
                winners += (i == 0 ? gate.claim(attempt) : gate.expire(attempt)) ? 1 : 0;
            });
        }
        go = true;
        for (auto& thread : threads) thread.join();
        ASSERT_EQ(winners.load(), 1);
    }
}

}  // namespace
}  // namespace turnout::proxy
