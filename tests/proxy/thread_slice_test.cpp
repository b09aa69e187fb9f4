#include "proxy/thread_slice.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <thread>

namespace turnout::proxy {
namespace {

TEST(ThreadSlice, LeavesTheNicenessAsItIs) {
    std::thread([] {
        const int nice = ::getpriority(PRIO_PROCESS, 0) + 3;
        ASSERT_EQ(::setpriority(PRIO_PROCESS, 0, nice), 0);
        for (const bool on : {true, false}) {
            shorten_slices(on);
            EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), nice);
        }
    }).join();
}

}  // namespace
}  // namespace turnout::proxy
