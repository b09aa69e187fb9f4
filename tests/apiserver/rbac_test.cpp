// The shipped role is what the operator needs, verb by verb: one that starts with no right at all is given what the API
// server says it lacks, and in the end has been given exactly what rbac.yaml gives. (With just that every other test
// runs here.) And a right that is taken away from one at work is named.
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <string>

#include "bench/pq.hpp"
#include "control/kubernetes/fields.hpp"
#include "tests/apiserver/shown.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

/// "apps/statefulsets patch".
using Rights = std::set<std::string>;

/// What rbac.yaml gave to the operator of this stage.
Rights shipped(const Stage& stage) {
    const json::value given = json::parse(stage.plane.must({"get", "role", "turnout-operator", "-o", "json"}));
    Rights rights;
    for (const json::value& rule : kubernetes::array_in(given.as_object(), {"rules"}))
        for (const json::value& group : rule.at("apiGroups").as_array())
            for (const json::value& resource : rule.at("resources").as_array())
                for (const json::value& verb : rule.at("verbs").as_array())
                    rights.insert(std::string(group.as_string()) + "/" + std::string(resource.as_string()) + " " +
                                  std::string(verb.as_string()));
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

void give(const Stage& stage, const Rights& rights) { stage.plane.must({"apply", "-f", "-"}, role(rights)); }

/// Two lives that use everything: one is switched, rolled back, aborted with its volume and deleted, the other one is
/// finished, its old server goes, and it is deleted.
class Lives {
  public:
    explicit Lives(const Stage& stage) : stage_(stage) { stage.apply(R"({"reclaimPolicy":"Delete"})"); }

    /// Goes on where the life has come to a rest.
    bool over() {
        const std::string rests = stage_.condition("Ready") == "True" ? stage_.look("{.status.phase}") : "";
        switch (step_) {
            case 0: go_on(rests == "Switched", [this] { stage_.patch(R"({"cutover":"Rollback"})"); }); break;
            case 1: go_on(rests == "RolledBack", [this] { stage_.patch(R"({"cutover":"Abort"})"); }); break;
            case 2:
            case 5: go_on(rests == (step_ == 2 ? "Aborted" : "Finished"), [this] { remove(); }); break;
            case 3: go_on(stage_.gone(), [this] { stage_.apply("{}"); }); break;
            case 4:
                go_on(rests == "Switched",
                      [this] { stage_.patch(R"({"finish":"AfterWatch","watch":{"duration":"1s"}})"); });
                break;
            default: return stage_.gone();
        }
        return false;
    }
    /// Where it is, for people.
    std::string now() const {
        const std::string phase = stage_.look("{.status.phase}");
        return phase.empty() ? "before the first status" : phase;
    }

  private:
    void go_on(bool rests, const std::function<void()>& next) {
        if (!rests) return;
        next();
        ++step_;
    }
    void remove() const { stage_.plane.must({"delete", "pgu", "app", "--wait=false"}); }

    const Stage& stage_;
    int step_ = 0;
};

void show_rights(const std::map<std::string, std::string>& refused) {
    std::string text =
        "# The operator's rights\n\nAn operator began without any right, and was given one by one those that the API "
        "server refused it, until two lives were over: one switched, rolled back, aborted and deleted, one finished "
        "and deleted. They are these " +
        std::to_string(refused.size()) +
        ", each with where the life stood when it could not go on without; exactly the rights of "
        "`deploy/kubernetes/rbac.yaml`.\n\n| right | refused in |\n|---|---|\n";
    for (const auto& [right, when] : refused) text += "| " + right + " | " + when + " |\n";
    show("rights.md", text);
}

TEST(LeastPrivilege, IsGrownFromNothingToExactlyTheShippedRole) {
    Stage stage;
    const Rights wanted = shipped(stage);
    ASSERT_GT(wanted.size(), 20u);
    Rights given;
    std::map<std::string, std::string> refused;
    give(stage, given);
    Lives lives(stage);
    stage.start_operator();
    stage.keep_operator();
    const bool over = stage.until(
        [&] {
            const Rights missing = lacking(stage.operator_log());
            if (missing.empty()) return lives.over();
            for (const std::string& right : missing) {
                EXPECT_TRUE(wanted.contains(right)) << "the operator wants what it is not given: " << right;
                if (given.insert(right).second) refused[right] = lives.now();
            }
            // Not to wait until it tries again; the next one begins with what there is.
            stage.kill_operator();
            stage.forget_log();
            give(stage, given);
            stage.start_operator();
            return false;
        },
        "two lives are over", 12min);
    ASSERT_TRUE(over);
    for (const std::string& right : wanted) EXPECT_TRUE(given.contains(right)) << "nobody needs " << right;
    EXPECT_EQ(given.size(), wanted.size());
    EXPECT_TRUE(stage.exists("statefulset/app-green")) << "the server that serves was removed";
    EXPECT_FALSE(stage.exists("deployment/postgres-old"));
    if (!HasFailure()) show_rights(refused);
}

/// While it follows, each look needs these.
const char* const kOfEachLook[] = {"turnout.internal/pgupgrades get",
                                   "turnout.internal/pgupgrades/status patch",
                                   "apps/statefulsets get",
                                   "apps/deployments get",
                                   "apps/statefulsets patch",
                                   "apps/deployments patch",
                                   "/services get",
                                   "/services patch",
                                   "/configmaps patch",
                                   "/secrets get",
                                   "/secrets patch",
                                   "/persistentvolumeclaims patch"};

TEST(LeastPrivilege, ARightThatIsTakenIsNamedAndTheLifeGoesOnWhenItIsGivenBack) {
    Stage stage;
    const Rights all = shipped(stage);
    stage.start_operator();
    const pid_t pid = stage.operator_pid();
    stage.apply(R"({"cutover":"Manual"})");
    ASSERT_TRUE(stage.until_phase("CaughtUp"));
    int seconds = 100;
    for (const std::string right : kOfEachLook) {
        Rights fewer = all;
        ASSERT_EQ(fewer.erase(right), 1u) << right;
        stage.forget_log();
        give(stage, fewer);
        stage.patch(R"({"deadline":")" + std::to_string(++seconds) + R"(s"})");
        EXPECT_TRUE(stage.until([&] { return lacking(stage.operator_log()) == Rights{right}; }, "it lacks " + right));
        const std::string resource = right.substr(right.find('/') + 1, right.find(' ') - right.find('/') - 1);
        const auto told = [&] {
            const std::string events = stage.plane.must({"get", "events", "--field-selector=reason=Forbidden", "-o",
                                                         R"(jsonpath={range .items[*]}{.message}{"\n"}{end})"});
            return lacking(events).contains(right);
        };
        EXPECT_TRUE(stage.until(told, "an Event names " + right));
        EXPECT_EQ(bench::value(bench::connect(stage.conninfo()).get(), "SELECT 1"), "1") << "without " << right;
        give(stage, all);
        EXPECT_TRUE(stage.until(
            [&] {
                return stage.look("{.status.observedGeneration}") == stage.look("{.metadata.generation}") &&
                       stage.condition("Ready") == "True";
            },
            "it goes on with " + right));
    }
    EXPECT_TRUE(stage.operator_runs());
    EXPECT_EQ(stage.operator_pid(), pid);
    stage.patch(R"({"cutover":"WhenCaughtUp"})");
    EXPECT_TRUE(stage.until_phase("Switched"));
}

}  // namespace
}  // namespace turnout::apiserver
