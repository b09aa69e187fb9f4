#include "control/schema_watch.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace turnout::control {

namespace {

/// Between two looks at transactions that are waited for.
constexpr Milliseconds kLook{2};

constexpr const char* kIsThere =
    "SELECT count(*) = 2 FROM pg_catalog.pg_event_trigger WHERE evtname IN ('turnout_schema_change', "
    "'turnout_schema_drop')";

/// Whoever changes the schema writes the row as himself, so everybody may: a row too many only has the mark read. What
/// DROP removes is told by sql_drop alone.
constexpr const char* kMake = R"(
CREATE TABLE IF NOT EXISTS turnout.schema_change (
  changed timestamptz NOT NULL DEFAULT clock_timestamp(),
  command name NOT NULL);  -- not text: its TOAST index would be a relation of the mark
GRANT USAGE ON SCHEMA turnout TO public;
GRANT INSERT ON turnout.schema_change TO public;
CREATE OR REPLACE FUNCTION turnout.note_schema_change() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  IF tg_event = 'sql_drop' THEN
    IF NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary) THEN
      RETURN;
    END IF;
  ELSIF NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp') THEN
    RETURN;
  END IF;
  INSERT INTO turnout.schema_change (command) VALUES (tg_tag);
END
$function$;
DO $do$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname = 'turnout_schema_change') THEN
    CREATE EVENT TRIGGER turnout_schema_change ON ddl_command_end EXECUTE FUNCTION turnout.note_schema_change();
    ALTER EVENT TRIGGER turnout_schema_change DISABLE;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname = 'turnout_schema_drop') THEN
    CREATE EVENT TRIGGER turnout_schema_drop ON sql_drop EXECUTE FUNCTION turnout.note_schema_change();
    ALTER EVENT TRIGGER turnout_schema_drop DISABLE;
  END IF;
END
$do$;)";

/// ALWAYS: a session with session_replication_role = replica changes schemas, too.
constexpr const char* kRaise =
    "ALTER EVENT TRIGGER turnout_schema_change ENABLE ALWAYS; ALTER EVENT TRIGGER turnout_schema_drop ENABLE ALWAYS";

constexpr const char* kLower = R"(
DO $do$
DECLARE name text;
BEGIN
  FOR name IN SELECT evtname FROM pg_catalog.pg_event_trigger
              WHERE evtname IN ('turnout_schema_change', 'turnout_schema_drop') AND evtenabled <> 'D' LOOP
    EXECUTE format('ALTER EVENT TRIGGER %I DISABLE', name);
  END LOOP;
END
$do$)";

/// Whoever changes a schema is a client or a background worker, but for what applies, sends or vacuums.
constexpr const char* kRunning =
    "SELECT coalesce(array_agg(l.virtualxid), '{}') FROM pg_catalog.pg_locks l "
    "JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'virtualxid' AND l.granted "
    "AND a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid() "
    "AND a.backend_type NOT IN ('walsender', 'autovacuum worker') AND a.backend_type NOT LIKE 'logical replication%'";

constexpr const char* kStillRunning =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'virtualxid' AND granted "
    "AND virtualxid = ANY ($1::text[]))";

/// Runs commands of which none stays if one is refused. False: the role may not.
asio::awaitable<bool> is_allowed(PgConnection& connection, const char* commands) {
    constexpr std::string_view kInsufficientPrivilege = "42501";
    try {
        co_await connection.query(commands);
    } catch (const PgError& error) {
        if (error.sqlstate() != kInsufficientPrivilege) throw;
        co_return false;
    }
    co_return true;
}

}  // namespace

asio::awaitable<bool> make_schema_watch(PgConnection& connection) {
    const PgResult there = co_await connection.query(kIsThere);
    if (there.as<bool>(0, 0)) co_return true;
    const bool made = co_await is_allowed(connection, kMake);
    co_return made;
}

asio::awaitable<bool> raise_schema_watch(PgConnection& connection) {
    const bool made = co_await make_schema_watch(connection);
    if (!made) co_return false;
    // Those that somebody else has made are his.
    const bool raised = co_await is_allowed(connection, kRaise);
    co_return raised;
}

/// One that another role has put up stays up: it notes more than is asked for, and no settling may fail for that.
asio::awaitable<void> lower_schema_watch(PgConnection& connection) { co_await is_allowed(connection, kLower); }

asio::awaitable<std::string> running_transactions(PgConnection& connection) {
    const PgResult running = co_await connection.query(kRunning);
    co_return running.as<std::string>(0, 0);
}

asio::awaitable<bool> outwait(PgConnection& connection, std::string transactions, Clock::time_point deadline) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        const PgResult running = co_await connection.query(kStillRunning, transactions);
        if (!running.as<bool>(0, 0)) co_return true;
        if (Clock::now() >= deadline) co_return false;
        timer.expires_after(kLook);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

}  // namespace turnout::control
