// Whether a schema was changed, told in constant time: event triggers note each change in a table of turnout's own.
//
// The schema mark (catalog.hpp) says whether two looks found the same, but it reads the whole catalog: behind a closed
// gate that grows with the tables. While the watch is up, every command that changes anything but temporary objects
// leaves a row in turnout.schema_change, in its own transaction; as many rows as before means that nothing was changed,
// and only otherwise must the mark be read. Not noted: what event triggers do not fire for (databases, roles,
// tablespaces, event triggers), which is no part of the mark either but for other event triggers, and commands of a
// superuser who has turned them off (event_triggers, from 17 on).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>

#include "control/pg_connection.hpp"

namespace turnout::control {

/// Makes the watch's objects in the connection's database if they are missing, for later: it is down. The schema
/// turnout is there. False if the role may not (event triggers are for superusers): then the mark has to do.
asio::awaitable<bool> make_schema_watch(PgConnection& connection);
/// Puts it up, and makes it before if need be. False as above.
asio::awaitable<bool> raise_schema_watch(PgConnection& connection);
/// Takes it down. Its objects stay, disabled, for the next switch: a command under way could miss them.
asio::awaitable<void> lower_schema_watch(PgConnection& connection);

/// The transactions of the connection's database that were running just now, as an array of virtual transaction ids:
/// right after the watch was put up, those may hold a command that it does not see.
asio::awaitable<std::string> running_transactions(PgConnection& connection);
/// Waits until none of them runs any more. False: some still did at the deadline.
asio::awaitable<bool> outwait(PgConnection& connection, std::string transactions, Clock::time_point deadline);

}  // namespace turnout::control
