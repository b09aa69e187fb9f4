// `kubectl delete` in each phase: it ends, what was made goes by reclaimPolicy, clients keep the server they have.
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
        stage_.keep_operator();
    }

    support::Cluster& old() { return stage_.kubelet->server("deployments/postgres-old"); }

    void apply(const char* cutover, bool retain) {
        stage_.apply(std::string(R"({"cutover":")") + cutover + R"(","reclaimPolicy":")" +
                     (retain ? "Retain" : "Delete") + "\"}");
    }

    void remove() {
        stage_.plane.must({"delete", "pgu", "app", "--wait=false"});
        EXPECT_TRUE(stage_.until([this] { return stage_.gone(); }, "it is gone"));
    }

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

TEST_F(Deletion, WhileTablesAreCopied) {
    for (const bool retain : {true, false}) {
        // The copy waits for this lock as long as it is held.
        const bench::Connection holder = bench::connect(old().conninfo("app"));
        bench::run(holder.get(), "BEGIN; LOCK TABLE things IN ACCESS EXCLUSIVE MODE");
        apply("WhenCaughtUp", retain);
        ASSERT_TRUE(
            stage_.until([&] { return stage_.condition("Replicating", "reason") == "Copying"; }, "it is copied"));
        remove();  // although the copy cannot go on
        bench::run(holder.get(), "ROLLBACK");
        ASSERT_TRUE(stage_.until([this] { return old().value("SELECT count(*) FROM pg_replication_slots") == "0"; },
                                 "what waited for the table is gone"));
        expect_as_before(retain);
    }
}

TEST_F(Deletion, WhileItFollows) {
    for (const bool retain : {true, false}) {
        apply("Manual", retain);
        ASSERT_TRUE(stage_.until_phase("CaughtUp"));
        remove();
        expect_as_before(retain);
    }
}

class DeletionByPolicy : public Deletion, public testing::WithParamInterface<bool> {};

TEST_P(DeletionByPolicy, AfterARollback) {
    apply("WhenCaughtUp", GetParam());
    ASSERT_TRUE(stage_.until_phase("Switched"));
    stage_.patch(R"({"cutover":"Rollback"})");
    ASSERT_TRUE(stage_.until_phase("RolledBack"));
    remove();
    expect_as_before(GetParam());
}

TEST_P(DeletionByPolicy, OnceSwitchedTheNewServerStaysWithItsVolume) {
    apply("WhenCaughtUp", GetParam());
    ASSERT_TRUE(stage_.until_phase("Switched"));
    remove();
    for (const char* const object : {"statefulset/app-green", "service/app-green", kVolume, "deployment/postgres-old"})
        EXPECT_TRUE(stage_.exists(object)) << object;
    for (const char* const object : {"deployment/app-turnout", "service/app-turnout", "secret/app-turnout",
                                     "configmap/app-turnout", "pvc/app-turnout", "service/app-blue"})
        EXPECT_FALSE(stage_.exists(object)) << object;
    const support::Cluster& green = stage_.kubelet->server("statefulsets/app-green");
    EXPECT_EQ(stage_.kubelet->network().leads_to("postgres", 5432), green.port());
    for (const char* const what : {"pg_subscription", "pg_replication_slots"}) {
        EXPECT_EQ(green.value(std::string("SELECT count(*) FROM ") + what), "0") << what;
        EXPECT_EQ(old().value(std::string("SELECT count(*) FROM ") + what), "0") << what;
    }
    expect_clients_write();
    EXPECT_EQ(green.value("SELECT note FROM things WHERE id = 1", "app"), "written");
}

INSTANTIATE_TEST_SUITE_P(Policies, DeletionByPolicy, testing::Bool(),
                         [](const auto& policy) { return policy.param ? "Retain" : "Delete"; });

}  // namespace
}  // namespace turnout::apiserver
