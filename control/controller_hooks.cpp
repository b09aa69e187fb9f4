// Gates and hooks around a switch: what the operator wants to happen before it and after it.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json/serialize.hpp>
#include <filesystem>

#include "control/controller.hpp"
#include "control/hook.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

Conninfo::Parameters facts(const Command& command, std::string_view event, Side from) {
    Conninfo::Parameters facts;
    facts.emplace_back("TURNOUT_EVENT", event);
    facts.emplace_back("TURNOUT_VERB", dashed(tag(command.verb)));
    facts.emplace_back("TURNOUT_FROM", turnout::name(from));
    facts.emplace_back("TURNOUT_TO", turnout::name(other(from)));
    return facts;
}

bool moves(Verb verb) { return verb == Verb::switch_over || verb == Verb::rollback; }

}  // namespace

/// Why the switch is not to begin, or nothing.
asio::awaitable<std::optional<Answer>> Controller::held_back(const Command& command, Side from) {
    if (!moves(command.verb)) co_return std::nullopt;
    std::error_code none;
    if (const std::string& file = config_.switching.hold_file; !file.empty() && std::filesystem::exists(file, none))
        co_return refusal(sqlstate::refused,
                          fmt::format("{} is refused: the hold file {} exists", tag(command.verb), file),
                          "Remove it when the switch may take place.");
    const HooksConfig hooks = config_.hooks;
    if (hooks.before_switch.empty()) co_return std::nullopt;
    Conninfo::Parameters variables = facts(command, "before_switch", from);
    const auto failure = co_await run_hook(hooks.before_switch, std::move(variables), hooks.timeout);
    if (!failure) co_return std::nullopt;
    co_return refusal(sqlstate::refused, fmt::format("{} is refused by the hook before_switch", tag(command.verb)),
                      "Mend what it complains of, or take it out of [hooks].", *failure);
}

asio::awaitable<void> Controller::tell_hook(Command command, SwitchReport report) {
    const HooksConfig hooks = config_.hooks;
    if (hooks.after_switch.empty() || !moves(command.verb)) co_return;
    Conninfo::Parameters variables = facts(command, "after_switch", report.from);
    variables.emplace_back("TURNOUT_OUTCOME", name(report.outcome));
    variables.emplace_back("TURNOUT_JSON", boost::json::serialize(to_json(report)));
    const auto failure = co_await run_hook(hooks.after_switch, std::move(variables), hooks.timeout);
    if (failure) spdlog::warn("the hook after_switch failed: {}", *failure);
}

}  // namespace turnout::control
