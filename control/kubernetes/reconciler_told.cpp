// What the status and the Events say.
#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <utility>

#include "control/kubernetes/reconciler_step.hpp"

namespace turnout::kubernetes {

using namespace std::chrono_literals;

namespace {

/// A status that changed with every look would be a stream of writes to every watcher.
constexpr auto kLagTold = 10s;

}  // namespace

void Step::tell_turnout() {
    const TurnoutStatus& turnout = *seen_.turnout;
    status().active = turnout.active;
    status().turnout_generation = turnout.generation;
    if (turnout.active == "blue") status().watched_since.clear();
    const auto& heard = seen_.last ? seen_.last->window : std::nullopt;
    if (turnout.window)
        status().window = turnout.window;
    else if (heard && heard->generation == turnout.generation)
        status().window = heard;
    const bool green = turnout.active == "green";
    if (!turnout.active.empty())
        set(condition::switched, green ? Truth::yes : Truth::no, green ? "NewServerActive" : "OldServerActive",
            green ? "clients are served by the new server" : "clients are served by the old server");
    tell_lag();
}

void Step::tell_lag() {
    const auto read = parse_time(status().lag_read);
    if (read && seen_.now - *read < kLagTold && status().lag_bytes) return;
    if (status().lag_bytes == seen_.turnout->lag_bytes) return;
    status().lag_bytes = seen_.turnout->lag_bytes;
    status().lag_read = time_text(seen_.now);
}

void Step::ready(Truth truth, std::string reason, std::string message) {
    set(condition::ready, truth, std::move(reason), std::move(message));
}

/// An Event for each condition that changed its status or the reason for it, and for the phase.
void Step::note_transitions() {
    const Status& before = seen_.status;
    if (before.phase != status().phase)
        note(false, std::string(name(status().phase)),
             fmt::format("{} after {}", name(status().phase), name(before.phase)));
    for (const Condition& now : status().conditions) {
        const Condition* const was = before.find(now.type);
        if (was != nullptr && was->status == now.status && was->reason == now.reason) continue;
        const bool bad =
            now.reason == "NotWatched" ||
            (now.type == condition::terminal
                 ? now.status == Truth::yes && now.reason != "Finished" && now.reason != "Aborted"
                 : now.status == Truth::no && (now.reason == "VerbFailed" || now.type == condition::preflight_passed));
        Note news{bad, now.reason, now.message};
        // What ends for two reasons at once is one piece of news.
        if (std::find(decision_.notes.begin(), decision_.notes.end(), news) == decision_.notes.end())
            decision_.notes.push_back(std::move(news));
    }
    const std::int64_t known = before.window ? before.window->generation : 0;
    if (status().window && status().window->generation != known)
        note(false, "Window",
             fmt::format("{} to {} in {:.1f} ms", status().window->from, status().window->to,
                         static_cast<double>(status().window->microseconds) / 1000));
    if (before.frozen.empty() && !status().frozen.empty() &&
        (!spec_.publication.empty() || !spec_.subscription.empty()))
        note(false, "NamesIgnored",
             "spec.pubname and spec.subname have no effect: turnout finds its publications and subscriptions by names "
             "of its own, turnout_tables, turnout_to_green and turnout_to_blue");
}

}  // namespace turnout::kubernetes
