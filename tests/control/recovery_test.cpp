// Who is served on start: the table of the design, row by row, for both directions; then what stands around it.
#include "control/recovery.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <ostream>

namespace turnout::control {
namespace {

/// What one side's journal says, in short: "active 1, intent 2".
class View {
  public:
    explicit View(Side side) {
        view_.side = side;
        view_.exists = true;
        view_.system_identifier = std::string(turnout::name(side)) + "'s own";
    }
    View& row(std::int64_t generation, JournalState state, std::int64_t attempt = 1) {
        JournalRow row;
        row.id = {generation, generation == 1 ? 0 : attempt};
        row.state = state;
        row.side = turnout::name(view_.side);
        row.system_identifier = view_.system_identifier;
        view_.rows.push_back(row);
        return *this;
    }
    View& active(std::int64_t generation) { return row(generation, JournalState::active); }
    View& armed(std::int64_t generation, std::int64_t attempt = 1) {
        return row(generation, JournalState::armed, attempt);
    }
    View& voided(std::int64_t generation) { return row(generation, JournalState::voided); }
    View& retired(std::int64_t generation) { return row(generation, JournalState::retired); }
    View& intent(std::int64_t generation) {
        view_.intent = AttemptId{generation, 1};
        return *this;
    }
    View& in_recovery() {
        view_.in_recovery = true;
        return *this;
    }
    View& another_server() {
        view_.system_identifier = "another";
        return *this;
    }
    View& finished() {
        view_.rows.back().finished = true;
        return *this;
    }
    operator JournalView() const { return view_; }  // NOLINT: it is one

