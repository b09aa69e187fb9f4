#include "control/kubernetes/work_queue.hpp"

#include <gtest/gtest.h>

namespace turnout::kubernetes {
namespace {

using namespace std::chrono_literals;
const WorkQueue::Time kNow{1h};

TEST(WorkQueue, ANameIsLookedAtByOneAtATimeAndNotForgotten) {
    WorkQueue queue;
    queue.add("a", kNow);
    queue.add("a", kNow);
    EXPECT_EQ(queue.take(kNow), "a");
    queue.add("a", kNow);  // something happened meanwhile
    EXPECT_EQ(queue.take(kNow), std::nullopt);
    EXPECT_EQ(queue.next(), std::nullopt);
    queue.done("a");
    EXPECT_EQ(queue.take(kNow), "a");
    queue.done("a");
    EXPECT_EQ(queue.take(kNow), std::nullopt);
}

TEST(WorkQueue, TheEarlierDueTimeCounts) {
    WorkQueue queue;
    queue.add_at("a", kNow + 10s);
    EXPECT_EQ(queue.take(kNow), std::nullopt);
    queue.add_at("a", kNow + 5s);
    queue.add_at("a", kNow + 20s);
    EXPECT_EQ(queue.next(), kNow + 5s);
    EXPECT_EQ(queue.take(kNow + 5s), "a");
}

TEST(WorkQueue, FailuresInARowWaitLongerAndLongerUpToAMinute) {
    WorkQueue queue;
    auto last = 0ms;
    for (int i = 0; i < 20; ++i) {
        queue.failed("a", kNow);
        const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(*queue.next() - kNow);
        EXPECT_GE(wait, last);
        EXPECT_LE(wait, WorkQueue::kMost);
        last = wait;
        ASSERT_EQ(queue.take(kNow + 1min), "a");
        queue.done("a");
    }
    EXPECT_EQ(last, WorkQueue::kMost);
    queue.succeeded("a");
    queue.failed("a", kNow);
    EXPECT_EQ(queue.next(), kNow + WorkQueue::kLeast);
}

}  // namespace
}  // namespace turnout::kubernetes
