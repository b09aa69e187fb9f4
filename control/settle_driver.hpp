// Brings both sides into the steady state of the active one: looks, plans (settle.hpp), acts, and looks again.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "control/data_plane.hpp"
#include "control/settle.hpp"
#include "control/side.hpp"
#include "control/switch_doubtful.hpp"
#include "control/switch_steps.hpp"

namespace turnout::control {

/// Works until nothing is left to do or `deadline` has passed; what fails is tried again. What is left then stands in
/// the reply, as sentences. If the standby cannot be reached, what the active side needs is done all the same.
/// Repeatable at any time while no switch runs; `generation` must be the active side's.
///
/// What a round leaves under way when it fails, or is cancelled, is noted in `doubtful` and ended before the next: an
/// ENABLE that comes late would wake a stream that was parked since. Throws only system_error(operation_aborted) when
/// cancelled.
asio::awaitable<reply::Settled> settle(const Cluster& cluster, Side active, std::int64_t generation,
                                       Clock::time_point deadline, DoubtfulBackends& doubtful);

/// What settle() would see. Throws PgError: a side cannot be reached.
asio::awaitable<PairState> look_at_pair(const Cluster& cluster, Side active);

}  // namespace turnout::control
