// A session is armed while its client goes: the login at the standby outlasts it.
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "hostile_server.hpp"
#include "plane.hpp"

namespace turnout::test {
namespace {

TEST(Arming, ClientThatGoesWhileItLogsInOnTheStandbyIsNobodyToTheWindow) {
    const support::Cluster blue({.major = 15, .name = "blue", .fsync = false});
    const support::Cluster green({.major = 15, .name = "green", .fsync = false});
    blue.execute("CREATE ROLE mallory LOGIN");
    HostileServer standby(green.port());
    std::promise<void> logging_in, go_on, hung_up;
    standby.play([&](const Socket& login) {
        logging_in.set_value();
        go_on.get_future().wait();
        login.send(welcome());
        while (!login.receive().empty()) {
        }
        hung_up.set_value();
    });
    Plane plane(blue.port(), standby.port());
    auto bystander = plane.client();
    plane.arm();
    auto mallory = plane.client("mallory");
    logging_in.get_future().wait();
    mallory.reset();
    while (plane.sessions().size() > 1) std::this_thread::yield();
    go_on.set_value();
    hung_up.get_future().wait();
    EXPECT_EQ(plane.close().get().outcome, control::DrainReport::Outcome::drained);
    EXPECT_TRUE(plane.claim());
    plane.open_to_other();
    EXPECT_EQ(plane.finish_moves().failed, 0U);
    EXPECT_EQ(bystander->value("SHOW port"), std::to_string(green.port()));
}

}  // namespace
}  // namespace turnout::test
