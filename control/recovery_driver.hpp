// Finds out who may be served (recovery.hpp) from the servers as they are, and writes down what was decided.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "control/recovery.hpp"
#include "control/recovery_state.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// What both journals say now; a side that does not answer within the cluster's connect_timeout is missing.
asio::awaitable<JournalViews> read_journals(const Cluster& cluster);

/// decision::Serve: serve that side; the state file names its generation already, and strangers' sessions on the other
/// side, where it can be reached, were ended. Then settle() for that side should run in the background until nothing is
/// left (settle_driver.hpp), and again whenever the other side comes back.
/// decision::Nobody: answer clients 57P03 with its hint; ask again once a second unless it needs a person.
using Recovered = std::variant<decision::Serve, decision::Nobody>;

/// The caller holds the locks of the sides that can be reached (single_flight.hpp), and serves nobody. Throws nothing
/// but system_error(operation_aborted).
asio::awaitable<Recovered> recover(const Cluster& cluster, StateFile& state);

/// What force-active did.
struct Forced {
    std::int64_t generation = 0;
    std::vector<std::string> done;  ///< sentences: what was given up, what stands on the other side still
};

/// Makes a side active above everything that can be seen, ends all streams on it, and lifts its fence. Nobody may be
/// served meanwhile (or a switch is undecided: then Switcher::decide_for_old_side() follows). What it may lose is to be
/// said beforehand: forced_losses(). Throws PgError if that side cannot be written.
/// `serves`: it is served already, so its sequences are its own; otherwise they are as the last switch or sync left
/// them, and are raised (sequence_raise.hpp).
asio::awaitable<Forced> force_active(const Cluster& cluster, StateFile& state, Side side, bool serves);

}  // namespace turnout::control
