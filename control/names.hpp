// Every object that turnout makes in a server, by name: whatever begins with `turnout` is ours, nothing else is.
//
//   each switched database, both sides   schema turnout
//                                          tables mark_blue, mark_green: one row (id 1), on both sides; mark_X is
//                                          published by X only, so that no change can circulate
//                                          table schema_change, function note_schema_change, which the event triggers
//                                          turnout_schema_change and turnout_schema_drop call while a switch is
//                                          prepared
//                                        publication turnout_tables: every permanent table, listed by name
//                                        publication turnout_mark: the marker table of the side it stands on
//   on each side, towards it             subscription turnout_to_<side> in each database (pg_subscription's names are
//   per
//                                          database); its slot on the other side turnout_to_<side>_<oid of the database
//                                          there>
//   journal database, both sides         schema turnout: journal, intent, fence
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "control/data_plane.hpp"

namespace turnout::control::names {

inline constexpr std::string_view kSchema = "turnout";
inline constexpr std::string_view kTablesPublication = "turnout_tables";
inline constexpr std::string_view kMarkerPublication = "turnout_mark";
/// What pg_stat_activity shows of control's own sessions.
inline constexpr std::string_view kApplicationName = "turnout control";

/// "mark_blue": the marker table that `source` publishes, without the schema.
std::string marker_table(Side source);
/// "turnout.mark_blue".
std::string qualified_marker_table(Side source);
/// "turnout_to_green": the subscription on `subscriber`, in each of its databases.
std::string subscription(Side subscriber);
/// The slot of that subscription on the other side; `source_database_oid` is pg_database.oid there. At most 63 bytes of
/// [a-z0-9_], unique in the source's server.
std::string slot(Side subscriber, std::uint32_t source_database_oid);
/// "pg_16400": the replication origin of a subscription, by pg_subscription.oid.
std::string origin(std::uint32_t subscription_oid);

}  // namespace turnout::control::names
