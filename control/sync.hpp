// `sync`: makes the standby a living copy of the active side, and the way back ready. Every step looks before it acts,
// so that a sync which was interrupted goes on where it stood.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/data_plane.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// One line of progress. Sent when a step begins or ends and about twice a second while tables are copied.
struct SyncProgress {
    std::string phase;     ///< roles, databases, schema, publication, copy, indexes, sequences, analyze, way_back, done
    std::string database;  ///< empty: the server as a whole
    std::string table;     ///< empty: the database as a whole
    std::string message;   ///< a sentence, where numbers do not tell
    std::uint64_t done = 0;         ///< tables that are ready (phase copy, without a table)
    std::uint64_t total = 0;        ///< tables altogether
    std::uint64_t bytes = 0;        ///< copied so far
    std::uint64_t total_bytes = 0;  ///< estimate from the source's relation sizes; 0: not known
    double rate = 0;                ///< bytes per second, over the last seconds
    std::optional<Milliseconds> eta;
};
using SyncSink = std::function<void(const SyncProgress&)>;

/// Why it was refused, before anything was changed or after what it made was undone; a sentence with the remedy.
class SyncRefused : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

struct SyncReport {
    std::uint64_t tables = 0;
    std::uint64_t bytes = 0;
    Milliseconds elapsed{0};
    std::vector<std::string> notices;  ///< what was done differently from the source (tablespaces, owners)
};

/// Copies `active` to the other side for every database of the cluster. Returns when every table of every database is
/// ready and both ways have carried a probe row.
///
/// If it is cancelled or fails, what it made that holds WAL on the active side (subscriptions, slots) and the
/// publications are removed again, unless a copy had been completed for that database: then its streams stay and the
/// next sync goes on from there. Databases and roles on the standby stay. Throws SyncRefused, PgError, or
/// system_error(operation_aborted).
///
/// `adopts`: a standby that somebody else made is not copied; its subscription becomes turnout's (sync_adopt.hpp).
asio::awaitable<SyncReport> sync(const Cluster& cluster, Side active, SyncSink sink, bool adopts = false);

}  // namespace turnout::control
