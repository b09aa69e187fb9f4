// A standby that somebody else made, with a subscription that already runs: it becomes turnout's own stream.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "control/pg_connection.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// Looks for the one subscription of `target`'s database that is not turnout's, and that carries every table of
/// `source` whole and has copied all of them. Returns its name; empty: there is none, but turnout's own is there.
/// Throws SyncRefused if it cannot be used as it is; nothing is changed.
asio::awaitable<std::string> find_adoptable(PgConnection& target, PgConnection& source);

/// Makes turnout's stream of it: a copy of its slot under turnout's name, turnout's publications (which must exist on
/// `source`, with the markers on both sides), the other options as for a stream of turnout's own. No change is lost or
/// applied twice: the position is the origin's, which stays. Throws PgError; theirs goes on then, unless that server
/// cannot be reached.
asio::awaitable<void> adopt(const Cluster& cluster, PgConnection& target, PgConnection& source,
                            std::string subscription);

}  // namespace turnout::control
