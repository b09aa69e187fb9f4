// A hundred thousand lives of two servers and their proxies in simulated time: switches forth and back under writers,
// while statements are lost, late, refused and forgotten, servers crash and freeze, networks part, activations become
// visible late, and proxies die or come back as zombies. What was acknowledged is there in the end, once; nobody waits
// longer than max_pause except for an activation of unknown outcome; only one side is written to.
//
// Most lives are short: one or two switches and what happens to them. The seed of a failure is printed; TURNOUT_SEED=n
// runs that life alone; TURNOUT_FIRST_SEED and TURNOUT_LIVES choose others.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/simulation/life.hpp"

namespace turnout::simulation {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kParts = 4;  // run beside each other
constexpr std::uint64_t kLives = kSanitized ? 40 : 25'000;

struct Totals {
    std::uint64_t lives = 0, acknowledged = 0, switched = 0, given_up = 0, cleared_up = 0, forward = 0;
};

/// What is wrong in the end, or nothing.
std::string live(std::uint64_t seed, Totals& totals) {
    World world(seed);
    if (std::getenv("TURNOUT_SEED") != nullptr) world.tell_all();
    Ground ground(world);
    Life life(ground);
    const bool is_long = world.chance(0.01);
    const Duration pause = is_long ? 700ms : 250ms;
    ground.trouble = world.chance(0.3) ? 0 : world.chance(0.5) ? 0.02 : 0.15;
    world.after(world.between(1ms, 50ms), [&] { life.operate(150ms); });
    life.trouble(pause);
    const auto begin = world.now();
    world.run_until(begin + (is_long ? 3000ms : 300ms));
    life.peace();
    ground.trouble = 0;
    life.rest(60s);
    const std::string wrong = life.account();
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

class SwitchSimulation : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SwitchSimulation, keeps_every_promise_in_every_life) {
    const bool one = std::getenv("TURNOUT_SEED") != nullptr;
    const std::uint64_t lives = one ? 1 : number("TURNOUT_LIVES", kLives);
    const std::uint64_t first = one ? number("TURNOUT_SEED", 1) : number("TURNOUT_FIRST_SEED", 1) + GetParam() * lives;
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
INSTANTIATE_TEST_SUITE_P(Parts, SwitchSimulation, testing::Range(std::uint64_t{0}, kParts));

}  // namespace
}  // namespace turnout::simulation
