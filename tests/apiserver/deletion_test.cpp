// `kubectl delete` before a switch: it ends, what was made goes by reclaimPolicy, clients keep the server they have.
#include <gtest/gtest.h>

#include <string>

#include "bench/pq.hpp"
#include "tests/apiserver/stage.hpp"

namespace turnout::apiserver {
namespace {

constexpr const char* kVolume = "pvc/data-app-green-0";

class Deletion : public testing::Test {
  protected:
    Deletion() {
        old().execute("CREATE TABLE things (id bigint PRIMARY KEY, note text)", "app");
        old().execute("INSERT INTO things SELECT g, 'a thing' FROM generate_series(1, 1000) g", "app");
        old().execute("GRANT ALL ON things TO app", "app");
        stage_.start_operator();
    }

    support::Cluster& old() { return stage_.kubelet->server("deployments/postgres-old"); }

    void remove() { stage_.plane.must({"delete", "pgu", "app", "--timeout=120s"}); }

    /// Nothing is left of the version change; the old server serves, and has nothing of turnout's that costs anything.
    void expect_as_before(bool volume) {
        for (const char* const object :
             {"statefulset/app-green", "service/app-green", "deployment/app-turnout", "service/app-turnout",
              "secret/app-turnout", "configmap/app-turnout", "pvc/app-turnout", "service/app-blue"})
            EXPECT_FALSE(stage_.exists(object)) << object;
        EXPECT_EQ(stage_.exists(kVolume), volume);
        EXPECT_EQ(stage_.kubelet->network().leads_to("postgres", 5432), old().port());
        for (const char* const what : {"pg_subscription", "pg_replication_slots"})
            EXPECT_EQ(old().value(std::string("SELECT count(*) FROM ") + what), "0") << what;
        EXPECT_EQ(old().value("SELECT count(*) FROM pg_publication", "app"), "0");
        expect_clients_write();
    }

    /// By the Service that they use.
    void expect_clients_write() {
        const bench::Connection client = bench::connect(stage_.conninfo());
        bench::run(client.get(), "UPDATE things SET note = 'written' WHERE id = 1");
        EXPECT_EQ(bench::number(client.get(), "SELECT count(*) FROM things"), 1000);
    }

    Stage stage_;
};

TEST_F(Deletion, WhileTheSpecIsWrong) {
    stage_.apply(R"({"image":"postgres:latest"})");
    ASSERT_TRUE(stage_.until([&] { return stage_.condition("Terminal", "reason") == "InvalidSpec"; }, "it is refused"));
    remove();
    expect_as_before(false);
}

TEST_F(Deletion, WhileTheNewServerDoesNotStart) {
    stage_.apply(R"({"image":"postgres:99","reclaimPolicy":"Delete"})");
    ASSERT_TRUE(stage_.until([&] { return stage_.condition("Ready", "reason") == "ServerFails"; }, "it cannot start"));
    EXPECT_TRUE(stage_.exists(kVolume));
    remove();
    expect_as_before(false);
}

TEST_F(Deletion, WhileItFollows) {
    for (const bool retain : {true, false}) {
        stage_.apply(std::string(R"({"cutover":"Manual","reclaimPolicy":")") + (retain ? "Retain" : "Delete") + "\"}");
        ASSERT_TRUE(stage_.until_phase("CaughtUp"));
        remove();
        expect_as_before(retain);
    }
}

}  // namespace
}  // namespace turnout::apiserver
