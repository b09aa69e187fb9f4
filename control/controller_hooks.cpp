// Gates and hooks around the verbs that change something: what the operator wants to happen before them, meanwhile and
// afterwards.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json/object.hpp>
#include <filesystem>
#include <utility>

#include "control/controller.hpp"
#include "control/hook.hpp"

namespace turnout::control {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// A moment at which one of [hooks] is run.
struct HookPoint {
    std::string_view event;  ///< the key's name
    std::string HooksConfig::*program;
};

constexpr HookPoint kPhase{"phase", &HooksConfig::phase};

struct HooksOfVerb {
    HookPoint before, after;
};

std::optional<HooksOfVerb> hooks_of(Verb verb) {
    switch (verb) {
        case Verb::sync:
            return HooksOfVerb{{"before_sync", &HooksConfig::before_sync}, {"after_sync", &HooksConfig::after_sync}};
        case Verb::switch_over:
        case Verb::rollback:
            return HooksOfVerb{{"before_switch", &HooksConfig::before_switch},
                               {"after_switch", &HooksConfig::after_switch}};
        case Verb::finish:
        case Verb::abort:
            return HooksOfVerb{{"before_finish", &HooksConfig::before_finish},
                               {"after_finish", &HooksConfig::after_finish}};
        default: return std::nullopt;
    }
}

bool moves(Verb verb) { return verb == Verb::switch_over || verb == Verb::rollback; }

/// From: the active side, which serves the clients until then.
json::object facts(const Command& command, const HookPoint& point, Side from) {
    json::object facts{{"event", point.event}, {"verb", dashed(tag(command.verb))}, {"from", turnout::name(from)}};
    facts["to"] = turnout::name(moves(command.verb) || command.verb == Verb::sync ? other(from) : from);
    return facts;
}

}  // namespace

/// Why the verb is not to begin, or nothing. From the hook before it on, the one after it is owed, whatever becomes of
/// the verb: what the first one stopped, the other one starts again.
asio::awaitable<std::optional<Answer>> Controller::held_back(const Command& command, Side from) {
    const auto points = hooks_of(command.verb);
    if (!points) co_return std::nullopt;
    std::error_code none;
    if (const std::string& file = config_.switching.hold_file;
        moves(command.verb) && !file.empty() && std::filesystem::exists(file, none))
        co_return refusal(sqlstate::refused,
                          fmt::format("{} is refused: the hold file {} exists", tag(command.verb), file),
                          "Remove it when the switch may take place.");
    hook_owed_ = from;
    const HooksConfig hooks = config_.hooks;
    const std::string program = hooks.*points->before.program;
    if (program.empty()) co_return std::nullopt;
    json::object told = facts(command, points->before, from);
    const auto failure = co_await run_hook(program, std::move(told), hooks.timeout);
    if (!failure) co_return std::nullopt;
    if (hooks.on_failure == HookFailure::go_on) {
        spdlog::warn("the hook {} failed, and {} goes on: {}", points->before.event, tag(command.verb), *failure);
        co_return std::nullopt;
    }
    co_return refusal(sqlstate::refused,
                      fmt::format("{} is refused by the hook {}", tag(command.verb), points->before.event),
                      "Mend what it complains of, or take it out of [hooks].", *failure);
}

/// The window lies behind `intent`; whatever is told meanwhile waits until the next phase is told, and so do the
/// window's own phases.
void Controller::tell_hook_of_phase(const Command& command, Side from, std::string_view phase,
                                    const std::vector<TimedPhase>& window) {
    hook_teller_.hold(phase == "intent");
    const auto tell = [&](json::object told) {
        hook_teller_.tell(config_.hooks.phase, std::move(told), config_.hooks.timeout);
    };
    for (const TimedPhase& over : window) {
        json::object told = facts(command, kPhase, from);
        told["phase"] = over.name;
        told["us"] = over.took.count();
        told["began_us"] = over.began.count();
        tell(std::move(told));
    }
    json::object told = facts(command, kPhase, from);
    told["phase"] = phase;
    tell(std::move(told));
}

/// A failure is told as an outcome with its reason.
void Controller::tell_hook_of_end(const Command& command, const Answer& answer) {
    hook_teller_.hold(false);
    const auto points = hooks_of(command.verb);
    const std::optional<Side> from = std::exchange(hook_owed_, std::nullopt);
    if (!points || !from) return;
    json::object told = facts(command, points->after, *from);
    json::object report = answer.json.is_object() ? answer.json.get_object() : json::object();
    const json::value* outcome = report.if_contains("outcome");
    told["outcome"] = outcome != nullptr ? *outcome : json::value(answer.failed() ? "failed" : "done");
    if (const json::value* generation = report.if_contains("generation")) told["generation"] = *generation;
    if (answer.failed()) {
        told["sqlstate"] = answer.sqlstate;
        told["reason"] = answer.message;
        if (!answer.detail.empty()) told["detail"] = answer.detail;
        if (!answer.hint.empty()) told["hint"] = answer.hint;
    }
    told["report"] = std::move(report);
    hook_teller_.tell(config_.hooks.*points->after.program, std::move(told), config_.hooks.timeout);
}

}  // namespace turnout::control
