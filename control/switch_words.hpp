// What a switch says about itself, and small questions about its steps.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/switch_steps.hpp"

namespace turnout::control::words {

/// True if the request can still take effect on a server when nobody waits for its answer any more.
bool lasts(const SwitchStep& step);

/// "session 12: app on app (psql), idle in transaction for 3.2 s".
std::string session(const SessionView& view);
std::vector<std::string> sessions(const std::vector<SessionView>& views);

/// What kept a moment from being a good one: a sentence.
std::string no_good_moment(const reply::Moment& moment);
/// The same where the last look had lasted so long at the deadline and not ended: what it waited for, and what the look
/// before it saw, if there was one. `from`: the active side.
std::string look_not_ended(const std::optional<reply::Moment>& before, Microseconds lasted, Side from);

/// "5.2 ms", "3.2 s".
std::string span(Microseconds time);

}  // namespace turnout::control::words
