// Thousands of lives of two servers and their proxies in simulated time: switches forth and back under writers, while
// statements are lost, late, refused and forgotten, servers crash and freeze, activations become visible late, and
// proxies die or come back as zombies. What was acknowledged is there in the end, once; nobody waits longer than
// max_pause except for an activation of unknown outcome; only one side is written to.
//
// The seed of a failure is printed; TURNOUT_SEED=n runs that life alone; TURNOUT_FIRST_SEED
// and TURNOUT_LIVES choose others.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/simulation/proxy.hpp"

namespace turnout::simulation {
namespace {

using namespace std::chrono_literals;

/// One life: trouble for some seconds, then peace, then the account.
class Life {
  public:
    Life(std::uint64_t seed, Ground& ground) : world_(ground.world), ground_(ground) {
        ground_.trouble = world_.chance(0.3) ? 0 : world_.chance(0.5) ? 0.02 : 0.15;
        (void)seed;
        found_the_pair();
        begin_process();
        apply();
        world_.after(world_.between(1ms, 50ms), [this] { operate(); });
        world_.after(world_.between(1ms, 800ms), [this] { make_trouble(); });
    }

    /// What is wrong, or nothing.
    std::string run() {
        const auto begin = world_.now();
        world_.run_until(begin + 3s);
        peaceful_ = true;
        ground_.trouble = 0;
        world_.run_until(begin + 7s);
        return world_.violation().empty() ? account() : world_.violation();
    }

  private:
    /// Blue serves with generation 1, green follows; both streams stand.
    void found_the_pair() {
        Server& blue = ground_.server(Side::blue);
        Server& green = ground_.server(Side::green);
        blue.arm({1, 0});
        blue.activate({1, 0});
        blue.subscription.narrowed = true;
        green.fenced = true;
        ground_.state_file = {1, std::nullopt};
    }

    void begin_process() {
        if (process_) {
            if (world_.chance(0.5)) {
                process_->kill();
            } else {
                zombies_.push_back(process_);
                process_->stop();
                world_.after(world_.between(1ms, 3s), [zombie = process_] { zombie->wake(); });
            }
        }
        process_ = std::make_shared<Proxy>(ground_);
        process_->start();
    }

    /// Both apply workers look again and again.
    void apply() {
        ground_.server(Side::green).apply_from(ground_.server(Side::blue));
        ground_.server(Side::blue).apply_from(ground_.server(Side::green));
        world_.after(world_.between(100us, 1ms), [this] { apply(); });
    }

    /// An operator who switches whenever that is possible.
    void operate() {
        if (process_->serving() && !process_->switching() && !peaceful_) process_->begin_switch();
        world_.after(world_.between(5ms, 150ms), [this] { operate(); });
    }

    void make_trouble() {
        if (peaceful_) return;
        Server& server = ground_.servers[world_.pick(2)];
        switch (world_.pick(4)) {
            case 0: begin_process(); break;
            case 1:
                if (!server.up()) break;
                server.crash();
                world_.after(world_.between(1ms, 700ms), [&server] { server.start(); });
                break;
            case 2:
                if (!server.answers()) break;
                server.freeze();
                world_.after(world_.between(1ms, 700ms), [&server] { server.thaw(); });
                break;
            default: break;
        }
        world_.after(world_.between(20ms, 700ms), [this] { make_trouble(); });
    }

    std::string account() const {
        if (!process_->serving()) return "nobody is served in the end";
        if (process_->switching()) return "a switch does not end";
        if (!process_->settled()) return "it does not settle";
        const Server& active = ground_.servers[index(process_->side())];
        const Server& standby = ground_.servers[index(other(process_->side()))];
        for (const std::int64_t token : ground_.acknowledged) {
            if (active.tokens().count(token) == 0) return fmt::format("acknowledged write {} is lost", token);
        }
        // Writers go on, so the standby may lack the last few.
        std::size_t missing = 0;
        for (const std::int64_t token : active.tokens()) missing += standby.tokens().count(token) == 0 ? 1 : 0;
        if (missing > 50) return fmt::format("{} writes have not reached the standby", missing);
        for (const std::int64_t token : standby.tokens()) {
            if (active.tokens().count(token) == 0) return fmt::format("write {} stands on the standby only", token);
        }
        return {};
    }

    World& world_;
    Ground& ground_;
    std::shared_ptr<Proxy> process_;
    std::vector<std::shared_ptr<Proxy>> zombies_;
    bool peaceful_ = false;
};

struct Totals {
    std::uint64_t lives = 0, acknowledged = 0, switched = 0, given_up = 0, cleared_up = 0, forward = 0;
};

std::string live(std::uint64_t seed, Totals& totals) {
    World world(seed);
    if (std::getenv("TURNOUT_SEED") != nullptr) world.tell_all();
    Ground ground(world);
    Life life(seed, ground);
    const std::string wrong = life.run();
    ++totals.lives;
    totals.acknowledged += ground.acknowledged.size();
    totals.switched += ground.switched;
    totals.given_up += ground.given_up;
    totals.cleared_up += ground.cleared_up;
    totals.forward += ground.recovered_forward;
    return wrong;
}

std::uint64_t number(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(SwitchSimulation, keeps_every_promise_in_every_life) {
    const bool one = std::getenv("TURNOUT_SEED") != nullptr;
    const std::uint64_t first = number("TURNOUT_SEED", number("TURNOUT_FIRST_SEED", 1));
    const std::uint64_t lives = one ? 1 : number("TURNOUT_LIVES", 150);
    fmt::print("TURNOUT_SEED={} and the {} that follow\n", first, lives - 1);
    Totals totals;
    for (std::uint64_t seed = first; seed < first + lives; ++seed) {
        const std::string wrong = live(seed, totals);
        ASSERT_TRUE(wrong.empty()) << wrong << "\nTURNOUT_SEED=" << seed << " shows it again";
    }
    fmt::print(
        "{} lives: {} writes acknowledged, {} switched, {} given up or refused, {} outcomes cleared up, {} taken "
        "forward by recovery\n",
        totals.lives, totals.acknowledged, totals.switched, totals.given_up, totals.cleared_up, totals.forward);
    if (!one) {
        EXPECT_GT(totals.switched, 0U);
        EXPECT_GT(totals.cleared_up + totals.forward, 0U) << "the hard cases did not come up";
    }
}

}  // namespace
}  // namespace turnout::simulation
