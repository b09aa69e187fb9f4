// When a switch closes its gate: at a moment with few busy sessions, and in any case.
#include "proxy/lull.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace turnout::proxy {
namespace {

using namespace std::chrono_literals;

class LullTest : public testing::Test {
  protected:
    bool tell(std::size_t worker, std::size_t busy, control::Milliseconds at) {
        return lull_.tell(worker, busy, control::Clock::time_point(at));
    }

    std::optional<bool> found_;
    Lull lull_{2, control::Clock::time_point(10ms), [this](bool found) {
                   EXPECT_FALSE(found_.has_value());
                   found_ = found;
               }};
};

TEST_F(LullTest, NobodyBusyIsTheMomentAtOnce) {
    EXPECT_TRUE(tell(0, 0, 0ms)) << "the other worker has not told yet";
    EXPECT_FALSE(tell(1, 0, 0ms));
    EXPECT_EQ(found_, true);
}

TEST_F(LullTest, AsFewAsThereWereBefore) {
    for (const std::size_t busy : {3U, 2U, 4U}) EXPECT_TRUE(tell(0, busy, 1ms));
    EXPECT_TRUE(tell(1, 2, 2ms));
    EXPECT_TRUE(tell(0, 1, 9ms)) << "it only learns: 3 at the least";
    EXPECT_TRUE(tell(0, 2, 10ms));
    EXPECT_FALSE(tell(1, 1, 11ms));
    EXPECT_EQ(found_, true);
    EXPECT_FALSE(tell(1, 0, 12ms));
    lull_.give_up();
}

TEST_F(LullTest, AWorkerThatNeverTellsIsNotTakenForIdle) {
    EXPECT_TRUE(tell(0, 5, 1ms));
    EXPECT_TRUE(tell(0, 0, 20ms));
    EXPECT_FALSE(found_.has_value());
}

TEST_F(LullTest, NoneIsFoundWhileNoneIsWanted) {
    lull_.want(false);
    EXPECT_TRUE(tell(0, 0, 0ms));
    EXPECT_TRUE(tell(1, 0, 20ms));
    EXPECT_FALSE(found_.has_value());
    lull_.want(true);
    EXPECT_EQ(found_, true) << "it lasts";
    EXPECT_FALSE(tell(1, 1, 21ms));
}

TEST_F(LullTest, OneIsNotFoundByWantingIt) {
    lull_.want(true);
    EXPECT_TRUE(tell(0, 1, 1ms));
    EXPECT_TRUE(tell(1, 1, 1ms));
    lull_.want(false);
    EXPECT_TRUE(tell(0, 0, 2ms)) << "one is the least from here on";
    EXPECT_TRUE(tell(0, 2, 3ms));
    lull_.want(true);
    EXPECT_FALSE(found_.has_value());
    EXPECT_FALSE(tell(0, 0, 10ms));
    EXPECT_EQ(found_, true);
}

TEST_F(LullTest, ItIsGivenUpWhenItsTimeHasPassed) {
    EXPECT_TRUE(tell(0, 1, 1ms));
    EXPECT_TRUE(tell(1, 0, 1ms));
    EXPECT_TRUE(tell(0, 2, 30ms));
    lull_.give_up();
    EXPECT_EQ(found_, false);
    EXPECT_FALSE(tell(0, 0, 31ms));
}

}  // namespace
}  // namespace turnout::proxy
