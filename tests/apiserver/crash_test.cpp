// The operator, or the API server, is killed at every step: it goes on, nothing is done twice, and the object tells the
// truth in the end.
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

using namespace std::chrono_literals;

struct Blow {
    const char* name;
    bool api = false;
    bool operator_too = true;
};
void PrintTo(const Blow& blow, std::ostream* out) { *out << blow.name; }

class Killed : public testing::TestWithParam<Blow> {
  protected:
    /// Whenever the phase or the reason of Ready has changed, the blow falls.
    bool until_phase(Stage& stage, const std::string& phase) {
        return stage.until(
            [&] {
                const std::string now = stage.look("{.status.phase}");
                const std::string step = now + " " + stage.condition("Ready", "reason");
                if (step != step_) {
                    step_ = step;
                    std::cout << "killed at: " << step << std::endl;
                    if (GetParam().operator_too) stage.kill_operator();
                    if (GetParam().api) {
                        stage.plane.kill_api();
                        stage.plane.start_api();
                    }
                    if (GetParam().operator_too) stage.start_operator();
                }
                return now == phase;
            },
            "the phase is " + phase);
    }
    std::string step_;
};

TEST_P(Killed, AtEveryStepItGoesOn) {
    Stage stage;
    stage.start_operator();
    stage.plane.must({"apply", "-f", manifest("sample/pgupgrade.yaml")});
    ASSERT_TRUE(until_phase(stage, "Switched"));
    support::Cluster& green = stage.kubelet->server("statefulsets/app-green");
    EXPECT_EQ(green.value("SELECT count(*) FROM pg_database WHERE datname = 'app'"), "1");
    stage.patch(R"({"cutover":"Rollback"})");
    ASSERT_TRUE(until_phase(stage, "RolledBack"));
    EXPECT_EQ(stage.look("{.status.turnoutGeneration}"), "3") << "something was done twice";
    stage.patch(R"({"cutover":"WhenCaughtUp","finish":"AfterWatch","watch":{"duration":"1s"}})");
    ASSERT_TRUE(until_phase(stage, "Finished"));
    ASSERT_TRUE(stage.until([&] { return stage.condition("Terminal", "reason") == "Finished"; }, "it rests"));
    EXPECT_EQ(stage.look("{.status.turnoutGeneration}"), "4") << "something was done twice";
    EXPECT_EQ(green.value("SELECT count(*) FROM pg_subscription"), "0");
    EXPECT_EQ(stage.kubelet->starts("statefulsets/app-green"), 1);
    EXPECT_EQ(stage.kubelet->starts("deployments/app-turnout"), 1);
}

INSTANTIATE_TEST_SUITE_P(Table, Killed,
                         testing::Values(Blow{"the operator"}, Blow{"the API server", true, false},
                                         Blow{"both", true, true}));

}  // namespace
}  // namespace turnout::apiserver
