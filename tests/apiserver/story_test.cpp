// The whole life of a version change, from one object, on a real API server with real servers, under a ledger's load.
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <string>

#include "bench/ledger.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

TEST(Story, OneObjectCarriesAVersionChangeForthAndBackAndForthAndFinishes) {
    Stage stage;
    bench::install_ledger(stage.conninfo());
    stage.start_operator();
    stage.apply(R"({"cutover":"Manual"})");

    ASSERT_TRUE(stage.until_phase("CaughtUp"));
    stage.tell("caught up");
    bench::LedgerSettings settings;
    settings.conninfo = stage.conninfo();
    settings.writers = 4;
    settings.pace.think = std::chrono::milliseconds(5);
    bench::Ledger ledger(settings);
    ledger.start();

    stage.patch(R"({"cutover":"WhenCaughtUp"})");
    ASSERT_TRUE(stage.until_phase("Switched"));
    stage.tell("switched");
    EXPECT_EQ(stage.look("{.status.active}"), "green");
    EXPECT_EQ(stage.condition("RollbackReady"), "True");

    stage.patch(R"({"cutover":"Rollback"})");
    ASSERT_TRUE(stage.until_phase("RolledBack"));
    stage.tell("rolled back");
    EXPECT_EQ(stage.look("{.status.active}"), "blue");

    stage.patch(R"({"cutover":"WhenCaughtUp"})");
    ASSERT_TRUE(stage.until_phase("Switched"));
    stage.tell("switched again");
    ledger.stop();
    stage.expect_nothing_noticed(ledger);

    EXPECT_TRUE(stage.plane.kubectl({"get", "deployment", "postgres-old"}).done()) << "the old server went too early";
    stage.patch(R"({"finish":"AfterWatch","watch":{"duration":"1s"}})");
    ASSERT_TRUE(stage.until_phase("Finished"));
    ASSERT_TRUE(stage.until([&] { return stage.condition("Terminal", "reason") == "Finished"; }, "it rests"));
    stage.tell("finished");
    EXPECT_FALSE(stage.plane.kubectl({"get", "deployment", "postgres-old"}).done()) << "the old server stands yet";
    EXPECT_EQ(stage.kubelet->starts("statefulsets/app-green"), 1);
    std::cout << stage.plane.kubectl({"describe", "pgu", "app"}).out << std::endl;

    stage.plane.must({"delete", "pgu", "app", "--timeout=90s"});
    EXPECT_TRUE(stage.plane.kubectl({"get", "statefulset", "app-green"}).done())
        << "the server that serves was removed";
    EXPECT_FALSE(stage.plane.kubectl({"get", "deployment", "app-turnout"}).done());
    EXPECT_EQ(stage.stop_operator(), 0);
}

}  // namespace
}  // namespace turnout::apiserver
