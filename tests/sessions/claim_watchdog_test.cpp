// Behind a claim the gate's deadline opens nothing any more; a control that hangs there must not hold everybody for
// ever.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <thread>

#include "plane.hpp"
#include "proxy/proxy.hpp"

namespace turnout::test {
namespace {

using namespace std::chrono_literals;

/// Never returns: the process is ended.
void claim_and_hang() {
    boost::asio::io_context control;
    OpenDoor door;
    const auto plane = proxy::make_data_plane(control.get_executor(), door);
    control::DataPlaneSettings settings;
    settings.workers = 2;
    settings.claim_watchdog = 500ms;
    plane->start(settings);
    plane->serve(Side::blue, 1);
    control::CloseRequest request;
    do {
        ++request.attempt;
        request.deadline = control::Clock::now() + 200ms;
        plane->close_gate(request, [](const control::DrainReport&) {});
    } while (!plane->claim(request.attempt));
    for (;;) std::this_thread::sleep_for(1h);
}

TEST(ClaimWatchdog, EndsAProcessWhoseControlHangsAfterItsClaim) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(claim_and_hang(), testing::ExitedWithCode(70), "");
}

}  // namespace
}  // namespace turnout::test
