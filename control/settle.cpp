#include "control/settle.hpp"

#include <fmt/format.h>

namespace turnout::control {

namespace {

using namespace settling;

/// The stream towards the standby must carry everything from the noted position on. Setting the position twice is
/// harmless only while nothing was applied beyond it: hence the comparison, and only while it is disabled.
void plan_away(const StreamState& away, std::size_t database, Lsn noted, std::vector<SettleStep>& plan) {
    if (away.stream.enabled && !away.stream.narrowed) return;
    if (away.stream.enabled) plan.push_back(Disable{database, false});
    if (away.progress < noted) plan.push_back(AdvanceOrigin{database});
    if (away.stream.narrowed) plan.push_back(Widen{database});
    plan.push_back(Enable{database, false});
}

/// The stream towards the active side must carry nothing but the marker.
void plan_back(const StreamState& back, std::size_t database, std::vector<SettleStep>& plan) {
    if (back.stream.enabled && back.stream.narrowed) return;
    if (back.stream.enabled) plan.push_back(Disable{database, true});
    if (!back.stream.narrowed) plan.push_back(ReadStraysAndNarrow{database});
    plan.push_back(Enable{database, true});
}

bool will_start(const StreamState& state, bool narrowed) {
    return !state.slot_active || !state.stream.enabled || state.stream.narrowed != narrowed;
}

}  // namespace

std::vector<SettleStep> settle_plan(const PairState& state) {
    std::vector<SettleStep> plan;
    if (state.active_fenced) plan.push_back(LiftFence{});
    if (state.intent) plan.push_back(WithdrawIntent{});
    if (state.standby_was_active && !state.standby_retired) plan.push_back(Retire{});
    bool fence_missing = false;
    for (std::size_t i = 0; i < state.databases.size(); ++i) {
        const DatabaseState& database = state.databases[i];
        if (!database.back) continue;
        fence_missing = fence_missing || !database.fenced_on_standby;
        if (database.away) plan_away(*database.away, i, state.noted, plan);
        plan_back(*database.back, i, plan);
    }
    if (fence_missing) plan.push_back(RaiseFence{});
    // Waiting comes last: an apply worker may take seconds to start, and nothing else depends on it.
    for (std::size_t i = 0; i < state.databases.size(); ++i) {
        const DatabaseState& database = state.databases[i];
        if (!database.back) continue;
        if (database.away && will_start(*database.away, false)) plan.push_back(AwaitStreaming{i, false});
        if (will_start(*database.back, true)) plan.push_back(AwaitStreaming{i, true});
    }
    return plan;
}

namespace {

template <class... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

std::string text(const SettleStep& step, const PairState& state) {
    const auto active = turnout::name(state.active);
    const auto standby = turnout::name(other(state.active));
    const auto of = [&](std::size_t database) -> const std::string& { return state.databases.at(database).database; };
    const auto to = [&](bool back) { return back ? active : standby; };
    return std::visit(
        Overloaded{
            [&](LiftFence) { return fmt::format("lift the fence of {}", active); },
            [&](WithdrawIntent) { return fmt::format("withdraw the intent on {}", active); },
            [&](Retire) { return fmt::format("retire {}", standby); },
            [&](RaiseFence) { return fmt::format("fence {}", standby); },
            [&](Disable it) { return fmt::format("{}: disable the stream to {}", of(it.database), to(it.back)); },
            [&](ReadStraysAndNarrow it) {
                return fmt::format("{}: read what was written on {}, then narrow its stream", of(it.database), standby);
            },
            [&](AdvanceOrigin it) {
                return fmt::format("{}: set where the stream to {} begins", of(it.database), standby);
            },
            [&](Widen it) { return fmt::format("{}: widen the stream to {}", of(it.database), standby); },
            [&](Enable it) { return fmt::format("{}: enable the stream to {}", of(it.database), to(it.back)); },
            [&](AwaitStreaming it) {
                return fmt::format("{}: wait until the stream to {} runs", of(it.database), to(it.back));
            },
        },
        step);
}

}  // namespace turnout::control
