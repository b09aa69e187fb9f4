// What an API server and a cluster do to an operator that only watches: it forgets, it shows another certificate, it
// takes tokens back, and another operator is there.
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

class ApiServer : public testing::Test {
  protected:
    /// An operator at rest: the spec is wrong.
    void begin() {
        stage_.start_operator();
        stage_.apply(R"({"image":"postgres:latest"})");
        ASSERT_TRUE(says("spec.image"));
    }
    /// As a kubelet would, where its lease ran out while the server was away.
    void start_again() {
        if (!stage_.operator_runs()) stage_.start_operator();
    }
    bool says(const std::string& field) {
        return stage_.until([&] { return stage_.condition("Ready", "message").find(field) != std::string::npos; },
                            "Ready names " + field);
    }
    /// It still hears of what changes.
    void expect_hears() {
        stage_.patch(R"({"image":"postgres:17","databases":["postgres"]})");
        EXPECT_TRUE(stage_.until(
            [&] {
                start_again();
                return stage_.condition("Ready", "message").find("spec.databases") != std::string::npos;
            },
            "Ready names spec.databases"));
    }
    bool logged(const std::string& text, const std::string& identity = Stage::kOperator) {
        return stage_.until([&] { return stage_.operator_log(identity).find(text) != std::string::npos; },
                            "the log says " + text);
    }

    Stage stage_;
};

TEST_F(ApiServer, ThatHasForgottenIsListedAgain) {
    ASSERT_NO_FATAL_FAILURE(begin());
    // The world moves on while it cannot hear; a server that was started again knows nothing from before.
    ::kill(stage_.operator_pid(), SIGSTOP);
    for (int i = 0; i < 10; ++i) stage_.plane.must({"create", "configmap", "something-" + std::to_string(i)});
    stage_.plane.kill_api();
    stage_.plane.start_api();
    stage_.forget_log();
    ::kill(stage_.operator_pid(), SIGCONT);
    ASSERT_TRUE(logged("watching pgupgrades: 410"));
    expect_hears();
}

TEST_F(ApiServer, WithAnotherCertificateIsBelievedOnceThePodHasItsAuthority) {
    ASSERT_NO_FATAL_FAILURE(begin());
    stage_.plane.renew_certificate();
    start_again();
    expect_hears();
}

TEST_F(ApiServer, ThatTakesATokenBackIsAskedWithTheNextOne) {
    ASSERT_NO_FATAL_FAILURE(begin());
    stage_.plane.must({"delete", "serviceaccount", "turnout-operator"});
    stage_.plane.must({"create", "serviceaccount", "turnout-operator"});
    ASSERT_TRUE(logged("401"));
    stage_.plane.give_token();
    start_again();
    expect_hears();
}

TEST_F(ApiServer, WithTwoOperatorsSeesOneAct) {
    ASSERT_NO_FATAL_FAILURE(begin());
    ASSERT_EQ(stage_.leader(), Stage::kOperator);
    stage_.start_operator("operator-1");
    ASSERT_TRUE(logged("operator begins", "operator-1"));
    expect_hears();
    EXPECT_EQ(stage_.leader(), Stage::kOperator);

    // One that hangs is followed by the other, and does nothing more when it goes on.
    ::kill(stage_.operator_pid(), SIGSTOP);
    ASSERT_TRUE(stage_.until([&] { return stage_.leader() == "operator-1"; }, "the other one leads"));
    stage_.patch(R"({"image":"postgres:latest","databases":["app"]})");
    EXPECT_TRUE(says("spec.image"));
    ::kill(stage_.operator_pid(), SIGCONT);
    EXPECT_TRUE(stage_.until([&] { return !stage_.operator_runs(); }, "the first one ends"));
    EXPECT_EQ(stage_.leader(), "operator-1");

    // One that is stopped gives the lease up at once.
    stage_.start_operator();
    ASSERT_TRUE(logged("operator begins"));
    EXPECT_EQ(stage_.stop_operator("operator-1"), 0);
    ASSERT_TRUE(stage_.until([&] { return stage_.leader() == Stage::kOperator; }, "the first one leads again"));
    expect_hears();
}

}  // namespace
}  // namespace turnout::apiserver
