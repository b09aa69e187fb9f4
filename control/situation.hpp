// How things are while a verb works, in one line for people: the standby's distance, the sessions, who is in the way.
#pragma once

#include <string>
#include <vector>

#include "control/data_plane.hpp"
#include "control/replication.hpp"

namespace turnout::control {

/// "64 sessions, 3 in transaction (the oldest: session 12: ...), 1 pinned (session 5: ...)".
std::string sessions_line(const std::vector<SessionView>& views);

/// "lag 12.0 kB, 0.2 s, falling": of all streams together, the slowest one's seconds, compared with a look before.
/// Empty: nothing is known of them.
std::string lag_line(const std::vector<StreamLag>& now, const std::vector<StreamLag>& before);

}  // namespace turnout::control
