// What is decided at the end of a life: finish, abort, deletion, and when nobody knows who is active.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <chrono>
#include <ostream>
#include <string>
#include <utility>

#include "control/kubernetes/reconciler.hpp"
#include "tests/kubernetes/looks.hpp"

namespace turnout::kubernetes {
namespace {

using namespace std::chrono_literals;

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

TEST(FinishOf, IsToldOnceAndLeavesNoLagBehind) {
    Observed seen = watching();
    seen.turnout->lag_bytes = 1000;
    seen = next(seen, reconcile(seen));
    ASSERT_EQ(seen.status.lag_bytes, 1000);
    seen.turnout->phase = "finished";
    seen.turnout->lag_bytes.reset();
    seen.old_workload.exists = false;
    const Decision decision = reconcile(seen);
    EXPECT_EQ(decision.status.lag_bytes, std::nullopt);
    EXPECT_EQ(std::count_if(decision.notes.begin(), decision.notes.end(),
                            [](const Note& note) { return note.message == "replication is dismantled"; }),
              1);
    seen = next(seen, decision);
    EXPECT_EQ(reconcile(seen).status, seen.status);
}

TEST(FinishOf, AnOldServerThatServesIsNeverRemoved) {
    Observed seen = watching();
    seen.status.phase = Phase::rolled_back;
    seen.turnout = TurnoutStatus{"finished", "blue", 3, "", "", 0, ""};
    EXPECT_EQ(after_applying(reconcile(seen)), "");
}

TEST(FinishOf, AFormerChangeThatWasAbortedDoesNotHinderANewOne) {
    Observed seen = serving("finished", "blue", 3);
    seen.status.phase = Phase::provisioning;
    EXPECT_EQ(after_applying(reconcile(seen)), "CHECK");
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

TEST(DeletedObject, WhatWasMadeForAProxyThatNeverCameGoesWithTheNewServer) {
    Observed seen = fresh();
    seen.server = {true, false, "ImagePullBackOff"};
    seen.deleting = true;
    EXPECT_EQ(in_words(reconcile(seen)), "remove proxy, remove server");
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

TEST(DeletedObject, LetsTheVerbThatDismantlesComeToItsEnd) {
    for (const Verb verb : {Verb::abort, Verb::finish}) {
        Observed seen = serving("synced");
        seen.running = verb;
        seen.deleting = true;
        const Decision decision = reconcile(seen);
        EXPECT_EQ(in_words(decision), "") << name(verb);
        EXPECT_TRUE(decision.again_in.has_value()) << name(verb);
    }
}

TEST(DeletedObject, OfSomebodyElseIsNoConcern) {
    Observed seen = fresh();
    seen.finalizer = false;
    seen.deleting = true;
    EXPECT_EQ(in_words(reconcile(seen)), "");
}

}  // namespace
}  // namespace turnout::kubernetes
