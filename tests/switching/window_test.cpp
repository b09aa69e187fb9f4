// The whole control path on two real servers, without the proxy: switches forth and back under writers, and the account
// at the end.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "control/catalog.hpp"
#include "control/switch_report.hpp"
#include "tests/switching/rig.hpp"

namespace turnout::control::test {
namespace {

using namespace std::chrono_literals;

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

/// Somebody makes a table while the schemas are being compared, or between that and the switch.
TEST_F(SwitchingTest, what_is_changed_behind_the_comparison_of_the_schemas_makes_it_refuse) {
    SwitchOptions wanted = options();
    wanted.schema_marks = process_->thread.await(read_schema_marks(process_->cluster, Side::blue));
    server(Side::blue).execute("CREATE TABLE made_meanwhile (id int PRIMARY KEY)", "app");
    const SwitchReport report = process_->thread.await(process_->switcher.run(wanted, {}));
    EXPECT_EQ(name(report.outcome), "refused") << to_text(report);
    EXPECT_EQ(active(), Side::blue);
    audit();
}

/// The last moment before the gate closes: everything was read, nothing will be read again that could tell.
class JustBeforeTheGate : public SwitchingTest {
  protected:
    SwitchReport change_with(const std::string& sql) {
        return process_->thread.await(process_->switcher.run(options(), [this, sql](const std::string& phase) {
            if (phase == "intent") server(Side::blue).execute(sql, "app");
        }));
    }
};

TEST_F(JustBeforeTheGate, a_change_of_the_schema_makes_it_refuse) {
    const SwitchReport report = change_with(
        "BEGIN READ WRITE; CREATE ROLE maker; GRANT CREATE ON SCHEMA public TO maker; SET LOCAL ROLE maker; "
        "CREATE TABLE public.made_meanwhile (id int PRIMARY KEY); COMMIT");
    EXPECT_EQ(name(report.outcome), "refused") << to_text(report);
    ASSERT_EQ(report.problems.size(), 1U);
    EXPECT_EQ(report.problems[0], "app: the schema on blue was changed");
    EXPECT_EQ(active(), Side::blue);
    audit();
}

TEST_F(JustBeforeTheGate, temporary_tables_and_what_is_undone_again_do_not) {
    const SwitchReport report = change_with(
        "BEGIN READ WRITE; CREATE TEMPORARY TABLE scratch (id serial PRIMARY KEY); DROP TABLE scratch; COMMIT; "
        "BEGIN READ WRITE; CREATE TABLE never (id int); ROLLBACK; "
        "BEGIN READ WRITE; CREATE TABLE gone (id int); DROP TABLE gone; COMMIT");
    EXPECT_EQ(name(report.outcome), "switched") << to_text(report);
    audit();
}

/// Whoever ends just now takes the processor that the opening wants.
TEST_F(SwitchingTest, the_disabled_streams_workers_end_behind_the_opening) {
    std::string waits_for;
    const StepWatch watch = [&](const SwitchStep& step, StepMoment moment) {
        if (moment != StepMoment::before || !std::holds_alternative<step::OpenGate>(step)) return;
        const auto patience = Clock::now() + 1s;
        while (waits_for != "relation" && Clock::now() < patience) {
            waits_for = server(Side::green)
                            .value(
                                "SELECT coalesce(max(wait_event), 'nobody') FROM pg_stat_activity WHERE "
                                "backend_type ~ '^logical replication (apply )?worker$' AND datname = 'app'");
        }
    };
    Switcher switcher(process_->cluster, process_->plane, process_->state_file, watch);
    const SwitchReport report = process_->thread.await(switcher.run(options(), {}));
    EXPECT_EQ(name(report.outcome), "switched") << to_text(report);
    EXPECT_TRUE(report.left_over.empty()) << to_text(report);
    EXPECT_EQ(waits_for, "relation");
    audit();
}

/// As a process does that was stopped before a switch which another one has made since.
TEST_F(SwitchingTest, whoever_wakes_late_touches_nothing_of_a_side_that_was_left) {
    ASSERT_TRUE(change().window);
    const auto fences = [this] {
        return server(Side::blue).value("SELECT string_agg(setconfig::text, ' ') FROM pg_db_role_setting");
    };
    const std::string fenced = fences();
    EXPECT_NE(fenced.find("default_transaction_read_only=on"), std::string::npos) << fenced;

    const reply::Settled late = process_->thread.await(process_->switcher.settle(Side::blue, 1, Clock::now() + 30s));
    ASSERT_EQ(late.left.size(), 1U);
    EXPECT_NE(late.left[0].find("nothing was touched"), std::string::npos) << late.left[0];
    EXPECT_EQ(fences(), fenced) << "two writable sides";

    SwitchOptions replaced = options();
    replaced.in_charge = [] { return false; };
    const SwitchReport report = process_->thread.await(process_->switcher.run(replaced, [](const std::string&) {}));
    EXPECT_EQ(report.outcome, SwitchOutcome::refused) << to_text(report);
    EXPECT_NE(report.message.find("lock on green"), std::string::npos) << report.message;
    EXPECT_EQ(active(), Side::green);
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
