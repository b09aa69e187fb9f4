// Who leads, in simulated time.
#include "control/kubernetes/election.hpp"

#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <optional>
#include <string>

#include "control/kubernetes/fields.hpp"

namespace turnout::kubernetes {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

/// The one lease, and a time that both candidates share; their wall clocks differ.
struct World {
    std::optional<json::object> lease;
    Election::Steady::time_point now{1h};
    int version = 1;

    /// True if the candidate leads afterwards. `lost`: its write does not arrive.
    bool round(Election& candidate, WallClock::time_point wall, bool lost = false) {
        if (auto write = candidate.next(lease, now, wall); write && !lost) {
            json::object meta = object_in(write->object, {"metadata"});
            meta["resourceVersion"] = std::to_string(++version);
            write->object["metadata"] = meta;
            lease = write->object;
            candidate.written(*lease, now);
        }
        return candidate.leads(now);
    }
};

const WallClock::time_point kWall(std::chrono::seconds(1'800'000'000));

TEST(Election, TheFirstOneLeadsAndTheSecondWaits) {
    World world;
    Election a("lease", "a");
    Election b("lease", "b");
    EXPECT_TRUE(world.round(a, kWall));
    for (int second = 0; second < 120; second += 2) {
        EXPECT_FALSE(world.round(b, kWall + world.now.time_since_epoch()));
        EXPECT_TRUE(world.round(a, kWall + world.now.time_since_epoch()));
        world.now += 2s;
    }
}

TEST(Election, ASilentLeaderIsReplacedButNeverOverlappedWhateverTheClocksSay) {
    for (const auto skew : {-5h, 0h, 5h}) {
        World world;
        Election a("lease", "a");
        Election b("lease", "b");
        ASSERT_TRUE(world.round(a, kWall + skew));
        bool taken = false;
        for (int second = 0; second < 40 && !taken; ++second) {
            world.now += 1s;
            taken = world.round(b, kWall);
            EXPECT_FALSE(taken && a.leads(world.now)) << "two leaders after " << second << " s";
        }
        EXPECT_TRUE(taken);
        EXPECT_EQ(number_in(*world.lease, {"spec", "leaseTransitions"}), 1);
        EXPECT_FALSE(world.round(a, kWall + skew));
    }
}

TEST(Election, ClocksThatDifferByHoursChangeNothing) {
    for (const auto skew : {-5h, 5h}) {
        World world;
        Election a("lease", "a");
        Election b("lease", "b");
        ASSERT_TRUE(world.round(a, kWall + skew));
        for (int second = 0; second < 60; second += 2) {
            world.now += 2s;
            ASSERT_FALSE(world.round(b, kWall + second * 1s));
            ASSERT_TRUE(world.round(a, kWall + skew + second * 1s));
        }
    }
}

TEST(Election, OneWhoseRenewalsAreLostStopsActingBeforeAnotherMayBegin) {
    World world;
    Election a("lease", "a");
    Election b("lease", "b");
    ASSERT_TRUE(world.round(a, kWall));
    ASSERT_FALSE(world.round(b, kWall));
    Election::Steady::time_point stopped = world.now;
    bool taken = false;
    for (int second = 0; second < 40 && !taken; ++second) {
        world.now += 1s;
        if (world.round(a, kWall, true)) stopped = world.now;
        taken = world.round(b, kWall);
        EXPECT_FALSE(taken && a.leads(world.now));
    }
    EXPECT_TRUE(taken);
    EXPECT_LT(stopped + 4s, world.now) << "the two were too close";
}

TEST(Election, WhoGivesUpLetsTheNextOneInAtOnce) {
    World world;
    Election a("lease", "a");
    Election b("lease", "b");
    ASSERT_TRUE(world.round(a, kWall));
    world.lease = a.released();
    EXPECT_FALSE(a.leads(world.now));
    EXPECT_TRUE(world.round(b, kWall));
}

TEST(Election, AfterARestartUnderTheSameNameItLeadsAgainAtOnce) {
    World world;
    Election before("lease", "a");
    ASSERT_TRUE(world.round(before, kWall));
    Election after("lease", "a");
    EXPECT_TRUE(world.round(after, kWall));
}

}  // namespace
}  // namespace turnout::kubernetes