  private:
    JournalView view_;
};

View blue() { return View(Side::blue); }
View green() { return View(Side::green); }
constexpr std::nullopt_t away = std::nullopt;

std::string text(const Decision& decision) {
    if (const auto* serve = std::get_if<decision::Serve>(&decision)) {
        return fmt::format("serve {} {}", turnout::name(serve->side), serve->generation);
    }
    if (const auto* ask = std::get_if<decision::Ask>(&decision)) {
        return fmt::format("ask {} {}", turnout::name(ask->side), ask->generation);
    }
    if (const auto* first = std::get_if<decision::Bootstrap>(&decision)) {
        return fmt::format("bootstrap {} {}", turnout::name(first->side), first->generation);
    }
    return std::get<decision::Nobody>(decision).needs_person ? "nobody, person" : "nobody, waits";
}

struct Row {
    const char* what;
    std::optional<JournalView> blue;
    std::optional<JournalView> green;
    ServedState state;
    const char* expected;
    friend std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.what; }
};

class RecoveryTable : public testing::TestWithParam<Row> {};

TEST_P(RecoveryTable, decides_as_designed) {
    const Row& row = GetParam();
    EXPECT_EQ(text(decide({row.blue, row.green}, row.state)), row.expected) << row.what;
}

/// The same with the colours exchanged: roles decide, names do not.
TEST_P(RecoveryTable, knows_no_colour) {
    const Row& row = GetParam();
    if (std::string_view(row.expected).starts_with("bootstrap")) return;
    const auto painted = [](std::optional<JournalView> view, Side side) {
        if (!view) return view;
        view->side = side;
        for (JournalRow& it : view->rows) {
            it.side = it.side == "blue" ? "green" : "blue";
        }
        return view;
    };
    std::string expected = row.expected;
    const bool was_blue = expected.find("blue") != std::string::npos;
    const std::string from = was_blue ? "blue" : "green";
    if (const auto at = expected.find(from); at != std::string::npos) {
        expected.replace(at, from.size(), was_blue ? "green" : "blue");
    }
    EXPECT_EQ(text(decide({painted(row.green, Side::blue), painted(row.blue, Side::green)}, row.state)), expected);
}

const Row kRows[] = {
    {"brand new", blue(), green(), {}, "bootstrap blue 1"},
    {"brand new, one side away: it might not be so", blue(), away, {}, "nobody, waits"},
    {"nothing can be reached", away, away, {}, "nobody, waits"},

    // A active n, no open intent, not retired; S reachable or not
    {"at rest", blue().active(1), green(), {1, {}}, "serve blue 1"},
    {"at rest, without the standby", blue().active(1), away, {1, {}}, "serve blue 1"},
    {"at rest, the file is gone", blue().active(1), green(), {}, "serve blue 1"},
    {"given up: the register is armed, the intent withdrawn",
     blue().active(1),
     green().armed(2),
     {1, {}},
     "ask green 2"},
    {"given up, without the standby", blue().active(1), away, {1, {}}, "serve blue 1"},
    {"switched and settled", blue().active(1).retired(2), green().active(2), {2, {}}, "serve green 2"},
    {"switched and settled, old side away", away, green().active(2), {2, {}}, "serve green 2"},
    {"rolled back", blue().active(1).retired(2).active(3), green().active(2).retired(3), {3, {}}, "serve blue 3"},
    {"rolled back, without the standby", blue().active(1).retired(2).active(3), away, {3, {}}, "serve blue 3"},
    {"an old intent does not count", blue().active(1).retired(2).active(3).intent(2), away, {3, {}}, "serve blue 3"},
    {"finished", away, green().active(2).finished(), {2, {}}, "serve green 2"},
    {"finished, a new server at the other address", blue(), green().active(2).finished(), {2, {}}, "serve green 2"},

    // A active n, intent g, S reachable
    {"intent, register not yet there", blue().active(1).intent(2), green(), {1, 2}, "ask green 2"},
    {"intent and armed", blue().active(1).intent(2), green().armed(2), {1, 2}, "ask green 2"},
    {"intent, void: as above", blue().active(1).intent(2), green().voided(2), {1, 2}, "serve blue 1"},
    {"intent, active: obey", blue().active(1).intent(2), green().active(2), {1, 2}, "serve green 2"},
    {"intent, active, file not yet", blue().active(1).intent(2), green().active(2), {1, 2}, "serve green 2"},
    {"on the way back", blue().active(1).retired(2).armed(3), green().active(2).intent(3), {2, 3}, "ask blue 3"},
    {"two attempts, the first void", blue().active(1).intent(3), green().voided(2), {1, 3}, "ask green 3"},
    {"the file alone knows of the attempt", blue().active(1), green(), {1, 2}, "ask green 2"},
    {"the file alone knows, and it is void", blue().active(1), green().voided(2), {1, 2}, "serve blue 1"},

    // A active n, intent g, S unreachable
    {"intent, standby away", blue().active(1).intent(2), away, {1, 2}, "nobody, waits"},
    {"intent, standby away, no file", blue().active(1).intent(2), away, {}, "nobody, waits"},
    {"the file alone knows, standby away", blue().active(1), away, {1, 2}, "nobody, waits"},

    // only S reachable
    {"alone: active, no intent", away, green().active(2), {1, 2}, "serve green 2"},
    {"alone: armed", away, green().armed(2), {1, 2}, "nobody, waits"},
    {"alone: void", away, green().voided(2), {1, {}}, "nobody, waits"},
    {"alone: nothing", away, green(), {1, {}}, "nobody, waits"},
    {"alone: retired", blue().active(1).retired(2), away, {2, {}}, "nobody, waits"},
    {"alone: retired, no file", blue().active(1).retired(2), away, {}, "nobody, waits"},
    {"alone: active, but less than the file", blue().active(1), away, {2, {}}, "nobody, waits"},

    // a person
    {"retired without an active elsewhere", blue().active(1).retired(2), green(), {1, {}}, "nobody, person"},
    {"retired above what the other says", blue().active(1).retired(4), green().active(2), {2, {}}, "nobody, person"},
    {"equal generations", blue().active(2), green().active(2), {2, {}}, "nobody, person"},
    {"the green server is another one",
     blue().active(1),
     green().active(2).another_server(),
     {1, {}},
     "nobody, person"},
    {"less than the file", blue().active(1), green(), {2, {}}, "nobody, person"},
    {"less than the file, journals empty", blue(), green(), {2, {}}, "nobody, person"},
    {"active in recovery", blue().active(1).in_recovery(), green(), {1, {}}, "nobody, person"},
    {"standby in recovery", blue().active(1), green().in_recovery(), {1, {}}, "nobody, person"},
    {"rows but no active", blue().voided(1), green().voided(2), {}, "nobody, person"},
};
INSTANTIATE_TEST_SUITE_P(Rows, RecoveryTable, testing::ValuesIn(kRows));

TEST(Recovery, swapped_urls_are_noticed) {
    JournalView at_blue = green().active(2);
    at_blue.side = Side::blue;
    const auto decision = decide({at_blue, std::nullopt}, {2, {}});
    EXPECT_EQ(text(decision), "nobody, person");
    EXPECT_NE(std::get<decision::Nobody>(decision).reason.find("swapped"), std::string::npos);
}

/// An open attempt is decided before anything else, so a crash at any point of a switch leads to one answer.
TEST(Recovery, obeys_whatever_the_register_says) {
    const JournalViews before{blue().active(1).intent(2), green().armed(2)};
    ASSERT_EQ(text(decide(before, {1, 2})), "ask green 2");
    EXPECT_EQ(text(decide({before[0], green().voided(2)}, {1, 2})), "serve blue 1");
    EXPECT_EQ(text(decide({before[0], green().active(2)}, {1, 2})), "serve green 2");
}

TEST(Recovery, counts_on_from_what_both_sides_have_seen) {
    EXPECT_EQ(next_attempt(blue().active(1), green()), (AttemptId{2, 1}));
    EXPECT_EQ(next_attempt(blue().active(1), green().armed(2, 7)), (AttemptId{2, 8})) << "a register is used again";
    EXPECT_EQ(next_attempt(blue().active(1), green().voided(2)), (AttemptId{3, 1})) << "a void number is not";
    EXPECT_EQ(next_attempt(green().active(2), blue().active(1).retired(2)), (AttemptId{3, 1}));
    EXPECT_EQ(next_attempt(blue().active(1).intent(5), green()), (AttemptId{6, 1}));
}

TEST(Recovery, force_active_goes_above_everything_it_can_see) {
    EXPECT_EQ(forced_generation({blue().active(1).intent(4), green().voided(2)}, {1, {}}), 5);
    EXPECT_EQ(forced_generation({std::nullopt, green()}, {3, 4}), 5);
    EXPECT_FALSE(forced_losses({blue().active(1), std::nullopt}, Side::blue).empty());
}

TEST(Recovery, names_the_phase_of_a_version_change) {
    const auto served = [](const JournalViews& views) { return std::get<decision::Serve>(decide(views, {})); };
    LifeFacts facts;
    EXPECT_EQ(name(life_phase(facts)), "uncertain");
    facts.served = served({blue().active(1), green()});
    EXPECT_EQ(name(life_phase(facts)), "new");
    facts.sync_runs = true;
    EXPECT_EQ(name(life_phase(facts)), "syncing");
    facts.sync_runs = false;
    facts.streams_ready = true;
    EXPECT_EQ(name(life_phase(facts)), "synced");
    facts.switch_runs = true;
    EXPECT_EQ(name(life_phase(facts)), "switching");
    facts.switch_runs = false;
    facts.served = served({blue().active(1).retired(2), green().active(2)});
    EXPECT_EQ(name(life_phase(facts)), "switched");
    facts.served = served({blue().active(1).retired(2).active(3), green().active(2).retired(3)});
    EXPECT_EQ(name(life_phase(facts)), "synced") << "rolled back: it is as before the switch";
    facts.served = served({std::nullopt, green().active(2).finished()});
    EXPECT_EQ(name(life_phase(facts)), "finished");
}

// ---------------------------------------------------------------------------------------------------- the state file

class StateFileTest : public testing::Test {
  protected:
    StateFileTest()
        : folder_(std::filesystem::temp_directory_path() /
                  fmt::format("turnout-state-{}-{}", ::getpid(),
                              testing::UnitTest::GetInstance()->current_test_info()->name())) {}
    ~StateFileTest() override { std::filesystem::remove_all(folder_); }
    std::filesystem::path path() const { return folder_ / "state"; }
    void write(const std::string& text) const {
        std::filesystem::create_directories(folder_);
        std::ofstream(path()) << text;
    }

