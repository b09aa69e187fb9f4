#include "tests/apiserver/agreement.hpp"

#include <gtest/gtest.h>

namespace turnout::apiserver {

namespace {

constexpr const char* kOld = "deployments/postgres-old";
constexpr const char* kNew = "statefulsets/app-green";

std::string number_of(const support::Cluster& server, const std::string& what, const char* database = "postgres") {
    return server.value("SELECT count(*) FROM " + what, database);
}

}  // namespace

Journals read_journals(const Stage& stage) {
    Journals found;
    for (const auto& [side, workload] : {std::pair("blue", kOld), std::pair("green", kNew)}) {
        if (!stage.kubelet->runs(workload)) continue;
        const support::Cluster& server = stage.kubelet->server(workload);
        if (server.value("SELECT to_regclass('turnout.journal') IS NOT NULL") != "t") continue;
        const std::string highest = server.value("SELECT max(generation) FROM turnout.journal WHERE state = 'active'");
        found.activations += std::stoi(number_of(server, "turnout.journal WHERE state = 'active'"));
        found.intent = found.intent || number_of(server, "turnout.intent") != "0";
        if (highest.empty() || std::stoll(highest) < found.generation) continue;
        found.generation = std::stoll(highest);
        found.active = side;
    }
    return found;
}

void expect_agreement(const Stage& stage, const std::string& active, int switches, int subscriptions) {
    const Journals journals = read_journals(stage);
    EXPECT_EQ(journals.active, active);
    // A side that is gone has taken its journal along.
    const bool whole = stage.kubelet->runs(kOld) && stage.kubelet->runs(kNew);
    if (whole) {
        EXPECT_EQ(journals.activations, 1 + switches) << "a switch was made twice, or not at all";
    }
    EXPECT_FALSE(journals.intent);
    EXPECT_EQ(stage.look("{.status.active}"), journals.active);
    EXPECT_EQ(stage.look("{.status.turnoutGeneration}"), std::to_string(journals.generation));
    for (const char* const workload : {kOld, kNew}) {
        if (!stage.kubelet->runs(workload)) continue;
        EXPECT_EQ(number_of(stage.kubelet->server(workload), "pg_subscription"), std::to_string(subscriptions))
            << workload;
    }
    EXPECT_EQ(stage.kubelet->starts(kNew), 1);
    EXPECT_EQ(stage.kubelet->starts("deployments/app-turnout"), 1);
}

}  // namespace turnout::apiserver
