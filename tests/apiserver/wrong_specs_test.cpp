// What cannot be carried out ends in a condition that names the field and the remedy; the old server serves as before.
#include <gtest/gtest.h>

#include <string>

#include "bench/pq.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

TEST(WrongSpecs, EndInAConditionThatNamesTheField) {
    Stage stage;
    stage.start_operator();
    struct Case {
        const char* change;
        const char* field;
    };
    for (const Case& wrong :
         {Case{R"({"credentials":{"secretName":"nobody"}})", "spec.credentials.secretName"},
          Case{R"({"image":"postgres:latest"})", "spec.image"},
          Case{R"({"olddbhost":"no-such-host","trafficService":null})", "spec.olddbhost"},
          Case{R"({"databases":["no_such_database"]})", "spec.databases"},
          Case{R"({"image":"postgres:12"})", "spec.image"}, Case{R"({"image":"postgres:99"})", "spec.image"}}) {
        stage.apply(wrong.change);
        EXPECT_TRUE(stage.until(
            [&] { return stage.condition("Ready", "message").find(wrong.field) != std::string::npos; }, wrong.change));
        EXPECT_EQ(stage.condition("Ready"), "False") << wrong.change;
        stage.tell(wrong.change);
        EXPECT_EQ(bench::value(bench::connect(stage.conninfo()).get(), "SELECT 1"), "1")
            << "the old server serves no more";
        stage.plane.must({"delete", "pgu", "app", "--timeout=60s"});
    }
    EXPECT_TRUE(stage.operator_runs());
}

TEST(WrongSpecs, OnesThatTurnWrongLaterGoOnWhenTheyAreMended) {
    Stage stage;
    support::Cluster& old = stage.kubelet->server("deployments/postgres-old");
    old.execute("CREATE TABLE keyless (note text)", "app");
    stage.start_operator();
    const pid_t pid = stage.operator_pid();
    const auto says = [&](const char* condition, const std::string& what) {
        return stage.until(
            [&] {
                return stage.condition(condition) == "False" &&
                       stage.condition(condition, "message").find(what) != std::string::npos;
            },
            std::string(condition) + " says " + what);
    };
    // A database that fails the checks: the new server stands, and clients go where they went.
    stage.apply(R"({"cutover":"Manual"})");
    ASSERT_TRUE(says("PreflightPassed", "public.keyless"));
    EXPECT_TRUE(says("Ready", "ALTER TABLE"));
    stage.tell("the checks refuse");
    EXPECT_EQ(stage.kubelet->network().leads_to("postgres", 5432), old.port());
    old.execute("ALTER TABLE keyless REPLICA IDENTITY FULL", "app");
    ASSERT_TRUE(stage.until_phase("CaughtUp"));

    // A field that cannot be changed any more: nothing is done until it is set back, and clients are served.
    stage.patch(R"({"databases":["app","other"],"cutover":"WhenCaughtUp"})");
    ASSERT_TRUE(says("Ready", "spec.databases"));
    EXPECT_EQ(stage.condition("Terminal", "reason"), "FieldChanged");
    stage.tell("a field was changed");
    EXPECT_EQ(bench::value(bench::connect(stage.conninfo()).get(), "SHOW server_version_num")->substr(0, 2), "15");
    stage.patch(R"({"databases":["app"],"cutover":"Manual"})");
    ASSERT_TRUE(stage.until([&] { return stage.condition("Ready", "reason") == "WaitsForCutover"; }, "it goes on"));
    EXPECT_EQ(stage.condition("Terminal"), "False");
    EXPECT_EQ(stage.look("{.status.turnoutGeneration}"), "1");
    EXPECT_TRUE(stage.operator_runs());
    EXPECT_EQ(stage.operator_pid(), pid);
}

}  // namespace
}  // namespace turnout::apiserver
