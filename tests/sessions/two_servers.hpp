// Two servers that all tests of a suite share, and a data plane between them for each test.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <utility>

#include "plane.hpp"

namespace turnout::test {

/// The base of a suite's fixture, which calls set_up() with its schema in SetUpTestSuite(). By suite, so that those of
/// one do not stand in another's way.
template <class Suite>
class TwoServers : public testing::Test {
  protected:
    static void set_up(const char* schema) {
        const auto make = [schema](const char* name) {
            auto cluster =
                std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .name = name, .fsync = false});
            cluster->execute(schema);
            return cluster;
        };
        auto green = std::async(std::launch::async, make, "green");
        blue_ = make("blue");
        green_ = green.get();
    }
    static void TearDownTestSuite() {
        green_.reset();
        blue_.reset();
    }

    std::unique_ptr<RawClient> client() { return plane_.client(); }
    /// Closes the gate and opens it to the other side, where everybody goes with his next statement.
    void go(control::CloseRequest request = {}) {
        const control::DrainReport drained = plane_.close(std::chrono::minutes(1), std::move(request)).get();
        ASSERT_EQ(drained.outcome, control::DrainReport::Outcome::drained);
        ASSERT_TRUE(plane_.claim());
        plane_.open_to_other();
    }
    /// What its next statement finds.
    static std::string port_of(RawClient& client) { return client.value("SHOW port"); }
    static std::string port_of(const support::Cluster& cluster) { return std::to_string(cluster.port()); }

    static inline std::unique_ptr<support::Cluster> blue_, green_;
    Plane plane_{*blue_, *green_};
};

}  // namespace turnout::test
