// The shipped role is what the operator needs, verb by verb: it starts with no right at all, is given what the API
// server says it lacks, and in the end must have been given exactly what rbac.yaml gives.
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <iostream>
#include <regex>
#include <set>
#include <string>
#include <thread>

#include "control/kubernetes/fields.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

/// "apps/statefulsets patch".
using Rights = std::set<std::string>;

Rights shipped(const Stage& stage) {
    const std::string text =
        stage.plane.must({"create", "--dry-run=client", "-o", "json", "-f", manifest("rbac.yaml")});
    Rights rights;
    const json::value list = json::parse(text);
    for (const json::value& item : kubernetes::array_in(list.as_object(), {"items"})) {
        for (const json::value& rule : kubernetes::array_in(item.as_object(), {"rules"})) {
            const std::string group(rule.at("apiGroups").at(0).as_string());
            for (const json::value& resource : rule.at("resources").as_array())
                for (const json::value& verb : rule.at("verbs").as_array())
                    rights.insert(group + "/" + std::string(resource.as_string()) + " " +
                                  std::string(verb.as_string()));
        }
    }
    return rights;
}

std::string role(const Rights& rights) {
    json::array rules;
    for (const std::string& right : rights) {
        const auto slash = right.find('/');
        const auto space = right.find(' ');
        rules.push_back(json::object{{"apiGroups", json::array{right.substr(0, slash)}},
                                     {"resources", json::array{right.substr(slash + 1, space - slash - 1)}},
                                     {"verbs", json::array{right.substr(space + 1)}}});
    }
    return json::serialize(json::object{{"apiVersion", "rbac.authorization.k8s.io/v1"},
                                        {"kind", "Role"},
                                        {"metadata", json::object{{"name", "turnout-operator"}}},
                                        {"rules", std::move(rules)}});
}

/// What the log says that is lacking.
Rights lacking(const std::string& log) {
    static const std::regex kForbidden(R"(cannot (\w+) resource \\?"([^"\\]+)\\?" in API group \\?"([^"\\]*)\\?")");
    Rights rights;
    for (auto it = std::sregex_iterator(log.begin(), log.end(), kForbidden); it != std::sregex_iterator(); ++it)
        rights.insert((*it)[3].str() + "/" + (*it)[2].str() + " " + (*it)[1].str());
    return rights;
}

/// One life that uses everything: filled, aborted with its volume, deleted. True when it is over.
class Life {
  public:
    explicit Life(const Stage& stage) : stage_(stage) {
        stage.plane.must({"apply", "-f", manifest("sample/pgupgrade.yaml")});
        stage.patch(R"({"cutover":"Manual","reclaimPolicy":"Delete"})");
    }
    bool over() {
        const std::string phase = stage_.look("{.status.phase}");
        if (step_ == 0 && phase == "CaughtUp") {
            stage_.patch(R"({"cutover":"Abort"})");
            step_ = 1;
        }
        if (step_ == 1 && phase == "Aborted" && stage_.condition("Ready") == "True") {
            stage_.plane.must({"delete", "pgu", "app", "--wait=false"});
            step_ = 2;
        }
        return step_ == 2 && stage_.plane.kubectl({"get", "pgu", "app"}).status != 0;
    }

  private:
    const Stage& stage_;
    int step_ = 0;
};

TEST(LeastPrivilege, IsGrownFromNothingToExactlyTheShippedRole) {
    Stage stage;
    const Rights wanted = shipped(stage);
    ASSERT_GT(wanted.size(), 20u);
    Rights given;
    stage.plane.must({"apply", "-f", "-"}, role(given));
    Life life(stage);
    stage.start_operator();
    const auto deadline = std::chrono::steady_clock::now() + 10min;
    while (!life.over()) {
        ASSERT_LT(std::chrono::steady_clock::now(), deadline) << stage.operator_log();
        const Rights missing = lacking(stage.operator_log());
        if (missing.empty()) {
            std::this_thread::sleep_for(100ms);
            continue;
        }
        for (const std::string& right : missing) {
            ASSERT_TRUE(wanted.contains(right)) << "the operator wants what it is not given: " << right;
            given.insert(right);
        }
        stage.kill_operator();
        stage.forget_log();
        stage.plane.must({"apply", "-f", "-"}, role(given));
        stage.start_operator();
    }
    EXPECT_EQ(given, wanted);
    EXPECT_FALSE(stage.plane.kubectl({"get", "pvc", "data-app-green-0"}).done());
    EXPECT_EQ(stage.kubelet->network().leads_to("postgres", 5432),
              stage.kubelet->server("deployments/postgres-old").port());
    std::cout << given.size() << " rights, each needed" << std::endl;
}

}  // namespace
}  // namespace turnout::apiserver
