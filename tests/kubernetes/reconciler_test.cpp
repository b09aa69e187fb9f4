// Each step of a PgUpgrade's life, as one look at the world and what is decided from it.
#include "control/kubernetes/reconciler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <chrono>
#include <string>

#include "tests/kubernetes/objects.hpp"

namespace turnout::kubernetes {
namespace {

using namespace std::chrono_literals;

std::string in_words(const Action& action) {
    switch (action.kind) {
        case ActionKind::add_finalizer: return "add finalizer";
        case ActionKind::remove_finalizer: return "remove finalizer";
        case ActionKind::ask_old_server: return "ask old server";
        case ActionKind::apply_server: return "apply server";
        case ActionKind::apply_proxy: return "apply proxy";
        case ActionKind::move_traffic:
            if (action.to == Traffic::proxy) return "traffic to proxy";
            return action.to == Traffic::old_server ? "traffic to old" : "traffic to new";
        case ActionKind::run_verb: return action.command.substr(0, action.command.find(' '));
        case ActionKind::cancel_verb: return "cancel verb";
        case ActionKind::remove_old_workload: return "remove old workload";
        case ActionKind::remove_proxy: return "remove proxy";
        case ActionKind::remove_server: return action.volume ? "remove server and volume" : "remove server";
    }
    return "";
}

std::string in_words(const Decision& decision) {
    std::string text;
    for (const Action& action : decision.actions) text.append(text.empty() ? "" : ", ").append(in_words(action));
    return text;
}

std::string reason(const Decision& decision, std::string_view type) {
    const Condition* const found = decision.status.find(type);
    return found == nullptr ? "" : found->reason;
}

/// The new server and the proxy are up, clients come through the proxy; turnout says `phase`.
Observed serving(const std::string& phase, const std::string& active = "blue", std::int64_t generation = 1) {
    Observed seen = fresh();
    seen.spec["trafficService"] = "postgres";
    seen.traffic = Traffic::proxy;
    seen.server = {true, true, ""};
    seen.proxy = {true, true, ""};
    seen.turnout = TurnoutStatus{phase, active, generation, "", "", 0, ""};
    seen.status.frozen = frozen_fields(parse_spec(seen.spec).spec);
    return seen;
}

constexpr const char* kApply = "apply server, apply proxy";

std::string after_applying(const Decision& decision) {
    const std::string words = in_words(decision);
    if (words == kApply) return "";
    const std::string prefix = std::string(kApply) + ", ";
    return words.starts_with(prefix) ? words.substr(prefix.size()) : "without applying: " + words;
}

Observed wishing(Observed seen, const char* cutover) {
    seen.spec["cutover"] = cutover;
    return seen;
}

/// What the next look finds when nothing but the status has changed.
Observed next(Observed seen, const Decision& decision) {
    seen.status = parse_status(to_json(decision.status));
    seen.now += 1s;
    return seen;
}

// ---------------------------------------------------------------------------------------------- until it follows

TEST(Reconcile, TheFinalizerComesBeforeAnythingElse) {
    Observed seen = fresh();
    seen.finalizer = false;
    EXPECT_EQ(in_words(reconcile(seen)), "add finalizer");
}

TEST(Reconcile, TheOldServerIsAskedBeforeAnythingIsMade) {
    const Decision decision = reconcile(fresh());
    EXPECT_EQ(in_words(decision), "ask old server");
    EXPECT_EQ(decision.status.phase, Phase::preflight);
}

TEST(Reconcile, AnOldServerThatCannotBeUsedIsToldAndAskedAgain) {
    Observed seen = fresh();
    seen.old_server = OldServer{{{"spec.olddbhost", "cannot be reached"}}, seen.now};
    const Decision decision = reconcile(seen);
    EXPECT_EQ(in_words(decision), "");
    EXPECT_TRUE(decision.status.is(condition::preflight_passed, Truth::no));
    EXPECT_NE(decision.status.find(condition::ready)->message.find("spec.olddbhost"), std::string::npos);
    EXPECT_TRUE(decision.again_in.has_value());
    seen = next(seen, decision);
    seen.now += 30s;
    EXPECT_EQ(in_words(reconcile(seen)), "ask old server");
}

TEST(Reconcile, AMissingSecretStopsItByName) {
    Observed seen = fresh();
    seen.secrets = {{"spec.credentials.secretName", "there is no Secret 'superuser'"}};
    const Decision decision = reconcile(seen);
    EXPECT_EQ(in_words(decision), "");
    EXPECT_EQ(reason(decision, condition::ready), "SecretMissing");
    EXPECT_TRUE(decision.again_in.has_value());
}

TEST(Reconcile, ASpecThatIsWrongEndsInAConditionAndIsNotTriedAgain) {
    Observed seen = fresh();
    seen.spec["image"] = "postgres:latest";
    const Decision decision = reconcile(seen);
    EXPECT_EQ(in_words(decision), "");
    EXPECT_TRUE(decision.status.is(condition::terminal, Truth::yes));
    EXPECT_EQ(reason(decision, condition::ready), "InvalidSpec");
    EXPECT_NE(decision.status.find(condition::ready)->message.find("spec.image"), std::string::npos);
    EXPECT_EQ(decision.again_in, std::nullopt);
    seen = next(seen, decision);
    seen.spec["image"] = "postgres:17";
    EXPECT_TRUE(reconcile(seen).status.is(condition::terminal, Truth::no));
}

TEST(Reconcile, AFieldThatIsChangedInMidFlightStopsEverything) {
    Observed seen = wishing(serving("synced"), "WhenCaughtUp");
    seen.spec["image"] = "postgres:18";
    const Decision decision = reconcile(seen);
    EXPECT_EQ(in_words(decision), "");
    EXPECT_EQ(reason(decision, condition::terminal), "FieldChanged");
    EXPECT_NE(decision.status.find(condition::terminal)->message.find("spec.image"), std::string::npos);
}

TEST(Reconcile, TheProxyIsMadeWhenTheNewServerIsReady) {
    Observed seen = fresh();
    seen.old_server = OldServer{{}, seen.now};
    Decision decision = reconcile(seen);
    EXPECT_EQ(in_words(decision), "apply server");
    EXPECT_EQ(decision.status.phase, Phase::provisioning);
    seen.server = {true, false, ""};
    EXPECT_EQ(in_words(reconcile(seen)), "apply server");
    seen.server.ready = true;
    decision = reconcile(seen);
    EXPECT_EQ(in_words(decision), kApply);
    EXPECT_EQ(reason(decision, condition::ready), "ProxyStarting");
}

TEST(Reconcile, AnImageThatCannotBePulledIsNamed) {
    Observed seen = fresh();
    seen.old_server = OldServer{{}, seen.now};
    seen.server = {true, false, "ImagePullBackOff: no such tag"};
    const Decision decision = reconcile(seen);
    const std::string message = decision.status.find(condition::ready)->message;
    EXPECT_NE(message.find("spec.image"), std::string::npos) << message;
    EXPECT_NE(message.find("no such tag"), std::string::npos) << message;
}

TEST(Reconcile, AServerThatIsAwayForAMomentStopsNoProxyThatServes) {
    Observed seen = serving("switched", "green", 2);
    seen.server.ready = false;
    EXPECT_EQ(in_words(reconcile(seen)), "apply server");
    EXPECT_EQ(reconcile(seen).status.phase, Phase::switched);
}

TEST(Reconcile, ChecksThenMovesTheTrafficThenSynchronizes) {
    Observed seen = serving("new");
    seen.traffic = Traffic::old_server;
    EXPECT_EQ(after_applying(reconcile(seen)), "CHECK");
    seen.last = VerbResult{Verb::check, true, "", {}, {}, seen.now, 0};
    Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "traffic to proxy");
    EXPECT_TRUE(decision.status.is(condition::preflight_passed, Truth::yes));
    seen.traffic = Traffic::proxy;
    decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "SYNC");
    EXPECT_EQ(decision.status.phase, Phase::replicating);
}

