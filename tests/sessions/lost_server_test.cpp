// The old server goes while sessions still have their backends there, behind a gate that has opened to the new one.
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <thread>

#include "plane.hpp"
#include "protocol/frontend_messages.hpp"

namespace turnout::test {
namespace {

class LostServer : public testing::Test {
  protected:
    LostServer() {
        const auto make = [](const char* name) {
            auto cluster =
                std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .name = name, .fsync = false});
            cluster->execute("CREATE TYPE mood AS ENUM ('sad', 'happy')");
            return cluster;
        };
        auto green = std::async(std::launch::async, make, "green");
        blue_ = make("blue");
        green_ = green.get();
        plane_ = std::make_unique<Plane>(*blue_, *green_);
    }

    void open() {
        ASSERT_EQ(plane_->close().get().outcome, control::DrainReport::Outcome::drained);
        ASSERT_TRUE(plane_->claim());
        plane_->open_to_other();
    }
    /// As a shutdown does it: with a FATAL.
    void end_backends_on_blue() {
        const std::string others = " FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> ";
        blue_->execute("SELECT pg_terminate_backend(pid)" + others + "pg_backend_pid()");
        while (blue_->value("SELECT count(*)" + others + "pg_backend_pid()") != "0") std::this_thread::yield();
    }
    static std::string prepare(std::string_view name, std::string_view sql) {
        std::string bytes;
        append(bytes, protocol::Parse{name, sql, {}});
        protocol::append_sync(bytes);
        return bytes;
    }
    static std::string execute(std::string_view name) {
        std::string bytes;
        protocol::Bind bind;
        bind.statement = name;
        append(bytes, bind);
        append(bytes, protocol::Execute{});
        protocol::append_sync(bytes);
        return bytes;
    }

    std::unique_ptr<support::Cluster> blue_, green_;
    std::unique_ptr<Plane> plane_;
};

TEST_F(LostServer, SessionsGoOnWithWhatWasBroughtBefore) {
    auto clean = plane_->client(), holder = plane_->client(), late = plane_->client();
    clean->value("SET work_mem = '5MB'");
    holder->value("SELECT pg_advisory_lock(5)");
    holder->value("LISTEN news");
    plane_->arm();
    // It was not there to be described when the session was armed.
    late->send(prepare("late", "SELECT current_setting('port'), 'happy'::mood"));
    EXPECT_EQ(late->replies(), "1 Z(I)");
    open();
    end_backends_on_blue();
    const std::string green = std::to_string(green_->port());
    EXPECT_EQ(clean->value("SHOW work_mem"), "5MB");
    EXPECT_EQ(clean->value("SELECT pg_try_advisory_lock(5)"), "f");
    late->send(execute("late"));
    EXPECT_NE(late->transcript(1).find(green), std::string::npos);
    EXPECT_EQ(plane_->finish_moves().failed, 0U);
    EXPECT_EQ(clean->value("NOTIFY news"), "");
    EXPECT_EQ(holder->next(1), "A");
    EXPECT_EQ(holder->value("SHOW port"), green);
}

TEST_F(LostServer, WhatWasSetSinceIsNotLostInSilence) {
    auto a = plane_->client(), bystander = plane_->client();
    plane_->arm();
    a->value("SET work_mem = '5MB'");
    open();
    end_backends_on_blue();
    const control::MoveReport moved = plane_->finish_moves();
    const std::string last = a->transcript_to_the_end();
    EXPECT_NE(last.find("57P01"), std::string::npos) << last;
    EXPECT_NE(last.find("its state has changed since"), std::string::npos) << last;
    EXPECT_EQ(moved.failed, 1U);
    EXPECT_EQ(bystander->value("SHOW port"), std::to_string(green_->port()));
}

}  // namespace
}  // namespace turnout::test
