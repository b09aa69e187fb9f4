// The operator as a whole against a scripted API server, as far as no PostgreSQL is needed.
#include "control/kubernetes/operator.hpp"

#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "control/kubernetes/fields.hpp"
#include "tests/kubernetes/objects.hpp"
#include "tests/kubernetes/operating.hpp"
#include "tests/kubernetes/scripted_api.hpp"

namespace turnout::kubernetes {
namespace {

namespace json = boost::json;

const std::string kUpgrade = upgrade_at("app");
constexpr const char* kLeasePath = "/apis/coordination.k8s.io/v1/namespaces/default/leases/turnout-operator";

TEST_F(Operating, AWrongSpecEndsInAConditionAndIsWrittenOnce) {
    json::object spec = sample_spec();
    spec["image"] = "postgres:latest";
    api.put(kUpgrade, upgrade(spec));
    Worker worker(context, api, "a");
    ASSERT_TRUE(until_ready_says("InvalidSpec"));
    // What came of the status's own echo has been looked at once another change was.
    api.put("/apis/turnout.internal/v1alpha1/namespaces/default/pgupgrades/other", upgrade(spec));
    ASSERT_TRUE(until([&] { return api.count("PATCH", "pgupgrades/other/status") == 1; }));
    EXPECT_EQ(api.count("PATCH", "pgupgrades/app/status"), 1);
    EXPECT_EQ(api.count("PUT", "pgupgrades"), 0);
    EXPECT_GE(api.count("POST", "/events"), 1);
}

TEST_F(Operating, TheFinalizerComesFirst) {
    api.put(kUpgrade, upgrade(sample_spec()));
    Worker worker(context, api, "a");
    ASSERT_TRUE(until_ready_says("SecretMissing"));
    for (const Asked& asked : api.asked()) {
        if (asked.target.find("leases") != std::string::npos || asked.method == "GET") continue;
        EXPECT_FALSE(array_in(asked.body, {"metadata", "finalizers"}).empty()) << asked.method << " " << asked.target;
        break;
    }
}

TEST_F(Operating, AStormOfConflictsIsOutlasted) {
    int left = 4;
    api.refuse = [&left](const Asked& asked) -> std::optional<unsigned> {
        const bool write = asked.method == "PATCH" && asked.target.find("pgupgrades/app") != std::string::npos;
        if (write && left-- > 0) return 409;
        return std::nullopt;
    };
    api.put(kUpgrade, upgrade(sample_spec()));
    Worker worker(context, api, "a");
    EXPECT_TRUE(until_ready_says("SecretMissing"));
}

TEST_F(Operating, AStormOfConflictsAtTheLeaseIsOutlasted) {
    int left = 2;
    api.refuse = [&left](const Asked& asked) -> std::optional<unsigned> {
        const bool write = asked.method != "GET" && asked.target.find("/leases") != std::string::npos;
        if (write && left-- > 0) return 409;
        return std::nullopt;
    };
    api.put(kUpgrade, upgrade(sample_spec()));
    Worker worker(context, api, "a");
    ASSERT_TRUE(until([&] { return left <= 0; }));
    EXPECT_EQ(api.count("GET", "pgupgrades"), 0) << "it acts without the lease";
    EXPECT_TRUE(until_ready_says("SecretMissing"));
    EXPECT_EQ(text_in(*api.find(kLeasePath), {"spec", "holderIdentity"}), "a");
}

/// Cut off, and told that it is too late, again and again: what changes meanwhile is heard of all the same.
TEST_F(Operating, WatchesThatAreCutOffMissNothing) {
    json::object spec = sample_spec();
    spec["image"] = "postgres:latest";
    api.put(kUpgrade, upgrade(spec));
    Worker worker(context, api, "a");
    ASSERT_TRUE(until_ready_says("InvalidSpec"));
    for (int round = 0; round < 4; ++round) {
        const bool wrong = round % 2 == 1;
        json::object object = *api.find(kUpgrade);
        object["spec"] = wrong ? spec : sample_spec();
        api.expired_watches = round < 2 ? 0 : 3;  // one of each kind of object, at least
        api.cut_watches();
        api.put(kUpgrade, object);
        ASSERT_TRUE(until_ready_says(wrong ? "InvalidSpec" : "SecretMissing")) << round;
    }
}

// The first step asks to be looked at again at once; what the server refuses must not be.
TEST_F(Operating, AStatusThatCannotBeWrittenIsTriedAgainLaterAndLater) {
    const auto begun = std::chrono::steady_clock::now();
    api.refuse = [](const Asked& asked) -> std::optional<unsigned> {
        if (asked.target.find("pgupgrades/app/status") != std::string::npos) return 403;
        return std::nullopt;
    };
    json::object object = upgrade(sample_spec());
    object["metadata"].get_object()["finalizers"] = json::array{kFinalizer};
    api.put(kUpgrade, object);
    api.put("/api/v1/namespaces/default/secrets/superuser",
            {{"data", json::object{{"username", "YQ=="}, {"password", "YQ=="}}}});
    Worker worker(context, api, "a");
    ASSERT_TRUE(until([&] { return api.count("PATCH", "pgupgrades/app/status") >= 4; }));
    const std::chrono::duration<double> lasted = std::chrono::steady_clock::now() - begun;
    const std::chrono::duration<double> least = WorkQueue::kLeast;
    EXPECT_GE(lasted, least * (1 + 2 + 4)) << "four tries have three waits between them, each twice the former";
}

TEST_F(Operating, ARightThatItLacksIsToldOnceAndItGoesOnWithIt) {
    bool forbidden = true;
    api.refuse = [&forbidden](const Asked& asked) -> std::optional<unsigned> {
        if (forbidden && asked.target.find("secrets/superuser") != std::string::npos) return 403;
        return std::nullopt;
    };
    api.put(kUpgrade, upgrade(sample_spec()));
    Worker worker(context, api, "a");
    ASSERT_TRUE(until([&] { return api.count("GET", "secrets/superuser") >= 3; }));
    int told = 0;
    for (const Asked& asked : api.asked())
        if (asked.target.find("/events") != std::string::npos && text_in(asked.body, {"reason"}) == "Forbidden") ++told;
    EXPECT_EQ(told, 1);
    forbidden = false;
    EXPECT_TRUE(until_ready_says("SecretMissing"));
}

TEST_F(Operating, AnObjectThatIsDeletedBeforeAnythingWasMadeGoes) {
    json::object object = upgrade(sample_spec());
    object["metadata"].get_object()["finalizers"] = json::array{kFinalizer};
    object["metadata"].get_object()["deletionTimestamp"] = "2027-01-15T08:00:00Z";
    api.put(kUpgrade, object);
    Worker worker(context, api, "a");
    EXPECT_TRUE(until([&] { return array_in(*api.find(kUpgrade), {"metadata", "finalizers"}).empty(); }));
}

TEST_F(Operating, OfTwoOnlyOneActs) {
    api.put(kUpgrade, upgrade(sample_spec()));
    auto first = std::make_unique<Worker>(context, api, "a");
    ASSERT_TRUE(until_ready_says("SecretMissing"));
    Worker second(context, api, "b");
    ASSERT_TRUE(until([&] { return api.count("GET", kLeasePath) >= 4; }));
    EXPECT_EQ(text_in(*api.find(kLeasePath), {"spec", "holderIdentity"}), "a");
    EXPECT_EQ(api.count("GET", "pgupgrades?watch=true"), 1) << "the second watches, too";
    first.reset();  // gives the lease up
    ASSERT_TRUE(until([&] { return text_in(*api.find(kLeasePath), {"spec", "holderIdentity"}) == "b"; }));
    EXPECT_TRUE(until([&] { return api.count("GET", "pgupgrades?watch=true") == 2; }));
}

TEST_F(Operating, OneThatLosesItsLeaseEnds) {
    api.put(kUpgrade, upgrade(sample_spec()));
    Worker worker(context, api, "a");
    ASSERT_TRUE(until_ready_says("SecretMissing"));
    json::object stolen = *api.find(kLeasePath);
    stolen["spec"].get_object()["holderIdentity"] = "somebody else";
    api.put(kLeasePath, stolen);
    const int writes = api.count("PATCH", "");
    ASSERT_TRUE(until([&] { return worker.over(); }));
    EXPECT_EQ(api.count("PATCH", ""), writes);
}

}  // namespace
}  // namespace turnout::kubernetes