TEST(Reconcile, ACheckThatRefusesLeavesTheTrafficAlone) {
    Observed seen = serving("new");
    seen.traffic = Traffic::old_server;
    seen.last = VerbResult{Verb::check, true, "", {"table t has no replica identity: ALTER TABLE"}, {}, seen.now, 0};
    Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_EQ(reason(decision, condition::preflight_passed), "CheckRefuses");
    EXPECT_NE(decision.status.find(condition::preflight_passed)->message.find("ALTER TABLE"), std::string::npos);
    seen.now += 31s;
    EXPECT_EQ(after_applying(reconcile(seen)), "CHECK");
}

TEST(Reconcile, ASyncThatACrashInterruptedIsTakenUpAgain) {
    EXPECT_EQ(after_applying(reconcile(serving("syncing"))), "SYNC");
}

TEST(Reconcile, NothingIsBegunBesideAVerbThatRuns) {
    for (const char* phase : {"new", "syncing", "synced", "switching", "switched"}) {
        Observed seen = wishing(serving(phase), "WhenCaughtUp");
        seen.turnout->running = "sync";
        EXPECT_EQ(after_applying(reconcile(seen)), "") << phase;
        seen.turnout->running.clear();
        seen.running = Verb::sync;
        EXPECT_EQ(after_applying(reconcile(seen)), "") << phase;
    }
}

