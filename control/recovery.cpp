#include "control/recovery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace turnout::control {

namespace {

using decision::Ask;
using decision::Bootstrap;
using decision::Nobody;
using decision::Serve;

constexpr const char* kForceHint =
    "if that server is gone for good, `turnout force-active` says what it would lose and makes the other one active";
constexpr const char* kPersonHint =
    "compare turnout.journal on both sides; `turnout force-active blue|green` decides, and says what it may lose";

Nobody needs_person(std::string reason, std::string hint = kPersonHint) {
    return {true, std::move(reason), std::move(hint)};
}

Nobody waits_for(Side side, std::string reason) {
    return {false, std::move(reason), fmt::format("start {}; {}", name(side), kForceHint)};
}

std::int64_t active_generation(const std::optional<JournalView>& view) {
    const JournalRow* row = view ? view->active() : nullptr;
    return row != nullptr ? row->id.generation : 0;
}

std::int64_t retired_generation(const std::optional<JournalView>& view) {
    const JournalRow* row = view ? view->retired() : nullptr;
    return row != nullptr ? row->id.generation : 0;
}

/// A server that must not be believed whatever its rows say.
std::optional<Nobody> not_to_be_believed(const JournalViews& views) {
    for (const auto& view : views) {
        if (!view) continue;
        if (const auto foreign = view->foreign()) return needs_person(*foreign, "correct the configuration");
        if (view->in_recovery) {
            return needs_person(
                fmt::format("{} is in recovery: a physical standby, not the server itself", turnout::name(view->side)),
                "point its url at the primary server");
        }
    }
    return std::nullopt;
}

bool says_nothing(const std::optional<JournalView>& view) { return view && view->rows.empty() && !view->intent; }

/// No reachable side was ever active.
Decision without_active(const JournalViews& views, const ServedState& state) {
    const bool both = views[0] && views[1];
    if (!both) {
        const Side away = views[index(Side::blue)] ? Side::green : Side::blue;
        return waits_for(away, fmt::format("{} cannot be reached, and {} was never active", turnout::name(away),
                                           turnout::name(other(away))));
    }
    if (state.served > 0) {
        return needs_person(fmt::format(
            "generation {} was served before, and neither side knows of any: they were restored, or made anew",
            state.served));
    }
    if (says_nothing(views[0]) && says_nothing(views[1])) return Bootstrap{Side::blue, 1};
    return needs_person("neither side's journal has an active generation, but they are not new");
}

/// What could still make the other side active with a generation above n, in ascending order.
std::set<std::int64_t> named_attempts(const JournalView& active, std::int64_t n,
                                      const std::optional<JournalView>& standby, const ServedState& state) {
    std::set<std::int64_t> named;
    if (active.intent && active.intent->generation > n) named.insert(active.intent->generation);
    if (state.attempt && *state.attempt > n) named.insert(*state.attempt);
    if (standby) {
        for (const JournalRow& row : standby->rows) {
            if (row.state == JournalState::armed && row.id.generation > n) named.insert(row.id.generation);
        }
    }
    return named;
}

std::optional<Decision> open_attempt(const JournalView& active, std::int64_t n,
                                     const std::optional<JournalView>& standby, const ServedState& state) {
    const Side other_side = other(active.side);
    for (const std::int64_t generation : named_attempts(active, n, standby, state)) {
        if (!standby) {
            return waits_for(other_side,
                             fmt::format("an attempt to make {} active with generation {} was under way, and only {} "
                                         "knows what became of it",
                                         turnout::name(other_side), generation, turnout::name(other_side)));
        }
        const JournalRow* row = standby->find(generation);
        if (row == nullptr || row->state != JournalState::voided) return Ask{other_side, generation};
    }
    return std::nullopt;
}

/// Something says that a higher generation than the highest visible one was active.
std::optional<Nobody> overtaken(const JournalView& active, std::int64_t n, const std::optional<JournalView>& standby,
                                const ServedState& state) {
    const Side other_side = other(active.side);
    const std::int64_t known = std::max({retired_generation(active), retired_generation(standby), state.served});
    if (known <= n) return std::nullopt;
    if (!standby) {
        return waits_for(other_side, fmt::format("{} was active with generation {}, later than {} ({}), and cannot be "
                                                 "reached",
                                                 turnout::name(other_side), known, turnout::name(active.side), n));
    }
    return needs_person(
        fmt::format("generation {} was active, but the highest to be found is {} on {}: a side was "
                    "restored or failed over to a copy that lags",
                    known, n, turnout::name(active.side)));
}

/// The lowest `active` tells where the change began; a lone side knows it by its first row, which no attempt made.
bool has_moved(const JournalView& active, const std::optional<JournalView>& standby) {
    const auto lowest = [](const JournalView& view) {
        std::int64_t low = INT64_MAX;
        for (const JournalRow& row : view.rows) {
            if (row.state == JournalState::active) low = std::min(low, row.id.generation);
        }
        return low;
    };
    if (standby) return lowest(*standby) < lowest(active);
    return std::none_of(active.rows.begin(), active.rows.end(),
                        [](const JournalRow& row) { return row.state == JournalState::active && row.id.attempt == 0; });
}

}  // namespace

