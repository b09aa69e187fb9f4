// What is decided until the new server follows, and what is told of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <chrono>
#include <string>

#include "control/kubernetes/reconciler.hpp"
#include "control/names.hpp"
#include "tests/kubernetes/looks.hpp"

namespace turnout::kubernetes {
namespace {

using namespace std::chrono_literals;

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

TEST(Reconcile, NamesThatAreNotUsedAreToldOnce) {
    for (const char* const field : {"subname", "pubname"}) {
        Observed seen = fresh();
        seen.spec[field] = "mine";
        const Decision decision = reconcile(seen);
        const auto told = std::find_if(decision.notes.begin(), decision.notes.end(),
                                       [](const Note& note) { return note.reason == "NamesIgnored"; });
        ASSERT_NE(told, decision.notes.end()) << field;
        for (const std::string& name :
             {std::string(field), std::string(control::names::kTablesPublication),
              control::names::subscription(Side::green), control::names::subscription(Side::blue)})
            EXPECT_NE(told->message.find(name), std::string::npos) << told->message;
        for (const Note& note : reconcile(next(seen, decision)).notes) EXPECT_NE(note.reason, "NamesIgnored");
    }
    for (const Note& note : reconcile(fresh()).notes) EXPECT_NE(note.reason, "NamesIgnored");
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