    std::filesystem::path folder_;
};

TEST_F(StateFileTest, says_what_was_stored) {
    EXPECT_EQ(StateFile(path()).load(), (ServedState{0, {}})) << "missing: nothing was ever served";
    StateFile(path()).store({2, {}});
    EXPECT_EQ(StateFile(path()).load(), (ServedState{2, {}}));
    StateFile(path()).store({2, 3});
    EXPECT_EQ(StateFile(path()).load(), (ServedState{2, 3}));
    EXPECT_THROW(StateFile(path()).store({1, {}}), std::runtime_error) << "a process that was replaced";
    EXPECT_EQ(StateFile(path()).load(), (ServedState{2, 3}));
    StateFile file(path());
    file.forget();
    EXPECT_EQ(file.load(), (ServedState{0, {}}));
    file.forget();
}

TEST_F(StateFileTest, a_damaged_file_is_refused_and_not_taken_for_a_missing_one) {
    for (const char* text : {"", "x", "-1", "0", "2 2", "2 1", "2 3 4", "2 three", "2.5"}) {
        write(text);
        EXPECT_THROW(StateFile(path()).load(), std::runtime_error) << '"' << text << '"';
    }
}

TEST_F(StateFileTest, a_place_that_cannot_be_written_is_named) {
    write("2\n");
    try {
        StateFile(path() / "below a file").store({3, {}});
        FAIL() << "stored below a file";
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find(path().string()), std::string::npos);
    }
}

TEST_F(StateFileTest, without_a_path_it_remembers_for_the_process) {
    StateFile file("");
    file.store({4, 5});
    EXPECT_EQ(file.load(), (ServedState{4, 5}));
}

}  // namespace
}  // namespace turnout::control
