// The soft fence: default_transaction_read_only = on for all switched databases of a side, so that nobody writes there
// by accident. BEGIN READ WRITE passes it, and so does a role with a setting of its own; pg_hba.conf makes it hard.
// What passes all the same is found by strays.hpp and never merged.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "control/data_plane.hpp"
#include "control/journal.hpp"
#include "control/pg_connection.hpp"

namespace turnout::control {

/// Sets the fence on the side of this journal (whose tables must exist), in one transaction with the record of the
/// values it replaces. Databases that are fenced already keep their record; those that do not exist are left out.
asio::awaitable<void> raise_fence(Journal& journal, const std::vector<std::string>& databases);
/// Gives every fenced database its former value back (or none) and removes the record, in one transaction. Repeatable.
asio::awaitable<void> lift_fence(Journal& journal);

/// A session that reaches a switched database without this proxy, or a transaction that is waited for.
struct Outsider {
    std::int32_t pid = 0;
    std::string database;
    std::string user;
    std::string application;
    std::string address;  ///< empty: Unix socket
    std::string state;    ///< as pg_stat_activity has it; "logging in" if it is not there yet
    /// "pid 4711, user app on app from 10.0.0.7 (psql), idle"
    std::string text() const;
};

/// Waits until every transaction that ran when it was called has ended, except control's own, those of `own_pids` (the
/// proxy's backends), and those of other databases and of system processes. Sessions that were logging in have read the
/// old settings and are not yet in pg_stat_activity: their virtual transactions count, too. Returns who is left at the
/// deadline (empty: nobody).
asio::awaitable<std::vector<Outsider>> wait_out_transactions(PgConnection& connection,
                                                             const std::vector<std::string>& databases,
                                                             const std::set<std::int32_t>& own_pids,
                                                             Clock::time_point deadline);

/// Client backends of the switched databases that are neither control's nor in `own_pids`.
asio::awaitable<std::vector<Outsider>> find_outsiders(PgConnection& connection,
                                                      const std::vector<std::string>& databases,
                                                      const std::set<std::int32_t>& own_pids);
/// Tells the pids of the proxy's own backends on the server that is looked at, as they are at that moment; empty: there
/// are none.
using OwnPids = std::function<asio::awaitable<std::set<std::int32_t>>()>;
/// Client backends of the switched databases that bypass the proxy. A session of ours may log in or end during a look,
/// and then seems to be nobody's: an outsider is one that two looks find, each followed by asking for our own.
asio::awaitable<std::vector<Outsider>> find_bypassing(PgConnection& connection,
                                                      const std::vector<std::string>& databases, OwnPids own_pids);
/// Terminates those of find_outsiders() and waits until they are gone. Returns who is left at the deadline.
asio::awaitable<std::vector<Outsider>> end_outsiders(PgConnection& connection,
                                                     const std::vector<std::string>& databases,
                                                     const std::set<std::int32_t>& own_pids,
                                                     Clock::time_point deadline);

}  // namespace turnout::control
