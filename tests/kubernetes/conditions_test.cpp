// What the object says of itself in each situation: condition, reason, and words that tell a person what to do.
#include <gtest/gtest.h>

#include <boost/json/object.hpp>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include "tests/kubernetes/looks.hpp"

namespace turnout::kubernetes {
namespace {

namespace json = boost::json;

struct Told {
    const char* when;
    Observed seen;
    std::string_view condition;
    Truth truth;
    const char* reason;
    const char* says;
};
void PrintTo(const Told& told, std::ostream* out) { *out << told.when; }

template <class Change>
Observed with(Observed seen, Change change) {
    change(seen);
    return seen;
}

Observed lagging(std::int64_t bytes) {
    return with(wishing(serving("synced"), "Manual"), [=](Observed& it) { it.turnout->lag_bytes = bytes; });
}

Observed silent(Observed seen) {
    seen.turnout.reset();
    seen.unreachable = "connection refused";
    return seen;
}

Observed deleted(Observed seen) {
    seen.deleting = true;
    return seen;
}

Observed uncertain() {
    return with(serving("uncertain", ""), [](Observed& it) { it.turnout->trouble = "turnout force-active green"; });
}

/// Its first check has passed, and clients come by the proxy.
Observed checked() {
    return with(serving("new"), [](Observed& it) {
        it.last =
            VerbResult{.verb = Verb::check, .done = true, .message = "", .refusals = {}, .window = {}, .ended = {}};
    });
}

Observed retiring() {
    return with(serving("finished", "green", 2), [](Observed& it) {
        it.spec["killdeployments"] = true;
        it.spec["oldWorkload"] = json::object{{"name", "postgres-old"}};
        it.old_workload.exists = true;
    });
}

/// After a look at one whose spec names no version.
Observed mended() {
    Observed wrong = fresh();
    wrong.spec["image"] = "postgres:latest";
    Observed seen = next(wrong, reconcile(wrong));
    seen.spec = sample_spec();
    return seen;
}

Observed decided() {
    Observed before = uncertain();
    Observed seen = next(before, reconcile(before));
    seen.turnout = serving("synced").turnout;
    return seen;
}

class Conditions : public testing::TestWithParam<Told> {};

TEST_P(Conditions, SayWhereItStandsAndWhatToDo) {
    const Told& told = GetParam();
    const Decision decision = reconcile(told.seen);
    const Condition* const found = decision.status.find(told.condition);
    ASSERT_NE(found, nullptr) << told.condition << " is not told";
    EXPECT_EQ(found->status, told.truth);
    EXPECT_EQ(found->reason, told.reason);
    EXPECT_NE(found->message.find(told.says), std::string::npos) << found->message;
}

INSTANTIATE_TEST_SUITE_P(
    Troubles, Conditions,
    testing::Values(
        Told{"the new server does not start",
             with(serving("new"),
                  [](Observed& it) {
                      it.server = {true, false, "ImagePullBackOff: no such tag"};
                  }),
             condition::ready, Truth::no, "ServerFails", "spec.image: the new server does not start: ImagePullBackOff"},
        Told{"the proxy does not start",
             with(serving("new"),
                  [](Observed& it) {
                      it.proxy = {true, false, "ErrImagePull"};
                  }),
             condition::ready, Truth::no, "ProxyFails", "spec.proxy.image: the proxy does not start: ErrImagePull"},
        Told{"the proxy is away", silent(serving("synced")), condition::ready, Truth::no, "ProxyUnreachable",
             "the proxy does not answer: connection refused"},
        Told{"it is deleted while the proxy is away",
             deleted(with(silent(serving("synced")), [](Observed& it) { it.status.active = "blue"; })),
             condition::ready, Truth::no, "ProxyUnreachable",
             "cannot be deleted before the replication is dismantled, and the proxy does not answer: connection"},
        Told{"nobody knows who is active", uncertain(), condition::terminal, Truth::yes, "Uncertain",
             "a person has to decide who is active: turnout force-active green"},
        Told{"it is deleted while nobody knows who is active", deleted(uncertain()), condition::terminal, Truth::yes,
             "Uncertain", "cannot be deleted before a person has decided who is active: turnout force-active green"},
        Told{"the clients' Service is not there",
             with(serving("synced"), [](Observed& it) { it.traffic = Traffic::missing; }), condition::ready, Truth::no,
             "ServiceMissing", "spec.trafficService: there is no Service 'postgres': make it, or leave it out"},
        Told{"an abort comes too late", wishing(serving("switched", "green", 2), "Abort"), condition::ready, Truth::no,
             "TooLateToAbort", "Rollback first, then Abort"}));

INSTANTIATE_TEST_SUITE_P(
    TheCourse, Conditions,
    testing::Values(
        Told{"nothing was looked at", fresh(), condition::ready, Truth::no, "Preflight", "the old server is looked at"},
        Told{"the new server starts",
             with(serving("new"),
                  [](Observed& it) {
                      it.server = {true, false, ""};
                      it.proxy = {};
                  }),
             condition::ready, Truth::no, "ServerStarting", "the new server is starting"},
        Told{"the checks have passed", checked(), condition::preflight_passed, Truth::yes, "Checked", "nothing stands"},
        Told{"tables are copied", checked(), condition::replicating, Truth::no, "Copying", "the tables are copied"},
        Told{"the new server follows", lagging(0), condition::replicating, Truth::yes, "Following", "follows"},
        Told{"it is near", lagging(1000), condition::caught_up, Truth::yes, "Near", "less than 1 MB behind"},
        Told{"it is near and nobody has asked for more", lagging(1000), condition::ready, Truth::yes, "WaitsForCutover",
             "set spec.cutover to WhenCaughtUp to switch"},
        Told{"it is far behind", lagging(100'000'000), condition::caught_up, Truth::no, "Behind", "catches up"},
        Told{"it is far behind: not ready to switch", lagging(100'000'000), condition::ready, Truth::yes, "CatchingUp",
             "the new server catches up"},
        Told{"before the switch", lagging(0), condition::switched, Truth::no, "OldServerActive", "by the old server"},
        Told{"before the switch there is no way back", lagging(0), condition::rollback_ready, Truth::no,
             "NothingToRollBack", "by the old server"},
        Told{"behind the switch", serving("switched", "green", 2), condition::switched, Truth::yes, "NewServerActive",
             "by the new server"},
        Told{"behind the switch there is a way back", serving("switched", "green", 2), condition::rollback_ready,
             Truth::yes, "WayBackOpen", "set spec.cutover to Rollback to go back"},
        Told{"the old server goes", retiring(), condition::ready, Truth::no, "Retiring", "is being removed"},
        Told{"an abort takes away what was made", wishing(serving("new"), "Abort"), condition::ready, Truth::no,
             "Aborting", "what was made for the version change is being removed"},
        Told{"the spec was mended", mended(), condition::terminal, Truth::no, "SpecMended", "can be carried out"},
        Told{"a person has decided", decided(), condition::terminal, Truth::no, "Certain",
             "it is known who is active"}));

}  // namespace
}  // namespace turnout::kubernetes
