// The whole control path on two real servers, without the proxy: switches forth and back under writers, and the account
// at the end.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "control/switch_report.hpp"
#include "tests/switching/rig.hpp"

namespace turnout::control::test {
namespace {

/// The middle of the windows' times by phase, for people.
class Times {
  public:
    void add(const SwitchReport& report) {
        if (report.window) all_["window"].push_back(*report.window);
        for (const TimedPhase& phase : report.phases) all_[std::string(phase.name)].push_back(phase.took);
        all_["settle"].push_back(report.settle);
    }
    ~Times() {
        for (const auto& [phase, times] : all_) {
            fmt::print("{:<10} p50 {:>7} us   p90 {:>7} us   max {:>7} us\n", phase, percentile(times, 50).count(),
                       percentile(times, 90).count(), percentile(times, 100).count());
        }
    }

  private:
    std::map<std::string, std::vector<Microseconds>> all_;
};

/// How often to switch: more than the test needs, to see the times.
int rounds(int usual) {
    const char* wanted = std::getenv("TURNOUT_SWITCHES");
    return wanted != nullptr ? std::atoi(wanted) : usual;
}

TEST_F(SwitchingTest, forth_and_back_under_writers_loses_and_doubles_nothing) {
    Times times;
    for (int i = 0; i < rounds(10); ++i) {
        const Side from = active();
        const SwitchReport report = change();
        ASSERT_EQ(name(report.outcome), from == Side::blue ? "switched" : "rolled_back") << to_text(report);
        EXPECT_EQ(report.generation, i + 2);
        EXPECT_EQ(active(), other(from));
        EXPECT_TRUE(report.left_over.empty()) << to_text(report);
        EXPECT_EQ(report.stray_transactions, 0U) << to_text(report);
        EXPECT_EQ(process_->state_file.load(), (ServedState{i + 2, {}}));
        times.add(report);
    }
    audit();
}

class TwoDatabases : public SwitchingTest {
  protected:
    TwoDatabases() : SwitchingTest({"app", "shop"}) {}
};

TEST_F(TwoDatabases, switch_together) {
    Times times;
    for (int i = 0; i < rounds(4); ++i) {
        const SwitchReport report = change();
        ASSERT_TRUE(report.window) << to_text(report);
        times.add(report);
    }
    audit();
}

}  // namespace
}  // namespace turnout::control::test
