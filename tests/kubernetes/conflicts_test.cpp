// Somebody else writes at the same moment: the API server answers 409, and in the end everything is as it should be.
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "control/kubernetes/children.hpp"
#include "control/kubernetes/fields.hpp"
#include "tests/kubernetes/objects.hpp"
#include "tests/kubernetes/operating.hpp"
#include "tests/kubernetes/scripted_api.hpp"

namespace turnout::kubernetes {
namespace {

namespace json = boost::json;

constexpr const char* kSecret = "/api/v1/namespaces/default/secrets/superuser";
constexpr const char* kServer = "/apis/apps/v1/namespaces/default/statefulsets/app-green";
constexpr const char* kService = "/api/v1/namespaces/default/services/postgres";

/// One whose clients come by the Service `postgres`.
json::object with_clients() {
    json::object spec = sample_spec();
    spec["trafficService"] = "postgres";
    json::object object = upgrade(std::move(spec));
    object["metadata"].get_object()["finalizers"] = json::array{kFinalizer};
    return object;
}

json::object leading_to(json::object selector) {
    return {{"metadata", json::object{{"labels", json::object{{"team", "payments"}}}}},
            {"spec", json::object{{"selector", std::move(selector)},
                                  {"ports", json::array{json::object{{"port", 5432}, {"targetPort", 5432}}}}}}};
}

class Conflicts : public Operating {
  protected:
    Conflicts() {
        api.put(kSecret, {{"data", json::object{{"username", "YQ=="}, {"password", "YQ=="}}}});
        api.put(kService, leading_to({{"app", "postgres-old"}}));
    }
    int warnings() const {
        int told = 0;
        for (const Asked& asked : api.asked())
            if (asked.target.find("/events") != std::string::npos && text_in(asked.body, {"type"}) == "Warning") ++told;
        return told;
    }
};

// Each is refused at another of an upgrade's objects, all at once.
TEST_F(Conflicts, AStormAtWhateverItMakesIsOutlasted) {
    const std::map<std::string, std::string> refused_at{
        {"a", "apis/apps/v1/namespaces/default/statefulsets/a-green"},
        {"b", "api/v1/namespaces/default/services/b-green"},
        {"c", "api/v1/namespaces/default/services/c-blue"},
        {"d", "api/v1/namespaces/default/persistentvolumeclaims/d-turnout"},
        {"e", "api/v1/namespaces/default/configmaps/e-turnout"},
        {"f", "api/v1/namespaces/default/secrets/f-turnout"},
        {"g", "api/v1/namespaces/default/services/g-turnout"},
        {"h", "apis/apps/v1/namespaces/default/deployments/h-turnout"}};
    std::map<std::string, int> refused;
    api.refuse = [&](const Asked& asked) -> std::optional<unsigned> {
        // No proxy is ever seen: it would be looked for by its name.
        if (asked.method == "GET" && asked.target.find("-turnout") != std::string::npos) return 404;
        if (asked.method != "PATCH") return std::nullopt;
        for (const auto& [name, path] : refused_at)
            if (asked.target.starts_with("/" + path + "?") && refused[name]++ < 3) return 409;
        return std::nullopt;
    };
    for (const auto& [name, path] : refused_at) {
        api.put("/apis/apps/v1/namespaces/default/statefulsets/" + name + "-green",
                {{"status", json::object{{"readyReplicas", 1}}}});
        api.put(upgrade_at(name), with_clients());
    }
    Worker worker(context, api, "a");
    for (const auto& [name, path] : refused_at) {
        ASSERT_TRUE(until([&] { return refused[name] > 3; })) << path << " was not tried again";
        ASSERT_TRUE(until_ready_says("ProxyStarting", name));
        for (const std::string& made : {"apis/apps/v1/namespaces/default/statefulsets/" + name + "-green",
                                        "api/v1/namespaces/default/services/" + name + "-green",
                                        "api/v1/namespaces/default/services/" + name + "-blue",
                                        "api/v1/namespaces/default/persistentvolumeclaims/" + name + "-turnout",
                                        "api/v1/namespaces/default/configmaps/" + name + "-turnout",
                                        "api/v1/namespaces/default/secrets/" + name + "-turnout",
                                        "api/v1/namespaces/default/services/" + name + "-turnout",
                                        "apis/apps/v1/namespaces/default/deployments/" + name + "-turnout"})
            EXPECT_TRUE(until([&] { return api.find("/" + made).has_value(); })) << made << ", refused at " << path;
    }
    EXPECT_EQ(warnings(), 0) << "a conflict is nothing that a person has to know of";
}

/// Where the Service of the clients leads when the object has gone, and what was to be kept by its status.
struct Way {
    const char* kept;
    json::object selector;
};
void PrintTo(const Way& way, std::ostream* out) { *out << way.kept; }

class ConflictsAtTheService : public Conflicts, public testing::WithParamInterface<Way> {};

// Somebody writes to the Service between the look and the write, again and again: neither's change is lost, and what
// clients need stays until they are led away from it.
TEST_P(ConflictsAtTheService, LoseNobodysChangeAndNoClient) {
    const Owner owner{"app", "default", "u-1"};
    json::object service = leading_to(proxy_selector(owner));
    service["metadata"].get_object()["annotations"] = json::object{
        {kTrafficBefore, R"({"selector":{"app":"postgres-old"},"ports":[{"port":5432,"targetPort":5432}]})"}};
    api.put(kService, service);
    int left = 3;
    int written = 0;
    bool removed_too_early = false;
    api.refuse = [&](const Asked& asked) -> std::optional<unsigned> {
        if (asked.method == "DELETE")
            removed_too_early |= object_in(*api.find(kService), {"spec", "selector"}) != GetParam().selector;
        if (asked.method != "PATCH" || !asked.target.starts_with(kService)) return std::nullopt;
        ++written;
        if (left-- <= 0) return std::nullopt;
        json::object theirs = *api.find(kService);
        theirs["metadata"].get_object()["labels"].get_object()["release"] = std::to_string(left);
        api.put(kService, theirs);
        return std::nullopt;  // whose version is old now
    };
    json::object object = with_clients();
    object["metadata"].get_object()["deletionTimestamp"] = "2027-01-15T08:00:00Z";
    object["status"] = json::object{{"phase", "Deleting"}, {"kept", GetParam().kept}};
    api.put(kServer, {});
    api.put(upgrade_at("app"), object);
    Worker worker(context, api, "a");
    ASSERT_TRUE(until([&] { return array_in(*api.find(upgrade_at("app")), {"metadata", "finalizers"}).empty(); }));

    const json::object now = *api.find(kService);
    EXPECT_EQ(written, 4);
    EXPECT_EQ(object_in(now, {"spec", "selector"}), GetParam().selector);
    EXPECT_EQ(text_in(now, {"metadata", "labels", "team"}), "payments");
    EXPECT_EQ(text_in(now, {"metadata", "labels", "release"}), "0") << "somebody else's change was lost";
    EXPECT_FALSE(removed_too_early) << "something was removed before the clients were led away from it";
    EXPECT_EQ(api.find(kServer).has_value(), std::string(GetParam().kept) == "green");
    EXPECT_EQ(warnings(), 0);
}

INSTANTIATE_TEST_SUITE_P(Led, ConflictsAtTheService,
                         testing::Values(Way{"blue", {{"app", "postgres-old"}}},
                                         Way{"green", server_selector({"app", "default", "u-1"})}));

}  // namespace
}  // namespace turnout::kubernetes