TEST(Reconcile, AVerbThatFailedIsTriedAgainLaterAndLater) {
    Observed seen = serving("syncing");
    seen.last = VerbResult{Verb::sync, false, "no room", {}, {}, seen.now, 3};
    Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_EQ(reason(decision, condition::ready), "VerbFailed");
    EXPECT_EQ(decision.again_in, 20s);
    seen.now += 20s;
    EXPECT_EQ(after_applying(reconcile(seen)), "SYNC");
    EXPECT_EQ(back_off(1), 5s);
    EXPECT_EQ(back_off(100), 5min);
}

// --------------------------------------------------------------------------------------------------- the cutover

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

// ----------------------------------------------------------------------------------------------------- the finish

Observed watching() {
    Observed seen = wishing(serving("switched", "green", 2), "WhenCaughtUp");
    seen.spec["finish"] = "AfterWatch";
    seen.spec["watch"] = {{"duration", "10m"}};
    seen.spec["killdeployments"] = true;
    seen.spec["oldWorkload"] = {{"name", "postgres-old"}};
    seen.old_workload = {true, true, ""};
    return seen;
}

TEST(FinishOf, WaitsForTheWatch) {
    Observed seen = watching();
    Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    seen = next(seen, decision);
    seen.now += 9min;
    EXPECT_EQ(after_applying(reconcile(seen)), "");
    seen.now += 1min;
    EXPECT_EQ(after_applying(reconcile(seen)), "FINISH");
}

TEST(FinishOf, NothingIsFinishedUnlessTheSpecSaysSo) {
    Observed seen = watching();
    seen.spec["finish"] = "Manual";
    seen.status.watched_since = time_text(seen.now - 24h);
    EXPECT_EQ(after_applying(reconcile(seen)), "");
}

TEST(FinishOf, TheOldWorkloadGoesAfterwardsAndOnlyThen) {
    Observed seen = watching();
    for (const char* phase : {"new", "syncing", "synced", "switching", "switched", "uncertain"}) {
        seen.turnout->phase = phase;
        EXPECT_EQ(in_words(reconcile(seen)).find("old workload"), std::string::npos) << phase;
    }
    seen.turnout->phase = "finished";
    EXPECT_EQ(after_applying(reconcile(seen)), "remove old workload");
    seen.old_workload.exists = false;
    const Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_EQ(decision.status.phase, Phase::finished);
    EXPECT_EQ(reason(decision, condition::terminal), "Finished");
}

TEST(FinishOf, AnOldServerThatServesIsNeverRemoved) {
    Observed seen = watching();
    seen.turnout = TurnoutStatus{"finished", "blue", 3, "", "", 0, ""};
    EXPECT_EQ(after_applying(reconcile(seen)), "");
}

TEST(FinishOf, TheNewServerComesBackThoughTheOldOneIsGone) {
    Observed seen = watching();
    seen.status.active = "green";
    seen.server.exists = false;
    seen.server.ready = false;
    EXPECT_EQ(in_words(reconcile(seen)), "apply server");
}

TEST(Aborted, TakesAwayWhatWasMadeAndRests) {
    Observed seen = wishing(serving("new"), "Abort");
    Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "traffic to old");
    seen = next(seen, decision);
    seen.traffic = Traffic::old_server;
    decision = reconcile(seen);
    EXPECT_EQ(in_words(decision), "remove proxy, remove server");
    seen.proxy = {};
    seen.server = {};
    decision = reconcile(next(seen, decision));
    EXPECT_EQ(in_words(decision), "");
    EXPECT_EQ(decision.status.phase, Phase::aborted);
    EXPECT_EQ(decision.again_in, std::nullopt);
}

TEST(Uncertain, IsTerminalAndSaysWhatToDo) {
    Observed seen = serving("uncertain", "");
    seen.turnout->trouble = "turnout force-active green";
    const Decision decision = reconcile(seen);
    EXPECT_EQ(after_applying(decision), "");
    EXPECT_TRUE(decision.status.is(condition::terminal, Truth::yes));
    EXPECT_NE(decision.status.find(condition::terminal)->message.find("force-active"), std::string::npos);
}

// -------------------------------------------------------------------------------------------------- the deletion

