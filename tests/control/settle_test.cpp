// The steady state is reached from wherever a switch, a failed attempt or a crash left the two sides.
#include "control/settle.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace turnout::control {
namespace {

using namespace settling;

StreamState stream(Side subscriber, bool enabled, bool narrowed, std::uint64_t progress) {
    StreamState state;
    state.stream.subscriber = subscriber;
    state.stream.enabled = enabled;
    state.stream.narrowed = narrowed;
    state.slot_active = enabled;
    state.progress = Lsn(progress);
    return state;
}

/// Blue is active with generation 1, green follows: nothing is left to do.
PairState steady() {
    PairState state;
    state.active = Side::blue;
    state.generation = 1;
    state.noted = Lsn(100);
    DatabaseState database;
    database.database = "app";
    database.away = stream(Side::green, true, false, 150);
    database.back = stream(Side::blue, true, true, 70);
    database.fenced_on_standby = true;
    state.databases.push_back(database);
    return state;
}

/// Green has just become active with generation 2, at 100 of its own log.
PairState just_switched() {
    PairState state;
    state.active = Side::green;
    state.generation = 2;
    state.noted = Lsn(100);
    state.active_fenced = true;
    state.standby_was_active = true;
    DatabaseState database;
    database.database = "app";
    database.away = stream(Side::blue, false, true, 70);
    database.back = stream(Side::green, false, false, 5000);
    database.fenced_on_standby = true;
    state.databases.push_back(database);
    return state;
}

std::vector<std::string> texts(const PairState& state) {
    std::vector<std::string> all;
    for (const SettleStep& step : settle_plan(state)) all.push_back(text(step, state));
    return all;
}

/// What the servers would say after one step.
struct Model {
    PairState state;
    int strays_read = 0;
    int advanced = 0;

    void apply(LiftFence) { state.active_fenced = false; }
    void apply(WithdrawIntent) { state.intent = false; }
    void apply(Retire) { state.standby_retired = true; }
    void apply(RaiseFence) {
        for (auto& database : state.databases) database.fenced_on_standby = true;
    }
    void apply(Disable it) { stream_of(it.database, it.back).stream.enabled = false; }
    void apply(ReadStraysAndNarrow it) {
        EXPECT_FALSE(stream_of(it.database, true).stream.enabled) << "a running stream moves the slot over the strays";
        ++strays_read;
        stream_of(it.database, true).stream.narrowed = true;
    }
    void apply(AdvanceOrigin it) {
        StreamState& away = stream_of(it.database, false);
        EXPECT_FALSE(away.stream.enabled);
        EXPECT_LT(away.progress, state.noted) << "set back, the stream would apply again";
        ++advanced;
        away.progress = state.noted;
    }
    void apply(Widen it) {
        StreamState& away = stream_of(it.database, false);
        EXPECT_FALSE(away.stream.enabled);
        EXPECT_GE(away.progress, state.noted) << "it would begin before the clients' first write";
        away.stream.narrowed = false;
    }
    void apply(Enable it) { stream_of(it.database, it.back).stream.enabled = true; }
    void apply(AwaitStreaming it) {
        EXPECT_TRUE(stream_of(it.database, it.back).stream.enabled);
        stream_of(it.database, it.back).slot_active = true;
    }
    StreamState& stream_of(std::size_t i, bool back) {
        return back ? *state.databases[i].back : *state.databases[i].away;
    }
};

TEST(Settle, leaves_a_steady_pair_alone) { EXPECT_TRUE(settle_plan(steady()).empty()); }

TEST(Settle, turns_both_streams_round_after_a_switch) {
    EXPECT_EQ(texts(just_switched()),
              (std::vector<std::string>{
                  "lift the fence of green", "retire blue", "app: set where the stream to blue begins",
                  "app: widen the stream to blue", "app: enable the stream to blue",
                  "app: read what was written on blue, then narrow its stream", "app: enable the stream to green",
                  "app: wait until the stream to blue runs", "app: wait until the stream to green runs"}));
}

TEST(Settle, undoes_an_attempt_that_was_given_up) {
    PairState state = steady();
    state.active_fenced = true;
    state.intent = true;
    state.databases[0].back->stream.enabled = false;  // parked
    EXPECT_EQ(texts(state),
              (std::vector<std::string>{"lift the fence of blue", "withdraw the intent on blue",
                                        "app: enable the stream to blue", "app: wait until the stream to blue runs"}));
    state.databases[0].away->stream.enabled = false;  // after the claim
    EXPECT_EQ(texts(state)[2], "app: enable the stream to green") << "without touching its position";
}

TEST(Settle, never_sets_a_position_back) {
    PairState state = just_switched();
    state.databases[0].away->progress = Lsn(101);
    for (const SettleStep& step : settle_plan(state)) EXPECT_FALSE(std::holds_alternative<AdvanceOrigin>(step));
}

/// From every shape of both streams, and interrupted after every step: the same end, and no step at a wrong moment.
TEST(Settle, reaches_the_steady_state_from_everywhere_also_when_interrupted) {
    for (unsigned bits = 0; bits < 512; ++bits) {
        SCOPED_TRACE(fmt::format("shape {}", bits));
        Model model{just_switched()};
        PairState& state = model.state;
        state.active_fenced = (bits & 1U) != 0;
        state.intent = (bits & 2U) != 0;
        state.standby_retired = (bits & 4U) != 0;
        DatabaseState& database = state.databases[0];
        database.fenced_on_standby = (bits & 8U) != 0;
        database.away = stream(Side::blue, (bits & 16U) != 0, (bits & 32U) != 0, (bits & 64U) != 0 ? 120 : 70);
        // A stream that carries everything began at the noted position: that is how it came to be so.
        if (!database.away->stream.narrowed) database.away->progress = Lsn(120);
        database.back = stream(Side::green, (bits & 128U) != 0, (bits & 256U) != 0, 5000);
        int rounds = 0;
        for (auto plan = settle_plan(state); !plan.empty(); plan = settle_plan(state)) {
            ASSERT_LT(++rounds, 40);
            std::visit([&](const auto& step) { model.apply(step); }, plan.front());  // then interrupted: look again
        }
        EXPECT_FALSE(state.active_fenced || state.intent);
        EXPECT_TRUE(state.standby_retired && database.fenced_on_standby);
        EXPECT_TRUE(database.away->stream.enabled && !database.away->stream.narrowed);
        EXPECT_TRUE(database.back->stream.enabled && database.back->stream.narrowed);
        EXPECT_LE(model.strays_read, 1);
        EXPECT_LE(model.advanced, 1);
        if (testing::Test::HasFailure()) return;
    }
}

/// After a switch without a way back nothing follows the new side, but the old one is left as it must be.
TEST(Settle, narrows_the_stream_of_the_old_side_where_there_is_no_other) {
    PairState state = just_switched();
    state.databases[0].away.reset();
    state.databases[0].fenced_on_standby = false;
    const auto plan = texts(state);
    EXPECT_EQ(plan, (std::vector<std::string>{"lift the fence of green", "retire blue",
                                              "app: read what was written on blue, then narrow its stream",
                                              "app: enable the stream to green", "fence blue",
                                              "app: wait until the stream to green runs"}));
    state.databases[0].back.reset();
    EXPECT_EQ(texts(state), (std::vector<std::string>{"lift the fence of green", "retire blue"}));
}

}  // namespace
}  // namespace turnout::control
