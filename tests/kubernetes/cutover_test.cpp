// What is decided about a switch: when it is made, that it is made once, and what its watch makes of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <chrono>
#include <ostream>
#include <string>

#include "control/kubernetes/reconciler.hpp"
#include "tests/kubernetes/looks.hpp"

namespace turnout::kubernetes {
namespace {

using namespace std::chrono_literals;

struct Wish {
    const char* cutover;
    const char* phase;
    const char* active;
    const char* does;
};
void PrintTo(const Wish& wish, std::ostream* out) {
    *out << wish.cutover << " while " << wish.phase << ", " << wish.active;
}

class Wished : public testing::TestWithParam<Wish> {};

TEST_P(Wished, IsDone) {
    Observed seen = wishing(serving(GetParam().phase, GetParam().active), GetParam().cutover);
    EXPECT_EQ(after_applying(reconcile(seen)), GetParam().does);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Wished,
    testing::Values(Wish{"Manual", "synced", "blue", ""}, Wish{"Manual", "switched", "green", ""},
                    Wish{"WhenCaughtUp", "synced", "blue", "SWITCH"}, Wish{"WhenCaughtUp", "switched", "green", ""},
                    Wish{"Rollback", "synced", "blue", ""}, Wish{"Rollback", "switched", "green", "ROLLBACK"},
                    Wish{"Abort", "synced", "blue", "ABORT"}, Wish{"Abort", "syncing", "blue", "ABORT"},
                    Wish{"Abort", "switched", "green", ""}, Wish{"WhenCaughtUp", "uncertain", "", ""}));

TEST(Cutover, WaitsUntilTheNewServerIsNear) {
    Observed seen = wishing(serving("synced"), "WhenCaughtUp");
    seen.turnout->lag_bytes = 100'000'000;
    EXPECT_EQ(after_applying(reconcile(seen)), "");
    EXPECT_EQ(reconcile(seen).status.phase, Phase::replicating);
    seen.turnout->lag_bytes.reset();
    EXPECT_EQ(after_applying(reconcile(seen)), "");
}

TEST(Cutover, SaysWhatTheSpecSays) {
    Observed seen = wishing(serving("synced"), "WhenCaughtUp");
    seen.spec["maxPause"] = "50ms";
    seen.spec["verify"] = true;
    seen.spec["policies"] = {{"pinned", "end"}, {"longTransactions", "cancel"}, {"bypassing", "end"}};
    const Decision decision = reconcile(seen);
    ASSERT_FALSE(decision.actions.empty());
    EXPECT_EQ(decision.actions.back().command,
              "SWITCH MAX_PAUSE '50ms' DEADLINE '60s' PINNED 'end' LONG_TRANSACTIONS 'cancel' END_BYPASSING VERIFY");
}

TEST(Cutover, IsWrittenDownBeforeItIsDone) {
    const Decision decision = reconcile(wishing(serving("synced", "blue", 5), "WhenCaughtUp"));
    EXPECT_EQ(decision.status.request, (Request{"WhenCaughtUp", false, 5}));
}

TEST(Cutover, AfterACrashInTheMiddleTheGenerationTellsThatItWasDone) {
    Observed seen = wishing(serving("synced", "blue", 3), "WhenCaughtUp");
    seen.status.request = {"WhenCaughtUp", false, 1};  // switched to green (2) and back to blue (3) since
    const Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_TRUE(decision.status.request.done);
}

TEST(Cutover, OneThatWasNotReachedIsTriedAgain) {
    Observed seen = wishing(serving("synced", "blue", 1), "WhenCaughtUp");
    seen.status.request = {"WhenCaughtUp", false, 1};
    EXPECT_EQ(after_applying(reconcile(seen)), "SWITCH");
}

TEST(Cutover, ARollbackBySomebodyElseIsNotUndone) {
    Observed seen = wishing(serving("switched", "green", 2), "WhenCaughtUp");
    seen = next(seen, reconcile(seen));
    seen.turnout->phase = "synced";
    seen.turnout->active = "blue";
    seen.turnout->generation = 3;
    const Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_EQ(reason(decision, condition::ready), "RolledBack");
}

TEST(Cutover, ForthAndBackAndForthAgain) {
    Observed seen = wishing(serving("synced", "blue", 1), "WhenCaughtUp");
    Decision decision = reconcile(seen);
    ASSERT_EQ(after_applying(decision), "SWITCH");
    seen = next(seen, decision);
    seen.turnout = TurnoutStatus{"switched", "green", 2, "", "", 0, ""};
    seen.last = VerbResult{Verb::switch_over, true, "", {}, Window{1180, 2, "blue", "green", ""}, seen.now, 0};
    decision = reconcile(seen);
    EXPECT_EQ(decision.status.phase, Phase::switched);
    EXPECT_TRUE(decision.status.is(condition::switched, Truth::yes));
    EXPECT_EQ(decision.status.window->microseconds, 1180);

    seen = wishing(next(seen, decision), "Rollback");
    decision = reconcile(seen);
    ASSERT_EQ(after_applying(decision), "ROLLBACK");
    seen = next(seen, decision);
    seen.turnout = TurnoutStatus{"synced", "blue", 3, "", "", 0, ""};
    seen.last = VerbResult{Verb::rollback, true, "", {}, Window{990, 3, "green", "blue", ""}, seen.now, 0};
    decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_EQ(decision.status.phase, Phase::rolled_back);
    EXPECT_TRUE(decision.status.watched_since.empty());

    EXPECT_EQ(after_applying(reconcile(wishing(next(seen, decision), "WhenCaughtUp"))), "SWITCH");
}

// ------------------------------------------------------------------------------------------- a switch that is watched

Observed compared() {
    Observed seen = wishing(serving("synced", "blue", 1), "WhenCaughtUp");
    seen.spec["watch"] = {{"duration", "5m"}, {"rollbackIf", "errors=1%"}};
    return seen;
}

/// The switch of compared() was made, and is watched.
Observed compared_after_switch() {
    Observed seen = compared();
    seen = next(seen, reconcile(seen));
    seen.turnout = TurnoutStatus{"switched", "green", 2, "", "", 0, "", true, Window{1180, 2, "blue", "green", ""}};
    seen.running = Verb::switch_over;
    return seen;
}

TEST(Watched, ASwitchIsAskedForWithItsLimits) {
    const Decision decision = reconcile(compared());
    ASSERT_FALSE(decision.actions.empty());
    EXPECT_TRUE(decision.actions.back().command.ends_with(" WATCH '5m' ROLLBACK_IF 'errors=1%'"))
        << decision.actions.back().command;
}

TEST(Watched, ItIsToldAsSwitchedWhileTheVerbStillRuns) {
    const Decision decision = reconcile(compared_after_switch());
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_EQ(decision.status.phase, Phase::switched);
    EXPECT_EQ(reason(decision, condition::ready), "Watching");
    ASSERT_TRUE(decision.status.window.has_value());
    EXPECT_EQ(decision.status.window->microseconds, 1180);
}

TEST(Watched, AWishToGoBackEndsTheWatchFirst) {
    Observed seen = compared_after_switch();
    seen = wishing(next(seen, reconcile(seen)), "Rollback");
    EXPECT_EQ(after_applying(reconcile(seen)), "cancel verb");
    seen.running.reset();
    seen.turnout->watching = false;
    EXPECT_EQ(after_applying(reconcile(seen)), "ROLLBACK");
}

TEST(Watched, WhatWasLeftAgainByItselfStaysSoAndSaysWhy) {
    Observed seen = compared_after_switch();
    seen = next(seen, reconcile(seen));
    seen.running.reset();
    seen.turnout = TurnoutStatus{"synced", "blue", 3, "", "", 0, ""};
    seen.last = VerbResult{Verb::switch_over,          true, "", {}, Window{990, 3, "green", "blue", ""}, seen.now, 0,
                           "20 % of the requests fail"};
    Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_EQ(decision.status.phase, Phase::rolled_back);
    // Also to an operator that was started again and has heard nothing.
    seen = next(seen, decision);
    seen.last.reset();
    decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_EQ(reason(decision, condition::ready), "RolledBack");
    EXPECT_NE(decision.status.find(condition::ready)->message.find("20 % of the requests fail"), std::string::npos);
}

TEST(Watched, AnOperatorThatWasStartedAgainSaysThatNobodyCompares) {
    Observed seen = compared_after_switch();
    seen = next(seen, reconcile(seen));
    seen.running.reset();
    seen.turnout->watching = false;
    const Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_EQ(reason(decision, condition::ready), "NotWatched");
    EXPECT_TRUE(std::any_of(decision.notes.begin(), decision.notes.end(),
                            [](const Note& note) { return note.warning && note.reason == "NotWatched"; }));
}

TEST(Watched, OnceTheWatchIsOverItMayFinish) {
    Observed seen = compared_after_switch();
    seen.spec["finish"] = "AfterWatch";
    seen = next(seen, reconcile(seen));
    seen.running.reset();
    seen.turnout->watching = false;
    seen.last = VerbResult{Verb::switch_over, true, "", {}, Window{1180, 2, "blue", "green", ""}, seen.now, 0};
    EXPECT_EQ(after_applying(reconcile(seen)), "FINISH");
}

}  // namespace
}  // namespace turnout::kubernetes
