// What the operator makes of a console's answers.
#include "control/kubernetes/console_link.hpp"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <stdexcept>
#include <string>

#include "control/report.hpp"
#include "control/show.hpp"

namespace turnout::kubernetes {
namespace {

TEST(ConsoleLink, ReadsTheStatusThatTheConsoleShows) {
    control::StatusFacts facts;
    facts.served = control::decision::Serve{Side::green, 2, false, true};
    facts.phase = control::LifePhase::switched;
    facts.running = "verify";
    control::StreamLag lag;
    lag.database = "app";
    lag.bytes = 4096;
    facts.lag = {lag};
    const TurnoutStatus status = read_status(boost::json::serialize(control::show_status(facts).json));
    EXPECT_EQ(status.phase, "switched");
    EXPECT_EQ(status.active, "green");
    EXPECT_EQ(status.generation, 2);
    EXPECT_EQ(status.running, "verify");
    EXPECT_EQ(status.lag_bytes, 4096);
}

TEST(ConsoleLink, WhatIsNoStatusIsAnError) {
    EXPECT_THROW(read_status("[]"), std::runtime_error);
    EXPECT_THROW(read_status("{}"), std::runtime_error);
}

TEST(ConsoleLink, TellsTheRefusalsOfACheckWithTheirRemedies) {
    control::PreflightReport report;
    control::Finding finding;
    finding.check = "replica_identity";
    finding.severity = control::Severity::refuse;
    finding.database = "app";
    finding.objects = {"public.t"};
    finding.sentence = "tables without one";
    finding.remedy = "ALTER TABLE";
    report.findings = {finding};
    finding.severity = control::Severity::warn;
    report.findings.push_back(finding);
    const auto answer = control::check_answer(report, control::PreflightStage::before_sync);
    const VerbResult result = read_answer(Verb::check, boost::json::serialize(answer.json));
    EXPECT_EQ(result.refusals,
              std::vector<std::string>{"replica_identity: app: tables without one (public.t): ALTER TABLE"});
}

TEST(ConsoleLink, ReadsTheWindowOfASwitch) {
    const VerbResult result = read_answer(
        Verb::switch_over,
        R"({"outcome":"switched","from":"blue","to":"green","generation":2,"window_us":1180,"attempts":1})");
    ASSERT_TRUE(result.window.has_value());
    EXPECT_EQ(*result.window, (Window{1180, 2, "blue", "green", ""}));
}

TEST(ConsoleLink, ReadsWhyASwitchWasLeftAgain) {
    const VerbResult result =
        read_answer(Verb::switch_over,
                    R"({"outcome":"rolled_back","from":"green","to":"blue","generation":3,"window_us":990,"attempts":1,
            "watch":{"rolled_back":true,"reason":"20 % of the requests fail"}})");
    EXPECT_EQ(result.undone, "20 % of the requests fail");
    EXPECT_EQ(result.window->to, "blue");
}

TEST(ConsoleLink, ARehearsalIsNoSwitch) {
    EXPECT_EQ(read_answer(Verb::switch_over, R"({"outcome":"rehearsed","generation":2,"window_us":1180})").window,
              std::nullopt);
}

}  // namespace
}  // namespace turnout::kubernetes
