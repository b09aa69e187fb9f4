#include "control/replication.hpp"

#include <fmt/format.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>

#include "control/names.hpp"

namespace turnout::control {

namespace {

/// Between two looks at a slot or a marker outside the window.
constexpr Microseconds kLook{500};

asio::awaitable<void> pause(Microseconds duration) {
    asio::steady_timer timer(co_await asio::this_coro::executor, duration);
    co_await timer.async_wait(asio::use_awaitable);
}

[[noreturn]] void too_late(const PgConnection& connection, std::string message) {
    PgError::Fields fields;
    fields.outcome = Outcome::unknown;
    fields.side = connection.side();
    fields.database = connection.database();
    fields.message = std::move(message);
    fields.timed_out = true;
    throw PgError(std::move(fields));
}

asio::awaitable<void> alter(PgConnection& subscriber, const Stream& stream, std::string_view change) {
    co_await subscriber.query(
        fmt::format("ALTER SUBSCRIPTION {} {}", PgConnection::identifier(stream.subscription), change));
}

/// Without a refresh: pg_subscription_rel keeps every table, whatever the stream carries for now. A refresh could not
/// be part of a transaction, and would ask the other side.
asio::awaitable<void> set_publications(PgConnection& subscriber, const Stream& stream, bool marker_only) {
    const std::string list = marker_only ? std::string(names::kMarkerPublication)
                                         : fmt::format("{}, {}", names::kTablesPublication, names::kMarkerPublication);
    co_await alter(subscriber, stream, fmt::format("SET PUBLICATION {} WITH (refresh = false)", list));
}

asio::awaitable<void> wait_for_slot(PgConnection& source, std::string slot, bool active, Clock::time_point deadline) {
    for (;;) {
        const PgResult result =
            co_await source.query_by(deadline, "SELECT active FROM pg_replication_slots WHERE slot_name = $1", slot);
        if (result.empty()) too_late(source, fmt::format("the slot {} does not exist", slot));
        if (result.as<bool>(0, 0) == active) co_return;
        if (Clock::now() >= deadline) {
            too_late(source, fmt::format("the slot {} is still {}", slot, active ? "inactive" : "active"));
        }
        co_await pause(kLook);
    }
}

}  // namespace

// --------------------------------------------------------------------------------------------------------- connections

asio::awaitable<DatabaseConnections> DatabaseConnections::open(const Cluster& cluster, Side side,
                                                               bool synchronous_commit) {
    DatabaseConnections all;
    for (const std::string& database : cluster.databases()) {
        all.connections_.push_back(co_await cluster.connect(side, database, synchronous_commit));
    }
    co_return all;
}

bool DatabaseConnections::all_alive() const {
    for (const auto& connection : connections_) {
        if (!connection->is_alive()) return false;
    }
    return true;
}

void DatabaseConnections::close() { connections_.clear(); }

// ------------------------------------------------------------------------------------------------------------- streams

asio::awaitable<std::optional<Stream>> find_stream(PgConnection& subscriber) {
    const PgResult result = co_await subscriber.query(
        "SELECT oid, subname, subslotname, subenabled, subpublications = ARRAY[$2::text] FROM pg_subscription "
        "WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND subname = $1",
        names::subscription(subscriber.side()), names::kMarkerPublication);
    if (result.empty()) co_return std::nullopt;
    Stream stream;
    stream.database = subscriber.database();
    stream.subscriber = subscriber.side();
    stream.subscription_oid = result.as<std::uint32_t>(0, 0);
    stream.subscription = result.as<std::string>(0, 1);
    stream.slot = result.as<std::string>(0, 2);
    stream.enabled = result.as<bool>(0, 3);
    stream.narrowed = result.as<bool>(0, 4);
    co_return stream;
}

std::string disable_command(const Stream& stream) {
    return fmt::format("ALTER SUBSCRIPTION {} DISABLE", PgConnection::identifier(stream.subscription));
}

asio::awaitable<void> disable(PgConnection& subscriber, const Stream& stream) {
    return alter(subscriber, stream, "DISABLE");
}
asio::awaitable<void> enable(PgConnection& subscriber, const Stream& stream) {
    return alter(subscriber, stream, "ENABLE");
}
asio::awaitable<void> narrow(PgConnection& subscriber, const Stream& stream) {
    return set_publications(subscriber, stream, true);
}
asio::awaitable<void> widen(PgConnection& subscriber, const Stream& stream) {
    return set_publications(subscriber, stream, false);
}

asio::awaitable<void> wait_until_inactive(PgConnection& source, const std::string& slot, Clock::time_point deadline) {
    return wait_for_slot(source, slot, false, deadline);
}
asio::awaitable<void> wait_until_active(PgConnection& source, const std::string& slot, Clock::time_point deadline) {
    return wait_for_slot(source, slot, true, deadline);
}

asio::awaitable<void> park(PgConnection& subscriber, PgConnection& source, const Stream& stream,
                           Clock::time_point deadline) {
    co_await disable(subscriber, stream);
    co_await wait_until_inactive(source, stream.slot, deadline);
}

asio::awaitable<Lsn> origin_progress(PgConnection& subscriber, const Stream& stream) {
    const PgResult result = co_await subscriber.query("SELECT pg_replication_origin_progress($1, false)",
                                                      names::origin(stream.subscription_oid));
    co_return result.maybe<Lsn>(0, 0).value_or(Lsn{});
}

asio::awaitable<OriginAdvance> advance_origin(PgConnection& subscriber, PgConnection& source, const Stream& stream,
                                              Lsn noted, Clock::time_point deadline) {
    const PgResult state =
        co_await subscriber.query("SELECT subenabled FROM pg_subscription WHERE oid = $1", stream.subscription_oid);
    if (state.empty()) too_late(subscriber, fmt::format("the subscription {} does not exist", stream.subscription));
    if (state.as<bool>(0, 0)) co_return OriginAdvance::enabled;
    co_await wait_until_inactive(source, stream.slot, deadline);
    // Asked and set in one statement, and only while nobody can have enabled it: the function itself refuses an origin
    // that a worker uses. It sets back as readily as forward, and no transaction undoes it.
    const PgResult moved = co_await subscriber.query(
        "SELECT pg_replication_origin_advance($1, $2::pg_lsn) FROM pg_subscription WHERE oid = $3 AND NOT subenabled "
        "AND coalesce(pg_replication_origin_progress($1, false), '0/0') < $2::pg_lsn",
        names::origin(stream.subscription_oid), noted, stream.subscription_oid);
    if (moved.empty()) co_return OriginAdvance::was_beyond;
    co_return OriginAdvance::advanced;
}

// ------------------------------------------------------------------------------------------------------------- markers

std::int64_t next_beat() {
    static std::mt19937_64 random{std::random_device{}()};
    return static_cast<std::int64_t>(random() >> 2U) + 1;
}

asio::awaitable<void> prepare_nudge(PgConnection& source) {
    co_await source.prepare(
        kNudge, fmt::format("UPDATE {} SET beat = $1 WHERE id = 1", names::qualified_marker_table(source.side())));
}

asio::awaitable<std::int64_t> send_beat(PgConnection& source, Clock::time_point deadline) {
    const std::string table = names::qualified_marker_table(source.side());
    const std::int64_t beat = next_beat();
    const PgResult sent =
        co_await source.query_by(deadline, fmt::format("UPDATE {} SET beat = $1 WHERE id = 1", table), beat);
    if (sent.affected() != 1) too_late(source, fmt::format("the marker table {} has lost its row", table));
    co_return beat;
}

asio::awaitable<Microseconds> probe(PgConnection& source, PgConnection& subscriber, Clock::time_point deadline) {
    const std::string table = names::qualified_marker_table(source.side());
    const auto began = Clock::now();
    const std::int64_t beat = co_await send_beat(source, deadline);
    for (;;) {
        const PgResult seen =
            co_await subscriber.query_by(deadline, fmt::format("SELECT beat FROM {} WHERE id = 1", table));
        if (!seen.empty() && seen.as<std::int64_t>(0, 0) == beat) {
            co_return std::chrono::duration_cast<Microseconds>(Clock::now() - began);
        }
        if (Clock::now() >= deadline) {
            too_late(subscriber,
                     fmt::format("a row written to {} on {} has not arrived", table, turnout::name(source.side())));
        }
        co_await pause(kLook);
    }
}

asio::awaitable<bool> has_gap(PgConnection& source, PgConnection& subscriber, const Stream& stream,
                              Clock::time_point deadline) {
    const std::string beat =
        fmt::format("SELECT coalesce((SELECT beat FROM {} WHERE id = 1), -1), pg_current_wal_insert_lsn()",
                    names::qualified_marker_table(source.side()));
    const std::string seen = fmt::format("SELECT coalesce((SELECT beat FROM {} WHERE id = 1), -1)",
                                         names::qualified_marker_table(source.side()));
    while (Clock::now() < deadline) {
        const PgResult sent = co_await source.query(beat);
        // The row was lost, or made anew since: what the standby has cannot be judged by it.
        if (sent.as<std::int64_t>(0, 0) <= 0) co_return false;
        const PgResult arrived = co_await subscriber.query(seen);
        if (arrived.get(0, 0) == sent.get(0, 0)) co_return false;
        const PgResult passed = co_await source.query(
            "SELECT r.state = 'streaming' AND r.replay_lsn >= $1::pg_lsn FROM pg_replication_slots s "
            "JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = $2",
            sent.get(0, 1), stream.slot);
        if (!passed.empty() && !passed.is_null(0, 0) && passed.as<bool>(0, 0)) {
            const PgResult again = co_await subscriber.query(seen);
            const PgResult still = co_await source.query(beat);
            if (still.get(0, 0) == sent.get(0, 0)) co_return again.get(0, 0) != sent.get(0, 0);
        }
        co_await pause(kLook);
    }
    co_return false;
}

// ------------------------------------------------------------------------------------------------------- barrier, lag

asio::awaitable<void> prepare_barrier(PgConnection& active, bool schema_watched) {
    co_await active.prepare(
        kBarrier,
        fmt::format("SELECT pg_current_wal_insert_lsn(), pg_current_wal_insert_lsn() <= pg_current_wal_flush_lsn(), "
                    "EXISTS (SELECT FROM pg_prepared_xact() WHERE dbid = (SELECT oid FROM pg_database WHERE datname = "
                    "current_database())), {}",
                    schema_watched ? "(SELECT count(*) FROM turnout.schema_change)" : "NULL::bigint"));
    co_await active.exec_prepared(kBarrier);
}

Barrier barrier(const PgResult& result) {
    return {result.as<Lsn>(0, 0), result.as<bool>(0, 1), result.as<bool>(0, 2), result.maybe<std::int64_t>(0, 3)};
}

asio::awaitable<std::vector<StreamLag>> read_lag(PgConnection& source, Side subscriber) {
    const PgResult result = co_await source.query(
        "SELECT s.database, r.state IS NOT DISTINCT FROM 'streaming', "
        "greatest(0, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), coalesce(r.replay_lsn, "
        "s.confirmed_flush_lsn)))::bigint, "
        "coalesce(extract(epoch FROM r.replay_lag), 0)::float8, "
        "coalesce(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn), 0)::bigint, "
        "coalesce(s.wal_status, ''), coalesce(s.active_pid, 0) "
        "FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid "
        "WHERE s.slot_name ~ $1 ORDER BY 1",
        fmt::format("^{}_[0-9]+$", names::subscription(subscriber)));
    std::vector<StreamLag> all;
    for (int i = 0; i < result.rows(); ++i) {
        StreamLag lag;
        lag.database = result.as<std::string>(i, 0);
        lag.streaming = result.as<bool>(i, 1);
        lag.bytes = result.as<std::int64_t>(i, 2);
        lag.seconds = result.as<double>(i, 3);
        lag.retained = result.as<std::int64_t>(i, 4);
        lag.wal_status = result.as<std::string>(i, 5);
        lag.walsender = result.as<std::int32_t>(i, 6);
        all.push_back(std::move(lag));
    }
    co_return all;
}

}  // namespace turnout::control
