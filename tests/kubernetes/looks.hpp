// Looks at a PgUpgrade's world, and decisions in words: for the tests of the reconciler.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "control/kubernetes/reconciler.hpp"
#include "tests/kubernetes/objects.hpp"

namespace turnout::kubernetes {

/// "traffic to proxy"; a verb by its word: "SWITCH".
inline std::string in_words(const Action& action) {
    switch (action.kind) {
        case ActionKind::add_finalizer: return "add finalizer";
        case ActionKind::remove_finalizer: return "remove finalizer";
        case ActionKind::ask_old_server: return "ask old server";
        case ActionKind::apply_server: return "apply server";
        case ActionKind::apply_proxy: return "apply proxy";
        case ActionKind::move_traffic:
            if (action.to == Traffic::proxy) return "traffic to proxy";
            return action.to == Traffic::old_server ? "traffic to old" : "traffic to new";
        case ActionKind::run_verb: return action.command.substr(0, action.command.find(' '));
        case ActionKind::cancel_verb: return "cancel verb";
        case ActionKind::remove_old_workload: return "remove old workload";
        case ActionKind::remove_proxy: return "remove proxy";
        case ActionKind::remove_server: return action.volume ? "remove server and volume" : "remove server";
    }
    return "";
}

/// Its actions, in their order: "apply server, apply proxy, SYNC".
inline std::string in_words(const Decision& decision) {
    std::string text;
    for (const Action& action : decision.actions) text.append(text.empty() ? "" : ", ").append(in_words(action));
    return text;
}

/// Of a condition; empty: there is none.
inline std::string reason(const Decision& decision, std::string_view type) {
    const Condition* const found = decision.status.find(type);
    return found == nullptr ? "" : found->reason;
}

/// The new server and the proxy are up, clients come through the proxy; turnout says `phase`.
inline Observed serving(const std::string& phase, const std::string& active = "blue", std::int64_t generation = 1) {
    Observed seen = fresh();
    seen.spec["trafficService"] = "postgres";
    seen.traffic = Traffic::proxy;
    seen.server = {true, true, ""};
    seen.proxy = {true, true, ""};
    seen.turnout = TurnoutStatus{phase, active, generation, "", "", 0, ""};
    seen.status.frozen = frozen_fields(parse_spec(seen.spec).spec);
    return seen;
}

inline constexpr const char* kApply = "apply server, apply proxy";

/// What is done beyond what every look at a life under way applies.
inline std::string after_applying(const Decision& decision) {
    const std::string words = in_words(decision);
    if (words == kApply) return "";
    const std::string prefix = std::string(kApply) + ", ";
    return words.starts_with(prefix) ? words.substr(prefix.size()) : "without applying: " + words;
}

inline Observed wishing(Observed seen, const char* cutover) {
    seen.spec["cutover"] = cutover;
    return seen;
}

/// What the next look finds when nothing but the status has changed.
inline Observed next(Observed seen, const Decision& decision) {
    seen.status = parse_status(to_json(decision.status));
    seen.now += std::chrono::seconds(1);
    return seen;
}

}  // namespace turnout::kubernetes