Decision decide(const JournalViews& views, const ServedState& state) {
    if (!views[0] && !views[1]) return Nobody{false, "neither side can be reached", "start the servers"};
    if (const auto nobody = not_to_be_believed(views)) return *nobody;
    const std::int64_t blue = active_generation(views[index(Side::blue)]);
    const std::int64_t green = active_generation(views[index(Side::green)]);
    if (blue == 0 && green == 0) return without_active(views, state);
    if (blue == green) {
        return needs_person(fmt::format("both sides say that they are active with generation {}", blue));
    }
    const Side side = blue > green ? Side::blue : Side::green;
    const std::int64_t n = std::max(blue, green);
    const JournalView& active = *views[index(side)];
    const std::optional<JournalView>& standby = views[index(other(side))];

    if (const auto nobody = overtaken(active, n, standby, state)) return *nobody;
    if (const auto open = open_attempt(active, n, standby, state)) return *open;
    return Serve{side, n, active.active()->finished, has_moved(active, standby)};
}

AttemptId next_attempt(const JournalView& active, const JournalView& standby) {
    const std::int64_t highest = std::max(active.highest_generation(), standby.highest_generation());
    const JournalRow* row = standby.find(highest);
    const bool still_armed = row != nullptr && row->state == JournalState::armed && active.find(highest) == nullptr;
    return still_armed ? AttemptId{highest, row->id.attempt + 1} : AttemptId{highest + 1, 1};
}

std::int64_t forced_generation(const JournalViews& views, const ServedState& state) {
    std::int64_t highest = std::max(state.served, state.attempt.value_or(0));
    for (const auto& view : views) {
        if (view) highest = std::max(highest, view->highest_generation());
    }
    return highest + 1;
}

std::vector<std::string> forced_losses(const JournalViews& views, Side side) {
    const Side lost = other(side);
    std::vector<std::string> sentences;
    const auto& view = views[index(lost)];
    if (!view) {
        sentences.push_back(
            fmt::format("{} cannot be reached: whatever was committed there and has not arrived on {} "
                        "is lost",
                        turnout::name(lost), turnout::name(side)));
    } else if (active_generation(view) > active_generation(views[index(side)])) {
        sentences.push_back(
            fmt::format("{} can be reached and is active: its commits from now on are lost", turnout::name(lost)));
    }
    if (active_generation(views[index(side)]) == 0 || !view ||
        active_generation(view) > active_generation(views[index(side)])) {
        sentences.push_back(
            fmt::format("sequences of {} are raised to the greatest value in the columns that they fill: numbers that "
                        "{} gave out and that are in no row may be given out again",
                        turnout::name(side), turnout::name(lost)));
    }
    sentences.push_back(fmt::format("the streams between the sides end; {} has to be copied anew with `turnout sync`",
                                    turnout::name(lost)));
    return sentences;
}

std::string_view name(LifePhase phase) {
    switch (phase) {
        case LifePhase::fresh: return "new";
        case LifePhase::syncing: return "syncing";
        case LifePhase::synced: return "synced";
        case LifePhase::switching: return "switching";
        case LifePhase::switched: return "switched";
        case LifePhase::finished: return "finished";
        case LifePhase::uncertain: return "uncertain";
    }
    return "uncertain";
}

LifePhase life_phase(const LifeFacts& facts) {
    if (!facts.served) return LifePhase::uncertain;
    if (facts.switch_runs) return LifePhase::switching;
    if (facts.sync_runs) return LifePhase::syncing;
    if (facts.served->finished) return LifePhase::finished;
    if (!facts.streams_ready) return LifePhase::fresh;
    return facts.served->moved ? LifePhase::switched : LifePhase::synced;
}

}  // namespace turnout::control