struct Deletion {
    const char* phase;
    const char* active;
    const char* does;  ///< at the first look
};
void PrintTo(const Deletion& deletion, std::ostream* out) { *out << deletion.phase << ", " << deletion.active; }

class Deleted : public testing::TestWithParam<Deletion> {};

TEST_P(Deleted, DismantlesFirst) {
    Observed seen = serving(GetParam().phase, GetParam().active);
    seen.status.active = GetParam().active;
    seen.deleting = true;
    EXPECT_EQ(in_words(reconcile(seen)), GetParam().does);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Deleted,
    testing::Values(Deletion{"new", "blue", "traffic to old"}, Deletion{"syncing", "blue", "ABORT"},
                    Deletion{"synced", "blue", "ABORT"}, Deletion{"switched", "green", "FINISH"},
                    Deletion{"switching", "blue", "ABORT"}, Deletion{"finished", "green", "traffic to new"},
                    Deletion{"finished", "blue", "traffic to old"}, Deletion{"uncertain", "", ""}));

TEST(DeletedObject, KeepsTheServerThatClientsUseWhateverThePolicy) {
    for (const char* policy : {"Retain", "Delete"}) {
        Observed seen = serving("finished", "green", 2);
        seen.spec["reclaimPolicy"] = policy;
        seen.deleting = true;
        seen.traffic = Traffic::new_server;
        Decision decision = reconcile(seen);
        EXPECT_EQ(in_words(decision), "remove proxy");
        seen = next(seen, decision);
        seen.proxy = {};
        seen.turnout.reset();
        EXPECT_EQ(in_words(reconcile(seen)), "remove finalizer");
    }
}

TEST(DeletedObject, RemovesTheNewServerByPolicy) {
    for (const auto& [policy, does] : {std::pair{"Retain", "remove proxy, remove server"},
                                       std::pair{"Delete", "remove proxy, remove server and volume"}}) {
        Observed seen = serving("new");
        seen.spec["reclaimPolicy"] = policy;
        seen.deleting = true;
        seen.traffic = Traffic::old_server;
        EXPECT_EQ(in_words(reconcile(seen)), does);
    }
}

TEST(DeletedObject, BeforeAnythingWasMadeItGoesAtOnce) {
    Observed seen = fresh();
    seen.deleting = true;
    EXPECT_EQ(in_words(reconcile(seen)), "remove finalizer");
    seen.spec = {};  // even if it never could have been carried out
    EXPECT_EQ(in_words(reconcile(seen)), "remove finalizer");
}

TEST(DeletedObject, StaysWhileTheProxyThatHoldsTheTruthDoesNotAnswer) {
    Observed seen = serving("switched", "green", 2);
    seen.status.active = "green";
    seen.turnout.reset();
    seen.deleting = true;
    const Decision decision = reconcile(seen);
    EXPECT_EQ(in_words(decision), "");
    EXPECT_TRUE(decision.again_in.has_value());
}

TEST(DeletedObject, EndsItsOwnVerbFirst) {
    Observed seen = serving("syncing");
    seen.running = Verb::sync;
    seen.deleting = true;
    EXPECT_EQ(in_words(reconcile(seen)), "cancel verb");
}

TEST(DeletedObject, OfSomebodyElseIsNoConcern) {
    Observed seen = fresh();
    seen.finalizer = false;
    seen.deleting = true;
    EXPECT_EQ(in_words(reconcile(seen)), "");
}

// ---------------------------------------------------------------------------------------------------- what is told

TEST(Told, ALookThatFindsNothingNewChangesNothing) {
    Observed seen = wishing(serving("switched", "green", 2), "WhenCaughtUp");
    const Decision first = reconcile(seen);
    seen = next(seen, first);
    const Decision second = reconcile(seen);
    EXPECT_EQ(second.status, first.status);
    EXPECT_TRUE(second.notes.empty());
    EXPECT_FALSE(first.notes.empty());
}

TEST(Told, LagIsWrittenEveryTenSecondsAtMost) {
    Observed seen = serving("synced");
    seen.turnout->lag_bytes = 1000;
    seen = next(seen, reconcile(seen));
    for (int second = 1; second < 9; ++second) {
        seen.turnout->lag_bytes = 1000 + second;
        const Decision decision = reconcile(seen);
        EXPECT_EQ(decision.status.lag_bytes, 1000);
        seen = next(seen, decision);
    }
    seen.now += 5s;
    EXPECT_EQ(reconcile(seen).status.lag_bytes, 1008);
}

}  // namespace
}  // namespace turnout::kubernetes
