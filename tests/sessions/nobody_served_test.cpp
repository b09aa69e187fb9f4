// While nobody is served everyone is told so, in words, whatever they were doing when it began.
#include <gtest/gtest.h>

#include "plane.hpp"
#include "protocol/startup.hpp"
#include "socket.hpp"

namespace turnout::test {
namespace {

class NobodyServed : public testing::Test {
  protected:
    NobodyServed() : server_({.major = 15, .fsync = false}), plane_(server_, server_) {}

    /// Returns when every worker knows.
    void serve_nobody() {
        plane_->serve_nobody("the servers are away", "Wait for them.");
        plane_.sessions();
    }
    static std::string everything_from(const Socket& socket) {
        std::string all;
        for (std::string more; !(more = socket.receive()).empty();) all += more;
        return all;
    }

    support::Cluster server_;
    Plane plane_;
};

TEST_F(NobodyServed, WhoIsLoggingInIsToldWhy) {
    const Socket socket(plane_.port());
    std::string request;
    append(request, protocol::SSLRequest{});
    socket.send(request);
    ASSERT_EQ(socket.receive(), "N");
    serve_nobody();
    protocol::StartupMessage startup;
    startup.parameters = {{"user", "postgres"}, {"database", "postgres"}};
    std::string packet;
    append(packet, startup);
    EXPECT_TRUE(socket.send(packet));
    const std::string answer = everything_from(socket);
    EXPECT_NE(answer.find("C57P03"), std::string::npos) << answer;
    EXPECT_NE(answer.find("the servers are away"), std::string::npos) << answer;
    EXPECT_NE(answer.find("Wait for them."), std::string::npos) << answer;
}

TEST_F(NobodyServed, WhoWaitsToBeLetInIsToldWhyWhenTheGateOpens) {
    auto drain = plane_.close();
    ASSERT_EQ(drain.get().outcome, control::DrainReport::Outcome::drained);
    const Socket socket(plane_.port());
    protocol::StartupMessage startup;
    startup.parameters = {{"user", "postgres"}, {"database", "postgres"}};
    std::string packet;
    append(packet, startup);
    socket.send(packet);
    while (plane_.sessions().empty()) {
    }
    serve_nobody();
    plane_.give_up();
    const std::string answer = everything_from(socket);
    EXPECT_NE(answer.find("the servers are away"), std::string::npos) << answer;
}

TEST_F(NobodyServed, WhoWasServedIsEnded) {
    const auto client = plane_.client();
    EXPECT_EQ(client->value("SELECT 1"), "1");
    serve_nobody();
    EXPECT_EQ(client->rest(), "E(57P01)");
    plane_->serve(Side::blue, 1);
    EXPECT_EQ(plane_.client()->value("SELECT 2"), "2");
}

}  // namespace
}  // namespace turnout::test
