// Cancels at every moment, also while the sessions are moved from one server to the other and back.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "plane.hpp"

namespace turnout::test {
namespace {

class Cancels : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        const auto make = [](const char* name) {
            return std::make_unique<support::Cluster>(
                support::ClusterOptions{.major = 15, .name = name, .fsync = false});
        };
        blue_ = make("blue");
        green_ = make("green");
    }
    static void TearDownTestSuite() {
        green_.reset();
        blue_.reset();
    }
    static std::unique_ptr<support::Cluster> blue_, green_;
};

std::unique_ptr<support::Cluster> Cancels::blue_;
std::unique_ptr<support::Cluster> Cancels::green_;

/// Does something over and over on a thread of its own, until it is stopped.
class Background {
  public:
    explicit Background(std::function<void()> what)
        : thread_([this, what = std::move(what)] {
              for (; !over_.load(); ++times_) what();
          }) {}
    ~Background() { (void)stop(); }
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;
    /// Returns how often it was done.
    std::size_t stop() {
        over_ = true;
        if (thread_.joinable()) thread_.join();
        return times_.load();
    }

  private:
    std::atomic<bool> over_{false};
    std::atomic<std::size_t> times_{0};
    std::thread thread_;
};

/// Somebody who presses Ctrl-C until something happens: a cancel that overtakes its statement hits nothing.
void cancel_until_answered(RawClient& client) {
    while (!client.has_something()) client.cancel();
}

TEST_F(Cancels, HitTheirOwnStatementsWhereverTheseAre) {
    Plane plane(*blue_, *green_);
    // State to be carried makes a move last: questions on the old backend, a replay on the new one.
    auto victim = plane.client();
    auto bystander = plane.client();
    for (auto* client : {victim.get(), bystander.get()})
        EXPECT_EQ(client->value("SELECT set_config('app.tenant', 'x', false)"), "x");

    Background switching([&] { plane.change(); });
    Background beside([&] { EXPECT_EQ(bystander->value("SELECT 'mine' FROM pg_sleep(0.002)"), "mine"); });
    for (int round = 0; round < 40; ++round) {
        // Each leaves something to be read and carried anew.
        victim->query("SET app.round = 'r'; SELECT pg_sleep(600)");
        cancel_until_answered(*victim);
        const std::string answer = victim->replies();
        EXPECT_TRUE(answer == "C T E(57014) Z(I)" || answer == "C E(57014) Z(I)" || answer == "E(57014) Z(I)")
            << answer;
        EXPECT_EQ(victim->value("SELECT current_setting('app.tenant')"), "x");
    }
    EXPECT_GT(switching.stop(), 0U);
    EXPECT_GT(beside.stop(), 0U);
}

TEST_F(Cancels, OfAnIdleSessionHitNobody) {
    Plane plane(*blue_, *green_);
    auto a = plane.client();
    auto b = plane.client();
    a->query("SELECT 'slept' FROM pg_sleep(0.2)");
    plane.wait_for_state(a->pid(), "active");
    for (int i = 0; i < 20; ++i) b->cancel();
    EXPECT_EQ(a->replies(), "T D C Z(I)");
    EXPECT_EQ(b->value("SELECT 1"), "1");
}

}  // namespace
}  // namespace turnout::test
