// Makes and removes turnout's objects in a switched database: markers, publications, subscriptions with their slots.
// Everything looks before it acts and may be repeated.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "control/pg_connection.hpp"
#include "control/replication.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// Tables that replication must carry, qualified and quoted: permanent, of users, no partitions (their roots stand for
/// them), no members of extensions.
asio::awaitable<std::vector<std::string>> carried_tables(PgConnection& connection);

/// Schema turnout with the schema watch, both marker tables and the row of the marker that this side publishes; the
/// other marker has its row put in too, unless `copied` says that the first copy will bring it.
asio::awaitable<void> make_markers(PgConnection& connection, bool copied);

/// Both publications, the tables' list brought up to date. Returns true if it changed.
asio::awaitable<bool> make_publications(PgConnection& connection, const std::vector<std::string>& tables);

/// A subscription of turnout's on `subscriber` to the same database of `source`, with its slot. `copy`: enabled, takes
/// everything from the start. Otherwise: knows all tables, takes the marker only, enabled (the way back as a probe).
asio::awaitable<Stream> make_subscription(const Cluster& cluster, PgConnection& subscriber, PgConnection& source,
                                          bool copy);

/// Removes the subscription without touching its slot.
asio::awaitable<void> drop_subscription(PgConnection& subscriber, const std::string& subscription);
/// Removes a slot, ending the walsender that uses it; false if there is none. Also the slots of its copies that were
/// interrupted (`subscription_oid` 0: not known).
asio::awaitable<bool> drop_slot(PgConnection& source, const std::string& slot, std::uint32_t subscription_oid,
                                Clock::time_point deadline);
/// Publications and schema turnout.
asio::awaitable<void> drop_publications_and_markers(PgConnection& connection);

}  // namespace turnout::control
