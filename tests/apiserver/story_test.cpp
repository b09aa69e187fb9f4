// The whole life of a version change, from one object, on a real API server with real servers, under a ledger's load.
#include <gtest/gtest.h>

#include <string>

#include "tests/apiserver/agreement.hpp"
#include "tests/apiserver/clients.hpp"
#include "tests/apiserver/shown.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

constexpr const char* kSample = "deploy/kubernetes/sample/pgupgrade.yaml";

void wish(Transcript& told, const std::string& spec) {
    told.kubectl({"patch", "pgu", "app", "--type=merge", "-p", "{\"spec\":" + spec + "}"});
}

TEST(Story, OneObjectCarriesAVersionChangeForthAndBackAndForthAndFinishes) {
    Stage stage;
    Clients clients(stage);
    clients.hold_the_copy();
    stage.start_operator();
    Transcript told(stage, "story.md", "The life of a version change, as kubectl tells it");
    told.step("Begin",
              "The sample as it is, beside an old server of 15. Clients come through the Service from the moment "
              "it leads to the proxy: a ledger of four that write and keep account.");
    told.kubectl({"apply", "-f", kSample});
    ASSERT_TRUE(clients.come());
    told.look();

    ASSERT_TRUE(stage.until_phase("Switched"));
    told.step("Switched", "The new server was filled, has caught up, and serves.");
    told.look();
    expect_agreement(stage, "green", 1, 1);
    EXPECT_EQ(stage.condition("RollbackReady"), "True");

    told.step("Rolled back", "With what was written meanwhile.");
    wish(told, R"({"cutover":"Rollback"})");
    ASSERT_TRUE(stage.until_phase("RolledBack"));
    told.look();
    expect_agreement(stage, "blue", 2, 1);

    told.step("Switched again", "And the clients go; nothing was lost, nothing doubled, no error seen.");
    wish(told, R"({"cutover":"WhenCaughtUp"})");
    ASSERT_TRUE(stage.until_phase("Switched"));
    told.look();
    expect_agreement(stage, "green", 3, 1);
    clients.leave();

    EXPECT_TRUE(stage.exists("deployment/postgres-old")) << "the old server went too early";
    told.step("Finished", "The way back is given up, and the old Deployment goes.");
    wish(told, R"({"finish":"AfterWatch","watch":{"duration":"1s"}})");
    ASSERT_TRUE(stage.until([&] { return stage.condition("Terminal", "reason") == "Finished"; }, "it rests"));
    told.look();
    EXPECT_EQ(stage.look("{.status.phase}"), "Finished");
    EXPECT_FALSE(stage.exists("deployment/postgres-old")) << "the old server stands yet";
    expect_agreement(stage, "green", 3, 0);
    told.kubectl({"describe", "pgu", "app"});

    told.step("Deleted", "The server that clients use stays; the proxy goes.");
    told.kubectl({"delete", "pgu", "app", "--timeout=90s"});
    told.kubectl({"get", "deployments,statefulsets,services"});
    EXPECT_TRUE(stage.exists("statefulset/app-green")) << "the server that serves was removed";
    EXPECT_FALSE(stage.exists("deployment/app-turnout"));
    EXPECT_EQ(stage.stop_operator(), 0);
}

}  // namespace
}  // namespace turnout::apiserver
