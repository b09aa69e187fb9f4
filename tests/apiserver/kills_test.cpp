// At every step that the operator takes it is killed, or the API server is, or both: the version change goes on,
// nothing is done twice, clients notice nothing, and the object says what PostgreSQL's journals say.
#include <gtest/gtest.h>

#include <iostream>
#include <sstream>
#include <string>

#include "tests/apiserver/agreement.hpp"
#include "tests/apiserver/blows.hpp"
#include "tests/apiserver/clients.hpp"
#include "tests/apiserver/shown.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

struct Killing {
    const char* name;
    Victim victim;
    const char* file;  ///< of the table: "killed-NAME.md"
    const char* how;
};
void PrintTo(const Killing& killing, std::ostream* out) { *out << killing.name; }

const Killing kOperator{"The operator", Victim::operator_alone, "killed-operator",
                        "before it was carried out, while a verb ran, and when it was carried out and the operator had "
                        "not heard of it"};
constexpr const char* kOnce =
    "when it was carried out and the operator had not heard of it, a verb's while it ran (what is made and removed "
    "beside a workload is passed over, since an API server takes seconds to start)";
const Killing kServer{"The API server", Victim::api_server, "killed-api-server", kOnce};
const Killing kBoth{"The API server with the operator", Victim::both, "killed-both", kOnce};

/// The table for people.
void show_table(const Blows& blows, const Killing& killing, const std::string& suffix, const std::string& life) {
    if (testing::Test::HasFailure()) return;
    std::ostringstream text;
    text << "# " << killing.name << " is killed at every step of " << life << "\n\n"
         << blows.count()
         << " times (SIGKILL), each at a step that the operator took for the first time: " << killing.how
         << "; and started again, etcd with what it had. Every time the life went on to its end, and nothing was done "
            "twice.\n\n";
    blows.print(text);
    std::cout << text.str();
    show(killing.file + suffix + ".md", text.str());
}

class KilledAtEachStep : public testing::TestWithParam<Killing> {};

TEST_P(KilledAtEachStep, AWholeLifeUnderLoadGoesOn) {
    Stage stage;
    Clients clients(stage);
    Blows blows(stage, GetParam().victim);
    blows.start_operator();
    stage.apply(R"({"cutover":"Manual"})");
    ASSERT_TRUE(blows.until_phase("CaughtUp"));
    expect_agreement(stage, "blue", 0, 1);

    ASSERT_TRUE(clients.come());
    stage.patch(R"({"cutover":"WhenCaughtUp"})");
    ASSERT_TRUE(blows.until_phase("Switched"));
    expect_agreement(stage, "green", 1, 1);
    stage.patch(R"({"cutover":"Rollback"})");
    ASSERT_TRUE(blows.until_phase("RolledBack"));
    expect_agreement(stage, "blue", 2, 1);
    stage.patch(R"({"cutover":"WhenCaughtUp"})");
    ASSERT_TRUE(blows.until_phase("Switched"));
    expect_agreement(stage, "green", 3, 1);
    clients.leave();

    stage.patch(R"({"finish":"AfterWatch","watch":{"duration":"1s"}})");
    ASSERT_TRUE(blows.until([&] { return stage.condition("Terminal", "reason") == "Finished"; }, "it rests"));
    expect_agreement(stage, "green", 3, 0);
    EXPECT_FALSE(stage.exists("deployment/postgres-old"));
    stage.plane.must({"delete", "pgu", "app", "--wait=false"});
    ASSERT_TRUE(blows.until([&] { return stage.gone(); }, "it is gone"));
    EXPECT_TRUE(stage.exists("statefulset/app-green")) << "the server that serves was removed";
    EXPECT_FALSE(stage.exists("deployment/app-turnout"));
    show_table(blows, GetParam(), "", "a life under load");
}

TEST_P(KilledAtEachStep, AnAbortedOneLeavesNothing) {
    Stage stage;
    Blows blows(stage, GetParam().victim);
    blows.start_operator();
    stage.apply(R"({"cutover":"Manual","reclaimPolicy":"Delete"})");
    ASSERT_TRUE(blows.until_phase("CaughtUp"));
    stage.patch(R"({"cutover":"Abort"})");
    ASSERT_TRUE(blows.until([&] { return stage.condition("Terminal", "reason") == "Aborted"; }, "it is aborted"));
    for (const char* const object :
         {"statefulset/app-green", "service/app-green", "pvc/data-app-green-0", "deployment/app-turnout",
          "service/app-turnout", "secret/app-turnout", "configmap/app-turnout", "pvc/app-turnout", "service/app-blue"})
        EXPECT_FALSE(stage.exists(object)) << object;
    const support::Cluster& blue = stage.kubelet->server("deployments/postgres-old");
    for (const char* const what : {"pg_subscription", "pg_replication_slots"})
        EXPECT_EQ(blue.value(std::string("SELECT count(*) FROM ") + what), "0") << what;
    EXPECT_EQ(stage.kubelet->network().leads_to("postgres", 5432), blue.port());
    stage.plane.must({"delete", "pgu", "app", "--wait=false"});
    ASSERT_TRUE(blows.until([&] { return stage.gone(); }, "it is gone"));
    show_table(blows, GetParam(), "-abort", "an abort");
}

INSTANTIATE_TEST_SUITE_P(Table, KilledAtEachStep, testing::Values(kOperator, kServer, kBoth));

}  // namespace
}  // namespace turnout::apiserver
