#include "control/kubernetes/spec.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "tests/kubernetes/objects.hpp"

namespace turnout::kubernetes {
namespace {

namespace json = boost::json;

TEST(Spec, NeedsAnImageDatabasesTheOldHostAndCredentials) {
    const ParsedSpec parsed = parse_spec({});
    std::vector<std::string> fields;
    for (const SpecProblem& problem : parsed.problems) fields.push_back(problem.field);
    EXPECT_EQ(fields, (std::vector<std::string>{"spec.image", "spec.databases", "spec.olddbhost",
                                                "spec.credentials.secretName"}));
}

TEST(Spec, HasTheThesisFieldsWithTheirMeaning) {
    const ParsedSpec parsed = parse_spec(json::parse(R"({
        "image": "registry:5000/postgres:15.3-alpine", "dbname": "shop", "subname": "sub", "pubname": "pub",
        "olddbhost": "old", "olddbport": 5433, "finishsync": true, "killdeployments": true,
        "oldWorkload": {"name": "postgres-old"}, "credentials": {"secretName": "superuser"}})")
                                             .as_object());
    ASSERT_TRUE(parsed.problems.empty()) << parsed.problems.front().text();
    const Spec& spec = parsed.spec;
    EXPECT_EQ(spec.major, 15);
    EXPECT_EQ(spec.databases, std::vector<std::string>{"shop"});
    EXPECT_EQ(spec.old_host, "old");
    EXPECT_EQ(spec.old_port, 5433);
    EXPECT_EQ(spec.cutover, Cutover::when_caught_up);
    EXPECT_TRUE(spec.retire_old);
    EXPECT_EQ(spec.old_workload, (WorkloadName{"Deployment", "postgres-old"}));
}

struct Wrong {
    const char* change;  ///< merged into the sample
    const char* field;
    const char* says;
};
void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.change; }

class WrongSpec : public testing::TestWithParam<Wrong> {};

TEST_P(WrongSpec, IsRefusedByTheNameOfItsFieldWithARemedy) {
    json::object spec = sample_spec();
    const json::value change = json::parse(GetParam().change);
    for (const auto& [field, value] : change.as_object()) spec[field] = value;
    const ParsedSpec parsed = parse_spec(spec);
    ASSERT_EQ(parsed.problems.size(), 1u);
    EXPECT_EQ(parsed.problems.front().field, GetParam().field);
    EXPECT_NE(parsed.problems.front().message.find(GetParam().says), std::string::npos)
        << parsed.problems.front().message;
}

INSTANTIATE_TEST_SUITE_P(
    Table, WrongSpec,
    testing::Values(Wrong{R"({"image": "postgres:latest"})", "spec.image", "such as postgres:17"},
                    Wrong{R"({"image": "registry:5000/postgres"})", "spec.image", "such as postgres:17"},
                    Wrong{R"({"databases": []})", "spec.databases", "dbname"},
                    Wrong{R"({"databases": ["postgres"]})", "spec.databases", "leave it out"},
                    Wrong{R"({"databases": "app"})", "spec.databases", "list"},
                    Wrong{R"({"olddbport": 70000})", "spec.olddbport", "1 to 65535"},
                    Wrong{R"({"olddbport": "5432"})", "spec.olddbport", "whole number"},
                    Wrong{R"({"cutover": "Now"})", "spec.cutover", "WhenCaughtUp"},
                    Wrong{R"({"maxPause": "fast"})", "spec.maxPause", "100ms"},
                    Wrong{R"({"deadline": "0s"})", "spec.deadline", "duration"},
                    Wrong{R"({"policies": {"pinned": "kill"}})", "spec.policies.pinned", "refuse"},
                    Wrong{R"({"watch": {"rollbackIf": "errors=many"}})", "spec.watch.rollbackIf", "latency=200%"},
                    Wrong{R"({"killdeployments": true})", "spec.killdeployments", "oldWorkload"},
                    Wrong{R"({"oldWorkload": {"kind": "Pod", "name": "x"}})", "spec.oldWorkload.kind", "Deployment"},
                    Wrong{R"({"tls": {"mode": "require"}})", "spec.tls.secretName", "tls.crt"},
                    Wrong{R"({"verify": "yes"})", "spec.verify", "true or false"},
                    Wrong{R"({"reclaimPolicy": "Recycle"})", "spec.reclaimPolicy", "Retain"}));

TEST(Spec, AnExplicitCutoverWinsOverFinishsync) {
    json::object spec = sample_spec();
    spec["finishsync"] = true;
    spec["cutover"] = "Rollback";
    EXPECT_EQ(parse_spec(spec).spec.cutover, Cutover::rollback);
}

TEST(Spec, WhatCannotChangeIsNamedWithTheValueToGoBackTo) {
    json::object changed = sample_spec();
    changed["image"] = "postgres:18";
    changed["maxPause"] = "50ms";
    const auto problems = changed_fields(frozen_fields(parse_spec(sample_spec()).spec), parse_spec(changed).spec);
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_EQ(problems.front().field, "spec.image");
    EXPECT_NE(problems.front().message.find("\"postgres:17\""), std::string::npos);
}

TEST(Spec, NothingIsFrozenBeforeItHasBegun) { EXPECT_TRUE(changed_fields({}, parse_spec(sample_spec()).spec).empty()); }

}  // namespace
}  // namespace turnout::kubernetes
