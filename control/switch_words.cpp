#include "control/switch_words.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

namespace turnout::control {

std::string_view name(const SwitchStep& step) {
    static constexpr std::array<std::string_view, std::variant_size_v<SwitchStep>> names{
        "recheck",
        "park reverse stream",
        "raise fence",
        "wait out transactions",
        "bypassing",
        "arm sessions",
        "warm up",
        "look at the moment",
        "note attempt",
        "write intent",
        "register attempt",
        "close gate",
        "read facts",
        "catch up",
        "carry sequences",
        "claim",
        "disable forward streams",
        "activate",
        "claim alive",
        "clear up",
        "open gate",
        "note generation",
        "settle",
        "finish moves",
        "give up gate",
        "quiesce",
        "enable forward streams",
        "withdraw intent",
        "disarm",
    };
    return names.at(step.index());
}

namespace words {
namespace {

template <class... Steps>
bool is_one_of(const SwitchStep& step) {
    return (std::holds_alternative<Steps>(step) || ...);
}

/// Why it was not good.
std::vector<std::string> reasons_of(const reply::Moment& moment) {
    std::vector<std::string> reasons = moment.broken;
    reasons.insert(reasons.end(), moment.obstacles.begin(), moment.obstacles.end());
    if (reasons.empty())
        reasons.push_back(
            fmt::format("the standby was {} bytes and {} behind", moment.lag_bytes, span(moment.lag_time)));
    return reasons;
}

}  // namespace

bool lasts(const SwitchStep& step) {
    return is_one_of<step::ParkReverse, step::RaiseFence, step::LookForBypassing, step::WarmUp, step::WriteIntent,
                     step::Register, step::CatchUp, step::CarrySequences, step::DisableForward, step::Activate>(step);
}

std::string span(Microseconds time) {
    const auto us = static_cast<double>(time.count());
    if (us < 1000) return fmt::format("{:.0f} µs", us);
    if (us < 1e6) return fmt::format("{:.1f} ms", us / 1e3);
    return fmt::format("{:.1f} s", us / 1e6);
}

std::string session(const SessionView& view) {
    std::string text = fmt::format("session {}: {} on {}", view.id, view.user, view.database);
    if (!view.application.empty()) text += fmt::format(" ({})", view.application);
    text += fmt::format(", {}", view.state);
    if (view.transaction.count() > 0) text += fmt::format(" for {}", span(view.transaction));
    if (!view.reason.empty()) text += fmt::format(": {}", view.reason);
    return text;
}

std::vector<std::string> sessions(const std::vector<SessionView>& views) {
    std::vector<std::string> texts;
    texts.reserve(views.size());
    for (const SessionView& view : views) texts.push_back(session(view));
    return texts;
}

std::string no_good_moment(const reply::Moment& moment) {
    return fmt::format("there was no good moment before the deadline: {}", fmt::join(reasons_of(moment), "; "));
}

std::string look_not_ended(const std::optional<reply::Moment>& before, Microseconds lasted, Side from) {
    std::string text = fmt::format(
        "there was no good moment before the deadline: for {} {} has not applied what was committed on {} to see how "
        "far it follows, or {} has not answered",
        span(lasted), name(other(from)), name(from), name(from));
    if (before) text += fmt::format("; before that: {}", fmt::join(reasons_of(*before), "; "));
    return text;
}

}  // namespace words
}  // namespace turnout::control
