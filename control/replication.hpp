// One database's stream from one side to the other (a subscription and its slot), and what a switch does with it.
//
// A stream is in one of three shapes:
//   whole    its subscription takes turnout_tables and turnout_mark, enabled: it carries everything
//   probing  it takes turnout_mark only, enabled: it carries the marker row and so moves its own slot (the way back)
//   parked   disabled, and its slot inactive: ready to be turned round
// The position at which the way back goes on is the subscriber's (pg_replication_origin_advance): written to WAL there,
// exact, repeatable. Nothing advances a slot by hand.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/data_plane.hpp"
#include "control/lsn.hpp"
#include "control/pg_connection.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// A subscription of turnout's and its slot. A copy of what the catalogs said.
struct Stream {
    std::string database;
    Side subscriber = Side::green;
    std::uint32_t subscription_oid = 0;
    std::string subscription;  ///< "turnout_to_green"
    std::string slot;          ///< on the source
    bool enabled = false;
    bool narrowed = false;  ///< takes the marker publication only

    Side source() const { return other(subscriber); }
};

/// Connections to every switched database of one side, in the order of Cluster::databases().
class DatabaseConnections {
  public:
    /// Opens them, one after the other. Throws the first PgError.
    static asio::awaitable<DatabaseConnections> open(const Cluster& cluster, Side side, bool synchronous_commit = true);

    std::size_t size() const { return connections_.size(); }
    PgConnection& operator[](std::size_t i) { return *connections_[i]; }
    bool all_alive() const;
    void close();

  private:
    std::vector<PgConnection::Ptr> connections_;
};

/// The stream towards the side of `subscriber` in its database, or nullopt if there is none.
asio::awaitable<std::optional<Stream>> find_stream(PgConnection& subscriber);

// ------------------------------------------------------------------------------------- turning streams (not in a
// window) `subscriber` is a connection to the stream's database on the subscribing side, `source` any connection to the
// other.

/// The command that disables a stream; what the window sends (over a connection with synchronous_commit off).
std::string disable_command(const Stream& stream);
asio::awaitable<void> disable(PgConnection& subscriber, const Stream& stream);
/// Without waiting for the walsender. Needs both sides up only later.
asio::awaitable<void> enable(PgConnection& subscriber, const Stream& stream);
/// Marker publication only, without a refresh.
asio::awaitable<void> narrow(PgConnection& subscriber, const Stream& stream);
/// Both publications, without a refresh.
asio::awaitable<void> widen(PgConnection& subscriber, const Stream& stream);
/// Waits until no walsender uses the slot, asking every ms at most. Throws PgError (timed_out) at the deadline.
asio::awaitable<void> wait_until_inactive(PgConnection& source, const std::string& slot, Clock::time_point deadline);
/// Waits until a walsender uses it.
asio::awaitable<void> wait_until_active(PgConnection& source, const std::string& slot, Clock::time_point deadline);
/// disable() and wait_until_inactive().
asio::awaitable<void> park(PgConnection& subscriber, PgConnection& source, const Stream& stream,
                           Clock::time_point deadline);

enum class OriginAdvance {
    advanced,    ///< the position was set
    was_beyond,  ///< progress was at or above `noted` already: the stream has run since, and must not be set back
    enabled,     ///< the subscription is enabled: nothing was done
};
/// Sets where the parked stream goes on, if its subscription is disabled, its slot inactive and its progress below
/// `noted` (a position of the source). Repeatable; enable()'s commit makes it last, and until then a crash only means
/// that it must be repeated.
asio::awaitable<OriginAdvance> advance_origin(PgConnection& subscriber, PgConnection& source, const Stream& stream,
                                              Lsn noted, Clock::time_point deadline);
/// The stream's progress: the source's position up to which it has applied; Lsn{} if none.
asio::awaitable<Lsn> origin_progress(PgConnection& subscriber, const Stream& stream);

// ------------------------------------------------------------------------------------------------------------- markers

/// A value for the marker row that no other update of it uses. Positive.
std::int64_t next_beat();
/// Prepared on a connection to a database of the source, which must commit synchronously: one parameter, the beat.
inline constexpr const char* kNudge = "turnout_nudge";
asio::awaitable<void> prepare_nudge(PgConnection& source);

/// Commits a beat on the source; what it was. Throws PgError also if the marker table has lost its row.
asio::awaitable<std::int64_t> send_beat(PgConnection& source, Clock::time_point deadline = Clock::time_point::max());
/// Commits a beat on the source and waits until it is seen on the subscriber; how long that took. Neither connection
/// needs anything prepared. Throws PgError (timed_out).
asio::awaitable<Microseconds> probe(PgConnection& source, PgConnection& subscriber, Clock::time_point deadline);

/// True if the stream has passed the source's last beat and the subscriber does not show it: it was restored from a
/// copy that is older than what its slot had already been given, and the rows between will never come. False also if
/// that cannot be told: by the deadline, or without a row of the source's. Nobody may send a beat before.
asio::awaitable<bool> has_gap(PgConnection& source, PgConnection& subscriber, const Stream& stream,
                              Clock::time_point deadline);

// ------------------------------------------------------------------------------------------------------------- barrier

/// What a database of the active side says after the drain.
struct Barrier {
    Lsn lsn;                                     ///< pg_current_wal_insert_lsn()
    bool flushed = false;                        ///< all up to there is
    bool prepared_transactions = false;          ///< there are some in this database
    std::optional<std::int64_t> schema_changes;  ///< noted so far (schema_watch.hpp), where they are
};
/// Prepared on a connection to a database of the active side. No parameters: one round trip tells it all.
/// `schema_watched`: the table of schema changes exists.
inline constexpr const char* kBarrier = "turnout_barrier";
asio::awaitable<void> prepare_barrier(PgConnection& active, bool schema_watched);
Barrier barrier(const PgResult& result);

// ----------------------------------------------------------------------------------------------------------------- lag

struct StreamLag {
    std::string database;
    bool streaming = false;      ///< a walsender uses the slot and is in state `streaming`
    std::int64_t bytes = 0;      ///< written on the source and not yet applied
    double seconds = 0;          ///< the walsender's own estimate (replay_lag); 0 if it has none
    std::int64_t retained = 0;   ///< bytes of WAL that the slot keeps
    std::string wal_status;      ///< reserved, extended, unreserved, lost
    std::int32_t walsender = 0;  ///< pid
};
/// Of every stream towards `subscriber`, by their slots; one row for each slot found. `source`: any database.
asio::awaitable<std::vector<StreamLag>> read_lag(PgConnection& source, Side subscriber);

}  // namespace turnout::control
