#include "control/stream_setup.hpp"

#include <fmt/format.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "control/names.hpp"
#include "control/schema_watch.hpp"

namespace turnout::control {

namespace {

constexpr Milliseconds kLook{5};

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
    return text;
}

asio::awaitable<std::vector<std::string>> published_tables(PgConnection& connection) {
    const PgResult result = co_await connection.query(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = "
        "p.oid "
        "JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1 ORDER "
        "BY 1",
        names::kTablesPublication);
    std::vector<std::string> tables;
    for (int i = 0; i < result.rows(); ++i) tables.push_back(result.as<std::string>(i, 0));
    co_return tables;
}

asio::awaitable<bool> publication_exists(PgConnection& connection, std::string_view publication) {
    const PgResult result =
        co_await connection.query("SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = $1)", publication);
    co_return result.as<bool>(0, 0);
}

/// What both ends can do. Of the options only those change what is carried that both sides know.
std::string subscription_options(const PgConnection& subscriber, const PgConnection& source, const std::string& slot,
                                 bool copy) {
    std::string options = fmt::format("slot_name = '{}', copy_data = {}, enabled = {}", slot, copy, copy);
    if (subscriber.server_major() >= 16 && source.server_major() >= 16) {
        options += ", origin = none, streaming = parallel";
    } else if (subscriber.server_major() >= 14 && source.server_major() >= 14) {
        options += ", streaming = on";
    }
    if (subscriber.server_major() >= 16) options += ", run_as_owner = true";
    return options;
}

}  // namespace

asio::awaitable<std::vector<std::string>> carried_tables(PgConnection& connection) {
    const PgResult result = co_await connection.query(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition "
        "AND n.nspname NOT IN ('information_schema', 'turnout') AND n.nspname !~ '^pg_' "
        "AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid "
        "AND e.deptype = 'e') ORDER BY 1");
    std::vector<std::string> tables;
    for (int i = 0; i < result.rows(); ++i) tables.push_back(result.as<std::string>(i, 0));
    co_return tables;
}

asio::awaitable<void> make_markers(PgConnection& connection, bool copied) {
    std::string sql =
        "CREATE SCHEMA IF NOT EXISTS turnout;"
        "COMMENT ON SCHEMA turnout IS 'made by turnout; removed by turnout finish and turnout abort';";
    for (const Side source : {Side::blue, Side::green}) {
        const std::string table = names::qualified_marker_table(source);
        sql += fmt::format("CREATE TABLE IF NOT EXISTS {} (id integer PRIMARY KEY, beat bigint NOT NULL);", table);
        if (source == connection.side() || !copied) {
            sql += fmt::format("INSERT INTO {} VALUES (1, 0) ON CONFLICT DO NOTHING;", table);
        }
    }
    co_await connection.query(sql);
    co_await make_schema_watch(connection);
}

asio::awaitable<bool> make_publications(PgConnection& connection, const std::vector<std::string>& tables) {
    if (!co_await publication_exists(connection, names::kMarkerPublication)) {
        co_await connection.query(fmt::format("CREATE PUBLICATION {} FOR TABLE {} WITH (publish = 'update')",
                                              names::kMarkerPublication,
                                              names::qualified_marker_table(connection.side())));
    }
    if (!co_await publication_exists(connection, names::kTablesPublication)) {
        std::string sql = fmt::format("CREATE PUBLICATION {}", names::kTablesPublication);
        if (!tables.empty()) sql += " FOR TABLE " + joined(tables);
        co_await connection.query(
            sql + " WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)");
        co_return true;
    }
    const std::vector<std::string> published = co_await published_tables(connection);
    if (published == tables) co_return false;
    if (tables.empty()) {
        co_await connection.query(
            fmt::format("ALTER PUBLICATION {} DROP TABLE {}", names::kTablesPublication, joined(published)));
    } else {
        co_await connection.query(
            fmt::format("ALTER PUBLICATION {} SET TABLE {}", names::kTablesPublication, joined(tables)));
    }
    co_return true;
}

asio::awaitable<Stream> make_subscription(const Cluster& cluster, PgConnection& subscriber, PgConnection& source,
                                          bool copy) {
    const PgResult oid = co_await source.query("SELECT oid FROM pg_database WHERE datname = current_database()");
    const std::string slot = names::slot(subscriber.side(), oid.as<std::uint32_t>(0, 0));
    const std::string conninfo = cluster.replication_conninfo(source.side(), source.database()).text();
    // A slot is made where no transaction runs that is older: that wait has no bound of its own.
    co_await subscriber.query_by(
        Clock::time_point::max(),
        fmt::format("CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {}, {} WITH ({})",
                    names::subscription(subscriber.side()), PgConnection::literal(conninfo), names::kTablesPublication,
                    names::kMarkerPublication, subscription_options(subscriber, source, slot, copy)));
    std::optional<Stream> stream = co_await find_stream(subscriber);
    if (!stream) throw std::logic_error("a subscription that was just made is not there");
    if (!copy) {
        co_await narrow(subscriber, *stream);
        co_await enable(subscriber, *stream);
        stream->narrowed = true;
        stream->enabled = true;
    }
    co_return *stream;
}

asio::awaitable<void> drop_subscription(PgConnection& subscriber, const std::string& subscription) {
    const PgResult there = co_await subscriber.query(
        "SELECT FROM pg_subscription WHERE subname = $1 "
        "AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        subscription);
    if (there.empty()) co_return;
    const std::string name = PgConnection::identifier(subscription);
    co_await subscriber.query(fmt::format("ALTER SUBSCRIPTION {} DISABLE", name));
    co_await subscriber.query(fmt::format("ALTER SUBSCRIPTION {} SET (slot_name = NONE)", name));
    co_await subscriber.query(fmt::format("DROP SUBSCRIPTION {}", name));
}

asio::awaitable<bool> drop_slot(PgConnection& source, const std::string& slot, std::uint32_t subscription_oid,
                                Clock::time_point deadline) {
    const std::string copies = fmt::format("^pg_{}_sync_", subscription_oid);
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (bool found = false;; found = true) {
        const PgResult slots = co_await source.query_by(
            deadline, "SELECT slot_name, active_pid FROM pg_replication_slots WHERE slot_name = $1 OR slot_name ~ $2",
            slot, copies);
        if (slots.empty()) co_return found;
        for (int i = 0; i < slots.rows(); ++i) {
            if (!slots.is_null(i, 1)) {
                co_await source.query_by(deadline, "SELECT pg_terminate_backend($1)", slots.as<std::int32_t>(i, 1));
            }
        }
        // One that is active by now is left for the next round.
        co_await source.query_by(deadline,
                                 "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                                 "WHERE NOT active AND (slot_name = $1 OR slot_name ~ $2)",
                                 slot, copies);
        if (Clock::now() >= deadline) {
            PgError::Fields fields;
            fields.side = source.side();
            fields.message = fmt::format("the slot {} is still in use", slots.get(0, 0));
            fields.timed_out = true;
            throw PgError(std::move(fields));
        }
        timer.expires_after(kLook);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<void> drop_publications_and_markers(PgConnection& connection) {
    co_await connection.query(fmt::format("DROP PUBLICATION IF EXISTS {}, {}; DROP SCHEMA IF EXISTS turnout CASCADE",
                                          names::kTablesPublication, names::kMarkerPublication));
}

}  // namespace turnout::control
