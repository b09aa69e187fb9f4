#include "control/kubernetes/status.hpp"

#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <chrono>

namespace turnout::kubernetes {
namespace {

const WallClock::time_point kNow(std::chrono::seconds(1'800'000'000));

TEST(Status, IsReadAsItWasWritten) {
    Status status;
    status.observed_generation = 3;
    status.phase = Phase::switched;
    status.active = "green";
    status.turnout_generation = 2;
    status.lag_bytes = 4096;
    status.lag_read = time_text(kNow);
    status.window = Window{1180, 2, "blue", "green", "/var/lib/turnout/reports/x.html"};
    status.watched_since = time_text(kNow);
    status.frozen = {{"image", "postgres:17"}};
    status.request = {"WhenCaughtUp", true, 1};
    status.kept = "green";
    status.set(condition::ready, Truth::yes, "Switched", "clients are served by the new server", kNow);
    EXPECT_EQ(parse_status(to_json(status)), status);
}

TEST(Status, HasWhatThePrinterColumnsShow) {
    Status status;
    status.lag_bytes = 3 * 1024 * 1024;
    status.window = Window{1180, 2, "blue", "green", ""};
    const auto json = to_json(status);
    EXPECT_EQ(json.at("phase").as_string(), "Pending");
    EXPECT_EQ(json.at("lag").as_string(), "3 MB");
    EXPECT_EQ(json.at("window").as_string(), "1.2 ms");
}

TEST(Status, AConditionKeepsItsTimeUntilItsStatusChanges) {
    Status status;
    status.set("Ready", Truth::no, "Copying", "a", kNow);
    status.set("Ready", Truth::no, "Checking", "b", kNow + std::chrono::seconds(5));
    EXPECT_EQ(status.find("Ready")->since, "2027-01-15T08:00:00Z");
    EXPECT_EQ(status.find("Ready")->message, "b");
    status.set("Ready", Truth::yes, "Done", "c", kNow + std::chrono::seconds(7));
    EXPECT_EQ(status.find("Ready")->since, "2027-01-15T08:00:07Z");
}

TEST(Status, FiguresAndWordingAreTheSameStory) {
    Status one;
    one.set("Ready", Truth::no, "Copying", "1 of 3 tables", kNow);
    Status other = one;
    other.lag_bytes = 7;
    other.lag_read = "2027-01-15T08:00:00Z";
    other.set("Ready", Truth::no, "Copying", "2 of 3 tables", kNow);
    EXPECT_TRUE(same_story(one, other));
    other.set("Ready", Truth::no, "Checking", "", kNow);
    EXPECT_FALSE(same_story(one, other));
    other = one;
    other.request.turnout_generation = 3;
    EXPECT_FALSE(same_story(one, other)) << "what has to be known after a crash does not wait";
}

TEST(Status, WhatOthersLeftThereIsNoHarm) {
    const Status status = parse_status({{"phase", 7}, {"conditions", "none"}, {"lastWindow", boost::json::array{}}});
    EXPECT_EQ(status, Status{});
}

TEST(Times, AreReadInTheFormsThatTheApiWrites) {
    EXPECT_EQ(parse_time("2027-01-15T08:00:00Z"), kNow);
    EXPECT_EQ(parse_time("2027-01-15T08:00:00.123456Z"), kNow);
    EXPECT_EQ(time_text(kNow), "2027-01-15T08:00:00Z");
    for (const char* text : {"", "2027-01-15", "2027-01-15T08:00:00", "yesterdayT08:00:00Z"})
        EXPECT_EQ(parse_time(text), std::nullopt) << text;
}

}  // namespace
}  // namespace turnout::kubernetes
