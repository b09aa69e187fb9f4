// What a client says right before its end is done and answered, as by a server: many a program sends all it has, says
// Terminate or ends its sending, and reads then.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "plane.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/startup.hpp"
#include "socket.hpp"

namespace turnout::test {
namespace {

using std::literals::string_literals::operator""s;

enum class End { terminate, half_closed };

/// Logs in, says all of it at once, and only then reads, to the end of the connection.
std::string answers(std::uint16_t port, std::string bytes, End end) {
    const Socket socket(port);
    protocol::StartupMessage startup;
    startup.parameters = {{"user", "postgres"}, {"database", "postgres"}};
    std::string first;
    append(first, startup);
    socket.send(first);
    std::string login;
    while (!login.ends_with("Z\0\0\0\5I"s)) {
        const std::string more = socket.receive();
        if (more.empty()) return "nobody was let in";
        login += more;
    }
    if (end == End::terminate) protocol::append_terminate(bytes);
    socket.send(bytes);
    if (end == End::half_closed) ::shutdown(socket.descriptor(), SHUT_WR);
    std::string answers;
    for (;;) {
        const std::string more = socket.receive();
        if (more.empty()) return answers;
        answers += more;
    }
}

class LastWords : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        server_ = std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .fsync = false});
        plane_ = std::make_unique<Plane>(*server_, *server_);
    }
    static void TearDownTestSuite() {
        plane_.reset();
        server_.reset();
    }

    /// The same from the server and through the proxy.
    static void expect_the_same(const std::string& bytes) {
        for (const End end : {End::terminate, End::half_closed}) {
            const std::string direct = answers(server_->port(), bytes, end);
            const std::string proxied = answers(plane_->port(), bytes, end);
            EXPECT_FALSE(direct.empty());
            EXPECT_EQ(proxied.size(), direct.size());
            EXPECT_TRUE(proxied == direct);
        }
    }

    static std::unique_ptr<support::Cluster> server_;
    static std::unique_ptr<Plane> plane_;
};
std::unique_ptr<support::Cluster> LastWords::server_;
std::unique_ptr<Plane> LastWords::plane_;

TEST_F(LastWords, AreAnsweredThoughNothingWasReadBefore) {
    expect_the_same(simple({"SELECT 1", "BEGIN", "SELECT 1/0", "ROLLBACK", "SELECT 2"}));
    expect_the_same(extended("SELECT 3") + extended("SELECT 1/0") + extended("SELECT 4", false));
    expect_the_same(simple({"SELECT pg_sleep(0.05)", "SELECT 5"}));
}

TEST_F(LastWords, AreAnsweredHoweverMuchThatIs) {
    expect_the_same(simple({"SELECT repeat('x', 1000) FROM generate_series(1, 20000)", "SELECT 6"}));
}

TEST_F(LastWords, AreDoneThoughNobodyListens) {
    const auto witness = plane_->client();
    EXPECT_EQ(witness->value("CREATE TABLE said (what text)"), "");
    {
        const auto gone = plane_->client();
        gone->send(simple({"SELECT pg_sleep(0.1)", "INSERT INTO said VALUES ('last')"}));
    }
    while (witness->value("SELECT count(*) FROM said") != "1") {
    }
    while (plane_->sessions().size() > 1) {
    }
}

}  // namespace
}  // namespace turnout::test
