// What a switch promises, as scripts: the good run, the same run going wrong at each step in each way, and the answers
// that lead elsewhere.
#include "control/switch_machine.hpp"

#include <gtest/gtest.h>

#include <array>
#include <utility>

#include "tests/control/switch_world.hpp"

namespace turnout::control::test {
namespace {

using Names = std::vector<std::string>;

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
bool has(const Names& names, std::string_view one) { return std::find(names.begin(), names.end(), one) != names.end(); }

std::vector<std::string> names_of(const std::vector<TimedPhase>& phases) {
    std::vector<std::string> names;
    for (const TimedPhase& phase : phases) names.emplace_back(phase.name);
    return names;
}

TEST(SwitchMachine, moves_everyone_to_the_new_side) {
    SwitchWorld world(two_databases());
    world.run();
    const SwitchReport& report = world.machine.report();
    EXPECT_EQ(name(report.outcome), "switched");
    EXPECT_EQ(report.exit_status(), ExitStatus::done);
    EXPECT_EQ(report.generation, 2);
    EXPECT_EQ(report.attempts, 1U);
    EXPECT_EQ(world.served, Side::green);
    EXPECT_TRUE(world.activation_active);
    EXPECT_EQ(world.sequences_set, 2);
    EXPECT_TRUE(world.clean());
    EXPECT_EQ(names_of(report.phases),
              (Names{"drain", "barrier", "sequences", "catch_up", "disable", "activate", "open"}));
    EXPECT_GT(report.window->count(), 0);
    EXPECT_TRUE(report.left_over.empty());
}

TEST(SwitchMachine, asks_for_its_steps_in_the_order_that_is_safe) {
    SwitchWorld world(two_databases());
    world.run();
    std::vector<std::string> asked = world.asked;
    asked.erase(std::remove(asked.begin(), asked.end(), "claim alive"), asked.end());
    EXPECT_EQ(asked, (Names{"recheck",
                            "park reverse stream",
                            "raise fence",
                            "bypassing",
                            "wait out transactions",
                            "bypassing",
                            "arm sessions",
                            "recheck",
                            "warm up",
                            "look at the moment",
                            "note attempt",
                            "write intent",
                            "register attempt",
                            "close gate",
                            "read facts",
                            "carry sequences",
                            "carry sequences",
                            "catch up",
                            "catch up",
                            "claim",
                            "disable forward streams",
                            "activate",
                            "open gate",
                            "note generation",
                            "settle",
                            "finish moves"}));
}

TEST(SwitchMachine, the_window_begins_when_the_gate_closed_and_not_when_that_was_asked_for) {
    SwitchRequest request = two_databases();
    request.max_pause = 5ms;
    SwitchWorld world(request);
    world.lull = 30ms;
    world.run();
    const SwitchReport& report = world.machine.report();
    EXPECT_EQ(name(report.outcome), "switched") << report.message;
    EXPECT_EQ(report.attempts, 1U);
    EXPECT_LT(*report.window, 5ms);
    EXPECT_LT(report.phases.front().took, 5ms) << "the drain";
}

/// The last warming may take as long as an attempt and a lull, and then the lull is waited for; who held up the drain
/// is known to the data plane alone.
TEST(SwitchMachine, a_data_plane_that_tells_at_its_latest_moment_is_not_forestalled) {
    const SwitchRequest request = two_databases();
    SwitchWorld world(request);
    world.feed(event::Start{});
    while (world.asked.back() != "close gate") world.step();
    const auto asked = world.now;
    const auto warming = request.max_pause + request.patience.lull;
    ASSERT_TRUE(world.machine.alarm().has_value());
    EXPECT_GT(*world.machine.alarm(), asked + warming + request.patience.lull + request.max_pause);
}

TEST(SwitchMachine, a_rollback_is_the_same_the_other_way) {
    SwitchRequest request = two_databases(SwitchKind::rollback);
    request.from = Side::green;
    SwitchMachine machine(request);
    EXPECT_EQ(machine.report().from, Side::green);
    EXPECT_EQ(machine.report().to, Side::blue);
    SwitchWorld world(two_databases(SwitchKind::rollback));
    world.run();
    EXPECT_EQ(name(world.machine.report().outcome), "rolled_back");
}

TEST(SwitchMachine, a_rehearsal_claims_nothing_ends_nobody_and_leaves_no_trace) {
    SwitchRequest request = two_databases(SwitchKind::rehearse);
    request.bypassing = Bypassing::end;
    SwitchWorld world(request);
    world.run();
    const SwitchReport& report = world.machine.report();
    EXPECT_EQ(name(report.outcome), "rehearsed");
    EXPECT_EQ(report.exit_status(), ExitStatus::done);
    EXPECT_TRUE(report.window.has_value());
    EXPECT_EQ(report.generation, 1);
    EXPECT_EQ(world.served, Side::blue);
    EXPECT_EQ(world.sequences_set, 0);
    EXPECT_EQ(world.ended, 0);
    EXPECT_TRUE(world.clean());
    for (const char* step : {"claim", "write intent", "register attempt", "note attempt"}) {
        EXPECT_FALSE(has(world.asked, step)) << step;
    }
}

// ------------------------------------------------------------------------------------------------- wrong at each step

struct WrongCase {
    SwitchKind kind;
    Wrong wrong;
    bool for_ever;
};

class WrongAtEachStep : public testing::TestWithParam<WrongCase> {};

TEST_P(WrongAtEachStep, everybody_is_served_by_one_side_and_nothing_is_left) {
    const WrongCase param = GetParam();
    SwitchWorld good(two_databases(param.kind));
    good.run();
    for (std::size_t at = 1; at <= good.asked.size(); ++at) {
        SCOPED_TRACE(fmt::format("step {} ({}) {}", at, good.asked[at - 1], name(param.wrong)));
        SwitchWorld world(two_databases(param.kind), Fault{at, param.wrong, param.for_ever});
        // Only the register ends a clear-up, so an activation that is never decided has no end: see below.
        world.run();
        const SwitchReport& report = world.machine.report();
        const bool moved = report.outcome == SwitchOutcome::switched;
        EXPECT_EQ(world.served, moved ? Side::green : Side::blue);
        EXPECT_EQ(world.activation_active, moved);
        EXPECT_EQ(world.gate, SwitchWorld::Gate::open);
        EXPECT_FALSE(world.armed && !moved);
        EXPECT_TRUE(world.clean() || !report.left_over.empty()) << report.message;
        EXPECT_FALSE(report.message.empty());
        if (testing::Test::HasFailure()) return;
    }
}

std::vector<WrongCase> wrong_cases() {
    std::vector<WrongCase> cases;
    for (const SwitchKind kind : {SwitchKind::forward, SwitchKind::rehearse}) {
        for (const Wrong wrong : kWrongs) {
            for (const bool for_ever : {false, true}) cases.push_back({kind, wrong, for_ever});
        }
    }
    return cases;
}

INSTANTIATE_TEST_SUITE_P(Ways, WrongAtEachStep, testing::ValuesIn(wrong_cases()), [](const auto& way) {
    std::string text = (way.param.kind == SwitchKind::forward ? "switch_" : "rehearsal_") + name(way.param.wrong) +
                       (way.param.for_ever ? "_for_ever" : "_once");
    for (char& c : text) c = (c == ' ' || c == ',') ? '_' : c;
    return text;
});

/// A step that goes wrong once before the claim costs an attempt, not the switch.
TEST(SwitchMachine, an_attempt_that_fails_is_repeated) {
    SwitchWorld good(two_databases());
    good.run();
    const auto first = std::find(good.asked.begin(), good.asked.end(), "warm up") - good.asked.begin();
    const auto last = std::find(good.asked.begin(), good.asked.end(), "activate") - good.asked.begin();
    for (auto at = static_cast<std::size_t>(first) + 1; at <= static_cast<std::size_t>(last) + 1; ++at) {
        SCOPED_TRACE(good.asked[at - 1]);
        SwitchWorld world(two_databases(), Fault{at, Wrong::refused, false});
        world.run();
        EXPECT_EQ(name(world.machine.report().outcome), "switched");
        const bool can_fail = good.asked[at - 1] != "claim" && good.asked[at - 1] != "claim alive";
        EXPECT_EQ(world.machine.report().missed.size(), can_fail ? 1U : 0U);
        EXPECT_TRUE(world.clean());
    }
}

// ---------------------------------------------------------------------------------------------------- attempts missed

reply::Drained held_up(DrainReport::Outcome outcome) {
    DrainReport report;
    report.outcome = outcome;
    SessionView view;
    view.id = 12;
    view.user = "app";
    view.database = "app";
    view.state = "idle in transaction";
    view.transaction = Microseconds(3'200'000);
    report.holding_up.push_back(view);
    return {report};
}

TEST(SwitchMachine, a_missed_attempt_tells_whom_it_waited_for) {
    SwitchWorld world(two_databases());
    world.instead.emplace_back("close gate", held_up(DrainReport::Outcome::expired));
    world.run();
    const SwitchReport& report = world.machine.report();
    EXPECT_EQ(name(report.outcome), "switched");
    EXPECT_EQ(report.attempts, 2U);
    ASSERT_EQ(report.missed.size(), 1U);
    EXPECT_EQ(report.missed[0].waited_for, (Names{"session 12: app on app, idle in transaction for 3.2 s"}));
}

TEST(SwitchMachine, pinned_sessions_are_waited_for_or_refused) {
    SwitchWorld waiting(two_databases());
    waiting.instead.emplace_back("close gate", held_up(DrainReport::Outcome::pinned));
    waiting.run();
    EXPECT_EQ(name(waiting.machine.report().outcome), "switched");

    SwitchRequest request = two_databases();
    request.pinned = PinnedPolicy::refuse;
    SwitchWorld refusing(request);
    refusing.instead.emplace_back("close gate", held_up(DrainReport::Outcome::pinned));
    refusing.run();
    EXPECT_EQ(name(refusing.machine.report().outcome), "refused");
    EXPECT_EQ(refusing.machine.report().exit_status(), ExitStatus::refused);
    EXPECT_FALSE(refusing.machine.report().problems.empty());
    EXPECT_TRUE(refusing.clean());
}

TEST(SwitchMachine, backs_off_longer_and_longer_until_the_deadline) {
    SwitchRequest request = two_databases();
    SwitchWorld world(request);
    for (int i = 0; i < 100; ++i) world.instead.emplace_back("close gate", held_up(DrainReport::Outcome::expired));
    const auto begin = world.now;
    world.run();
    const SwitchReport& report = world.machine.report();
    EXPECT_EQ(name(report.outcome), "given_up");
    EXPECT_LE(world.now - begin, request.deadline + 100ms);
    EXPECT_GE(report.attempts, 5U);
    EXPECT_LE(report.attempts, 12U) << "the pauses should grow";
    EXPECT_TRUE(has(report.message, "deadline"));
    EXPECT_TRUE(world.clean());
}

TEST(SwitchMachine, waits_for_a_good_moment) {
    SwitchWorld world(two_databases());
    for (int i = 0; i < 20; ++i) {
        world.instead.emplace_back("look at the moment", reply::Moment{100'000'000, Microseconds(0), {}, {}});
    }
    world.run();
    EXPECT_EQ(name(world.machine.report().outcome), "switched");
    EXPECT_EQ(std::count(world.asked.begin(), world.asked.end(), "look at the moment"), 21);
    EXPECT_EQ(world.machine.report().attempts, 1U) << "no gate was closed while the standby was far behind";
}

TEST(SwitchMachine, a_long_transaction_is_avoided_for_half_of_the_time_only) {
    SwitchWorld world(two_databases());
    for (int i = 0; i < 2000; ++i) {
        world.instead.emplace_back("look at the moment",
                                   reply::Moment{0, Microseconds(0), {}, {"pid 7 runs since an hour"}});
    }
    const auto begin = world.now;
    world.run();
    EXPECT_EQ(name(world.machine.report().outcome), "switched");
    EXPECT_GE(world.now - begin, 5s);
    EXPECT_LE(world.now - begin, 6s);
}

TEST(SwitchMachine, a_stream_that_does_not_stream_is_named_when_time_is_up) {
    SwitchWorld world(two_databases());
    for (int i = 0; i < 2000; ++i) {
        world.instead.emplace_back("look at the moment",
                                   reply::Moment{0, Microseconds(0), {"app does not stream"}, {}});
    }
    world.run();
    EXPECT_EQ(name(world.machine.report().outcome), "given_up");
    EXPECT_TRUE(has(world.machine.report().message, "app does not stream"));
    EXPECT_TRUE(world.clean());
}

/// Silence is not a lag of nothing.
TEST(SwitchMachine, a_look_that_never_ends_is_told_as_that) {
    const auto look_of_attempt = [](int attempt) {
        SwitchWorld world(two_databases());
        if (attempt > 1) world.instead.emplace_back("close gate", held_up(DrainReport::Outcome::expired));
        world.run();
        auto look = world.asked.begin();
        for (; attempt > 0; --attempt) look = std::find(look, world.asked.end(), "look at the moment") + 1;
        return static_cast<std::size_t>(look - world.asked.begin());
    };
    const std::size_t first = look_of_attempt(1);
    SwitchWorld never(two_databases(), Fault{first, Wrong::silent_lost, true});
    never.run();
    const SwitchReport& report = never.machine.report();
    EXPECT_EQ(name(report.outcome), "given_up");
    EXPECT_TRUE(has(report.message, "for 10.0 s green has not applied what was committed on blue")) << report.message;
    EXPECT_FALSE(has(report.message, "0 bytes")) << report.message;
    EXPECT_TRUE(has(report.hint, "the log of green")) << report.hint;
    EXPECT_TRUE(never.clean());

    SwitchWorld later(two_databases(), Fault{first + 1, Wrong::silent_lost, true});
    later.instead.emplace_back("look at the moment", reply::Moment{100'000'000, Microseconds(5), {}, {}});
    later.run();
    const std::string& message = later.machine.report().message;
    EXPECT_TRUE(has(message, "s green has not applied what was committed on blue")) << message;
    EXPECT_TRUE(has(message, "before that: the standby was 100000000 bytes and 5 µs behind")) << message;

    // What was seen before an earlier attempt is of the past.
    SwitchWorld again(two_databases(), Fault{look_of_attempt(2), Wrong::silent_lost, true});
    again.instead.emplace_back("close gate", held_up(DrainReport::Outcome::expired));
    again.run();
    EXPECT_EQ(again.machine.report().attempts, 1U);
    EXPECT_TRUE(has(again.machine.report().message, "s green has not applied")) << again.machine.report().message;
    EXPECT_FALSE(has(again.machine.report().message, "before that")) << again.machine.report().message;
}

/// Whatever ends a switch, or an attempt of it, is told in a sentence, and what to do in another.
TEST(SwitchMachine, what_stands_in_the_way_is_told_with_what_to_do) {
    const auto told = [](const std::string& step, SwitchReply reply, PinnedPolicy pinned = PinnedPolicy::wait) {
        SwitchRequest request = two_databases();
        request.pinned = pinned;
        SwitchWorld world(request);
        world.instead.emplace_back(step, std::move(reply));
        world.run();
        const SwitchReport& report = world.machine.report();
        std::string text = report.message + " / " + report.hint;
        for (const MissedAttempt& missed : report.missed) text += " / " + missed.why;
        return text;
    };
    reply::Armed armed;
    armed.report.not_movable.emplace_back();
    const std::array<std::pair<std::string, std::string>, 6> cases{{
        {told("recheck", reply::Rechecked{{"add public.t to the publication"}}),
         "not everything is carried to the standby / add public.t to the publication"},
        {told("bypassing", reply::Bypassing{{"pid 7"}}),
         "1 session reaches blue without this proxy / connect them through the proxy, or end them with "
         "--end-bypassing"},
        {told("bypassing", reply::Bypassing{{"pid 7", "pid 8"}}), "2 sessions reach blue without this proxy / "},
        {told("arm sessions", armed, PinnedPolicy::refuse),
         "some sessions cannot be moved / end them, or choose another --pinned policy: wait, or end"},
        {told("close gate", held_up(DrainReport::Outcome::pinned)), " / some sessions cannot be moved now"},
        {told("raise fence", reply::Failed{Outcome::refused, "it is refused"}),
         "fence: it is refused / mend what is named, and run the verb again"},
    }};
    for (const auto& [text, expected] : cases) EXPECT_TRUE(has(text, expected)) << text;
}

TEST(SwitchMachine, silence_is_told_by_its_phase) {
    const auto told = [](const std::string& step, bool for_ever) {
        SwitchWorld good(two_databases());
        good.run();
        const auto at = std::find(good.asked.begin(), good.asked.end(), step) - good.asked.begin();
        SwitchWorld world(two_databases(), Fault{static_cast<std::size_t>(at) + 1, Wrong::silent_lost, for_ever});
        world.run();
        const SwitchReport& report = world.machine.report();
        std::string text = report.message + " / " + report.hint;
        for (const MissedAttempt& missed : report.missed) text += " / " + missed.why;
        return text;
    };
    EXPECT_TRUE(
        has(told("raise fence", false), "the deadline passed during fence / give it more time with --deadline"));
    EXPECT_TRUE(has(told("catch up", false), " / the standby was not ready within max_pause"));
    EXPECT_TRUE(has(told("disable forward streams", false), " / the streams were not disabled within max_pause"));
    const std::string never = told("catch up", true);
    EXPECT_TRUE(has(never, "no attempt succeeded before the deadline; the last one: the standby was not ready"))
        << never;
    EXPECT_TRUE(has(never, " / see what each attempt waited for; allow more with --max-pause or --deadline")) << never;
}

TEST(SwitchMachine, prepared_transactions_end_an_attempt) {
    SwitchWorld world(two_databases());
    world.instead.emplace_back("read facts", reply::Facts{{"'batch 7' in app"}, {}, {{}}});
    world.run();
    EXPECT_EQ(name(world.machine.report().outcome), "switched");
    ASSERT_EQ(world.machine.report().missed.size(), 1U);
    EXPECT_EQ(world.machine.report().missed[0].waited_for, (Names{"'batch 7' in app"}));
}

TEST(SwitchMachine, a_changed_schema_refuses) {
    SwitchWorld world(two_databases());
    world.instead.emplace_back("read facts", reply::Facts{{}, {"app"}, {{}}});
    world.run();
    EXPECT_EQ(name(world.machine.report().outcome), "refused");
    EXPECT_EQ(world.served, Side::blue);
    EXPECT_TRUE(world.clean());
}

TEST(SwitchMachine, sessions_that_bypass_the_proxy_refuse_or_are_ended) {
    SwitchWorld refusing(two_databases());
    refusing.instead.emplace_back("bypassing", reply::Bypassing{{"pid 4711, user app on app"}});
    refusing.run();
    EXPECT_EQ(name(refusing.machine.report().outcome), "refused");
    EXPECT_EQ(refusing.ended, 0);
    EXPECT_TRUE(refusing.clean());

    SwitchRequest request = two_databases();
    request.bypassing = Bypassing::end;
    SwitchWorld ending(request);
    ending.run();
    EXPECT_EQ(name(ending.machine.report().outcome), "switched");
    EXPECT_EQ(ending.ended, 2) << "those seen at once, and those that were logging in";
}

TEST(SwitchMachine, what_is_not_carried_refuses_before_anything_is_touched) {
    SwitchWorld world(two_databases());
    world.instead.emplace_back("recheck", reply::Rechecked{{"app: table public.new is not published"}});
    world.run();
    EXPECT_EQ(name(world.machine.report().outcome), "refused");
    EXPECT_EQ(world.asked, (Names{"recheck"}));
}

TEST(SwitchMachine, what_ceases_to_be_carried_refuses_right_before_the_window) {
    SwitchWorld world(two_databases());
    world.instead.emplace_back("recheck", reply::Rechecked{});
    world.instead.emplace_back("recheck", reply::Rechecked{{"app: table public.new is not published"}});
    world.run();
    EXPECT_EQ(name(world.machine.report().outcome), "refused");
    EXPECT_EQ(world.machine.report().attempts, 0U);
    EXPECT_TRUE(world.clean());
}

// --------------------------------------------------------------------------------------------------- the activation

TEST(SwitchMachine, an_activation_of_unknown_outcome_is_cleared_up_and_obeyed) {
    SwitchWorld good(two_databases());
    good.run();
    const auto at =
        static_cast<std::size_t>(std::find(good.asked.begin(), good.asked.end(), "activate") - good.asked.begin()) + 1;
    SwitchWorld took_place(two_databases(), Fault{at, Wrong::unknown_done, false});
    took_place.run();
    EXPECT_EQ(name(took_place.machine.report().outcome), "switched");
    EXPECT_EQ(took_place.machine.report().attempts, 1U);
    EXPECT_EQ(took_place.machine.report().cleared_up, 1U);
    EXPECT_TRUE(has(took_place.asked, "claim alive"));

    SwitchWorld did_not(two_databases(), Fault{at, Wrong::silent_lost, false});
    did_not.run();
    EXPECT_EQ(name(did_not.machine.report().outcome), "switched") << "with the next generation";
    EXPECT_EQ(did_not.machine.report().generation, 3);
    EXPECT_EQ(did_not.machine.report().attempts, 2U);
    EXPECT_EQ(did_not.machine.report().cleared_up, 1U);
    EXPECT_TRUE(did_not.clean());
}

/// While nothing decides nobody is served, the watchdog is fed, and the operator's Ctrl-C changes nothing.
TEST(SwitchMachine, an_undecided_activation_is_asked_for_until_it_is_known) {
    SwitchWorld world(two_databases());
    for (int i = 0; i < 50; ++i) {
        world.instead.emplace_back("clear up", reply::Failed{Outcome::unknown, "the standby is away"});
    }
    world.instead.emplace_back("activate", reply::Failed{Outcome::unknown, "connection lost"});
    world.feed(event::Start{});
    while (world.machine.phase() != SwitchPhase::clearing_up) world.step();
    for (int i = 0; i < 60; ++i) world.step();
    EXPECT_EQ(world.gate, SwitchWorld::Gate::claimed);
    world.feed(event::Cancel{});
    EXPECT_EQ(world.gate, SwitchWorld::Gate::claimed);
    EXPECT_GE(std::count(world.asked.begin(), world.asked.end(), "claim alive"), 20);
    while (!world.machine.finished()) world.step();
    EXPECT_EQ(name(world.machine.report().outcome), "switched") << "after the claim it is finished";
    EXPECT_EQ(world.served, Side::green);
}

TEST(SwitchMachine, a_person_may_decide_while_nothing_else_does) {
    SwitchWorld world(two_databases());
    for (int i = 0; i < 1000; ++i) {
        world.instead.emplace_back("clear up", reply::Failed{Outcome::unknown, "the standby is away"});
    }
    SwitchWorld good(two_databases());
    good.run();
    world.instead.emplace_back("activate", reply::Failed{Outcome::unknown, "connection lost"});
    world.feed(event::Start{});
    while (world.machine.phase() != SwitchPhase::clearing_up) world.step();
    world.activation_active = false;  // lost with the standby, for good
    world.feed(event::Override{5});
    EXPECT_TRUE(world.machine.finished());
    EXPECT_EQ(world.gate, SwitchWorld::Gate::open);
    EXPECT_EQ(name(world.machine.report().outcome), "uncertain");
    EXPECT_EQ(world.machine.report().exit_status(), ExitStatus::needs_person);
}

TEST(SwitchMachine, a_void_register_takes_the_next_generation) {
    SwitchWorld world(two_databases());
    world.instead.emplace_back("register attempt", reply::Registered{false});
    world.run();
    EXPECT_EQ(name(world.machine.report().outcome), "switched");
    EXPECT_EQ(world.machine.report().generation, 3);
    EXPECT_EQ(world.machine.report().attempts, 1U) << "no gate was closed for the void one";
}

// ------------------------------------------------------------------------------------------------------ cancellation

TEST(SwitchMachine, stopping_it_undoes_everything_before_the_claim_and_finishes_after_it) {
    SwitchWorld good(two_databases());
    good.run();
    for (std::size_t at = 1; at <= good.asked.size(); ++at) {
        SCOPED_TRACE(fmt::format("cancelled once {} was asked for", good.asked[at - 1]));
        SwitchWorld world(two_databases());
        world.run_until_asked(at);
        const bool committed = world.machine.claimed() || world.served == Side::green;
        world.feed(event::Cancel{});
        while (!world.machine.finished()) world.step();
        EXPECT_EQ(name(world.machine.report().outcome), committed ? "switched" : "given_up");
        EXPECT_EQ(world.served, committed ? Side::green : Side::blue);
        EXPECT_TRUE(world.clean());
        EXPECT_EQ(world.gate, SwitchWorld::Gate::open);
        if (testing::Test::HasFailure()) return;
    }
}

TEST(SwitchMachine, stopping_it_during_an_undo_or_a_pause_ends_it_cleanly) {
    for (const SwitchPhase phase : {SwitchPhase::retreating, SwitchPhase::backing_off}) {
        SwitchWorld world(two_databases());
        world.instead.emplace_back("close gate", held_up(DrainReport::Outcome::expired));
        world.feed(event::Start{});
        while (world.machine.phase() != phase) world.step();
        world.feed(event::Cancel{});
        while (!world.machine.finished()) world.step();
        EXPECT_EQ(name(world.machine.report().outcome), "given_up");
        EXPECT_TRUE(world.machine.report().cancelled);
        EXPECT_TRUE(world.clean());
    }
}

// --------------------------------------------------------------------------------------------------------- late news

/// Answers of an attempt that is over change nothing.
TEST(SwitchMachine, late_answers_are_of_the_past) {
    SwitchMachine machine(two_databases());
    Clock::time_point now{1h};
    const auto first = machine.on(event::Start{}, now);
    ASSERT_EQ(first.size(), 1U);
    machine.on(event::Cancel{}, now);
    EXPECT_TRUE(machine.finished());
    EXPECT_TRUE(machine.on(event::Answered{first[0].ticket, reply::Rechecked{}}, now).empty());
    EXPECT_TRUE(machine.on(event::Alarm{}, now + 1h).empty());
    EXPECT_TRUE(machine.finished());
}

TEST(SwitchMachine, the_policy_for_long_transactions_is_pressed_after_a_quarter_of_max_pause) {
    const auto closing = [](LongTransactions policy, bool synchronous_standby, SwitchKind kind) {
        SwitchRequest request = two_databases();
        request.long_transactions = policy;
        request.kind = kind;
        SwitchWorld world(request);
        reply::Moment moment;
        moment.synchronous_standby = synchronous_standby;
        world.instead.emplace_back("look at the moment", moment);
        world.run();
        return world.closing;
    };
    const auto quarter = [](const CloseRequest& close, Clock::time_point at) {
        return at == close.deadline - two_databases().max_pause * 3 / 4;
    };
    const CloseRequest waits = closing(LongTransactions::wait, false, SwitchKind::forward);
    EXPECT_TRUE(!waits.cancel_at && !waits.read_only_at);
    const CloseRequest cancels = closing(LongTransactions::cancel, false, SwitchKind::forward);
    ASSERT_TRUE(cancels.cancel_at && !cancels.read_only_at);
    EXPECT_TRUE(quarter(cancels, *cancels.cancel_at));
    const CloseRequest leaves = closing(LongTransactions::read_only, true, SwitchKind::forward);
    ASSERT_TRUE(!leaves.cancel_at && leaves.read_only_at);
    EXPECT_TRUE(quarter(leaves, *leaves.read_only_at));
    // What a cancel would do to a commit that waits for a standby; and a rehearsal leaves no trace.
    EXPECT_FALSE(closing(LongTransactions::cancel, true, SwitchKind::forward).cancel_at);
    EXPECT_FALSE(closing(LongTransactions::read_only, false, SwitchKind::rehearse).read_only_at);
}

}  // namespace
}  // namespace turnout::control::test
