// Control is killed, and servers crash, at random moments of a switch; then everything goes on and nothing is missing.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "control/switch_report.hpp"
#include "tests/switching/rig.hpp"

namespace turnout::control::test {
namespace {

using namespace std::chrono_literals;

class Interrupted : public SwitchingTest {
  protected:
    Interrupted() : random_(seed()) {}

    /// A moment of a switch: most of it is preparation, so half of the time one near the window is chosen.
    std::chrono::microseconds moment(std::chrono::microseconds usual) {
        const auto span = std::max<std::int64_t>(usual.count(), 1000);
        if (random_() % 2 == 0) return std::chrono::microseconds(random_() % static_cast<std::uint64_t>(span));
        return std::chrono::microseconds(span - span / 10 + static_cast<std::int64_t>(random_() % 30000));
    }

    /// How long a switch takes here until its window.
    std::chrono::microseconds measure() {
        const SwitchReport report = change();
        EXPECT_TRUE(report.window) << to_text(report);
        std::chrono::microseconds until_window{0};
        for (const TimedPhase& phase : report.preparation) until_window += phase.took;
        return until_window;
    }

    std::mt19937_64 random_;
};

TEST_F(Interrupted, by_the_death_of_control) {
    const auto usual = measure();
    std::map<std::string, int> ends;
    for (int i = 0; i < 12; ++i) {
        const Side before = active();
        auto switching = process_->thread.begin(change_later());
        const auto when = moment(usual);
        const bool finished = switching.wait_for(when) == std::future_status::ready;
        kill_process();
        start_process();
        if (HasFatalFailure()) return;
        ++ends[finished ? "was over" : active() == before ? "old side" : "new side"];
        settle_all();
        const SwitchReport report = change();
        ASSERT_TRUE(report.window) << "the next one does not succeed: " << to_text(report);
    }
    for (const auto& [end, times] : ends) fmt::print("{}: {}\n", end, times);
    audit();
}

/// A server that goes away takes its clients' connections along, of course; what they were told stays true.
TEST_F(Interrupted, by_the_crash_of_a_server) {
    const auto usual = measure();
    std::map<std::string, int> ends;
    for (int i = 0; i < 12; ++i) {
        support::Cluster& victim = random_() % 2 == 0 ? *blue_ : *green_;
        auto switching = process_->thread.begin(change_later());
        switching.wait_for(moment(usual));
        victim.crash();
        victim.start();
        const SwitchReport report = switching.get();
        ++ends[fmt::format("{} ({} crashed)", name(report.outcome), &victim == &server(report.from) ? "from" : "to")];
        settle_all();
        if (HasFailure()) return;
    }
    for (const auto& [end, times] : ends) fmt::print("{}: {}\n", end, times);
    ASSERT_TRUE(change().window);
    audit();
}

}  // namespace
}  // namespace turnout::control::test
