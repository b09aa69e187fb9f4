// The proxy's own sessions, as control asks for them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <set>
#include <vector>

#include "control/data_plane.hpp"

namespace turnout::control {

/// DataPlane::sessions as a coroutine. `plane` lives until it ends. Throws only system_error(operation_aborted).
boost::asio::awaitable<std::vector<SessionView>> sessions_of(DataPlane& plane);

/// The pids of the sessions' backends on a side, once those that are logging in have one (or for a second have not).
boost::asio::awaitable<std::set<std::int32_t>> own_pids(DataPlane& plane, Side side);

}  // namespace turnout::control
