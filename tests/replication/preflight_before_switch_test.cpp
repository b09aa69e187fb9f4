// The checks that compare the sides, each provoked on real servers after a sync.
#include "control/sync.hpp"
#include "tests/replication/preflight_cases.hpp"

namespace turnout::control::test {
namespace {

using testing::HasSubstr;

/// Those that compare the sides, after one sync.
class PreflightBeforeSwitch : public PreflightTest {};

/// Many of one check each.
const std::vector<std::vector<Case>> kTogetherBeforeSwitch{
    {
        {"schema", Severity::refuse, "ALTER TABLE things ADD COLUMN later int",
         "table public.things differs: green lacks `column later integer`", "same DDL",
         "ALTER TABLE things DROP COLUMN later"},
        {"schema", Severity::refuse, "CREATE INDEX by_note ON things (note)", "by_note", "same DDL",
         "DROP INDEX by_note"},
        {"schema", Severity::refuse, "ALTER TABLE things ALTER COLUMN note SET DEFAULT 'x'",
         "table public.things differs: green lacks `column note text default 'x'::text`", "same DDL",
         "ALTER TABLE things ALTER COLUMN note DROP DEFAULT"},
        {"schema", Severity::refuse, "CREATE FUNCTION later() RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "function public.later() is missing on green", "same DDL", "DROP FUNCTION later"},
        {"schema", Severity::refuse, "GRANT SELECT ON things TO preflight_reader",
         "table public.things differs: green lacks `grant SELECT to preflight_reader`", "same DDL",
         "REVOKE SELECT ON things FROM preflight_reader"},
        {"schema", Severity::refuse, "CREATE OPERATOR === (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4eq)",
         "===(integer,integer)", "same DDL", "DROP OPERATOR === (integer, integer)"},
        {"schema", Severity::refuse,
         "CREATE FUNCTION feet(point) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';; CREATE CAST (point AS "
         "integer) WITH FUNCTION feet(point)",
         "cast (point as integer)", "same DDL", "DROP CAST (point AS integer);; DROP FUNCTION feet(point)"},
        {"schema", Severity::refuse, "CREATE AGGREGATE total (integer) (SFUNC = int4pl, STYPE = integer)",
         "aggregate public.total(integer)", "same DDL", "DROP AGGREGATE total (integer)"},
        {"schema", Severity::refuse, "CREATE POLICY a_few ON things USING (id > 0)", "a_few", "same DDL",
         "DROP POLICY a_few ON things"},
    },
    {
        {"schema", Severity::refuse, "GRANT CREATE ON SCHEMA apart TO preflight_reader",
         "schema apart differs: green lacks `grant CREATE to preflight_reader`", "same DDL",
         "REVOKE CREATE ON SCHEMA apart FROM preflight_reader"},
        {"schema", Severity::refuse, "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
         "schema public differs: blue lacks `grant USAGE to public`", "same DDL",
         "GRANT USAGE ON SCHEMA public TO PUBLIC"},
        {"schema", Severity::refuse, "GRANT UPDATE (note) ON things TO preflight_reader WITH GRANT OPTION",
         "table public.things differs: green lacks `grant UPDATE (note) to preflight_reader with grant option`",
         "same DDL", "REVOKE UPDATE (note) ON things FROM preflight_reader"},
        {"schema", Severity::refuse, "GRANT USAGE ON SEQUENCE numbers TO preflight_reader",
         "sequence public.numbers differs: green lacks `grant USAGE", "same DDL",
         "REVOKE USAGE ON SEQUENCE numbers FROM preflight_reader"},
        {"schema", Severity::refuse, "ALTER SEQUENCE numbers OWNED BY things.id", "sequence public.numbers differs",
         "same DDL", "ALTER SEQUENCE numbers OWNED BY NONE"},
        {"schema", Severity::refuse, "REVOKE EXECUTE ON FUNCTION seven() FROM PUBLIC",
         "function public.seven() differs: blue lacks `grant EXECUTE to public`", "same DDL",
         "GRANT EXECUTE ON FUNCTION seven() TO PUBLIC"},
        {"schema", Severity::refuse, "REVOKE USAGE ON TYPE mood FROM PUBLIC", "type public.mood differs: blue lacks",
         "same DDL", "GRANT USAGE ON TYPE mood TO PUBLIC"},
        {"schema", Severity::refuse, "ALTER TYPE mood OWNER TO preflight_reader",
         "type public.mood differs: green lacks `owner preflight_reader`", "same DDL",
         "ALTER TYPE mood OWNER TO CURRENT_USER"},
        {"schema", Severity::refuse, "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "language plpgsql differs",
         "same DDL", "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC"},
    },
    {
        {"schema", Severity::refuse,
         "ALTER DEFAULT PRIVILEGES IN SCHEMA apart GRANT SELECT ON TABLES TO preflight_reader",
         "default privileges of postgres in schema apart", "same DDL",
         "ALTER DEFAULT PRIVILEGES IN SCHEMA apart REVOKE SELECT ON TABLES FROM preflight_reader"},
        {"schema", Severity::refuse, "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
         "default privileges of postgres is missing on green", "same DDL",
         "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC"},
        {"schema", Severity::refuse, "GRANT CREATE ON DATABASE DATABASE_NAME TO preflight_reader",
         "differs: green lacks `grant CREATE to preflight_reader`", "same DDL",
         "REVOKE CREATE ON DATABASE DATABASE_NAME FROM preflight_reader"},
        {"schema", Severity::refuse, "REVOKE CONNECT ON DATABASE DATABASE_NAME FROM PUBLIC",
         "differs: blue lacks `grant CONNECT to public`", "same DDL",
         "GRANT CONNECT ON DATABASE DATABASE_NAME TO PUBLIC"},
        {"schema", Severity::refuse, "CREATE RULE quiet AS ON DELETE TO things DO INSTEAD NOTHING",
         "table public.things differs: green lacks `rule quiet", "same DDL", "DROP RULE quiet ON things"},
        {"schema", Severity::refuse, "ALTER VIEW few SET (security_barrier = true)",
         "view public.few differs: green lacks `with security_barrier=true`", "same DDL",
         "ALTER VIEW few RESET (security_barrier)"},
    },
    {
        {"schema", Severity::refuse, "GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO preflight_reader",
         "foreign data wrapper nothing differs", "same DDL",
         "REVOKE USAGE ON FOREIGN DATA WRAPPER nothing FROM preflight_reader"},
        {"schema", Severity::refuse, "GRANT USAGE ON FOREIGN SERVER elsewhere TO preflight_reader",
         "server elsewhere differs", "same DDL", "REVOKE USAGE ON FOREIGN SERVER elsewhere FROM preflight_reader"},
        {"schema", Severity::refuse, "ALTER SERVER elsewhere OPTIONS (ADD host 'there', ADD password 'confided')",
         "server elsewhere differs: green lacks `of nothing type  version  options host=there password owner postgres`",
         "same DDL", "ALTER SERVER elsewhere OPTIONS (DROP host, DROP password)"},
        {"schema", Severity::refuse, "CREATE USER MAPPING FOR preflight_reader SERVER elsewhere",
         "user mapping of preflight_reader for elsewhere is missing on green", "same DDL",
         "DROP USER MAPPING FOR preflight_reader SERVER elsewhere"},
        {"schema", Severity::refuse, "ALTER FOREIGN TABLE far OPTIONS (ADD rows '5')",
         "foreign table public.far differs: green lacks `on elsewhere options rows=5`", "same DDL",
         "ALTER FOREIGN TABLE far OPTIONS (DROP rows)"},
        // As if a provider of labels were loaded: none is in the distribution.
        {"schema", Severity::refuse,
         "INSERT INTO pg_seclabel VALUES ('things'::regclass, 'pg_class'::regclass, 0, 'guard', 'secret')",
         "security label of table public.things is missing on green", "same DDL", "DELETE FROM pg_seclabel"},
        {"schema", Severity::refuse,
         "ALTER TABLE things ENABLE ROW LEVEL SECURITY;; ALTER TABLE things FORCE ROW LEVEL "
         "SECURITY",
         "row security true forced true", "same DDL",
         "ALTER TABLE things NO FORCE ROW LEVEL SECURITY;; ALTER TABLE things DISABLE ROW LEVEL SECURITY"},
        {"schema", Severity::refuse, "ALTER TABLE things REPLICA IDENTITY USING INDEX things_pkey",
         "index public.things_pkey differs", "same DDL", "ALTER TABLE things REPLICA IDENTITY DEFAULT"},
    },
    {
        {"details", Severity::warn, "ALTER TABLE things SET (fillfactor = 70, toast.autovacuum_enabled = off)",
         "table public.things differs: green lacks `with toast.autovacuum_enabled=off`", "same DDL",
         "ALTER TABLE things RESET (fillfactor, toast.autovacuum_enabled)"},
        {"details", Severity::warn, "ALTER TABLE things ALTER note SET STATISTICS 500",
         "table public.things differs: green lacks `column note statistics target 500`", "same DDL",
         "ALTER TABLE things ALTER note SET STATISTICS -1"},
        {"details", Severity::warn,
         "ALTER TABLE things ALTER note SET STORAGE external, ALTER note SET (n_distinct = 7)",
         "column note storage e compression  options {n_distinct=7}", "same DDL",
         "ALTER TABLE things ALTER note SET STORAGE extended, ALTER note RESET (n_distinct)"},
        {"details", Severity::warn, "ALTER TABLE things CLUSTER ON things_pkey",
         "index public.things_pkey differs: green lacks `clustered`", "same DDL",
         "ALTER TABLE things SET WITHOUT CLUSTER"},
        {"details", Severity::warn, "CREATE STATISTICS together ON id, note FROM things",
         "statistics public.together differs: green lacks `CREATE STATISTICS", "same DDL", "DROP STATISTICS together"},
        {"details", Severity::warn, "COMMENT ON COLUMN things.note IS 'what is said'",
         "comment on table column public.things.note differs: green lacks `what is said`", "same DDL",
         "COMMENT ON COLUMN things.note IS NULL"},
    },
    {
        {"roles", Severity::refuse, "CREATE ROLE newcomer LOGIN", "newcomer", "turnout sync", "DROP ROLE newcomer"},
        {"roles", Severity::refuse, "ALTER ROLE preflight_reader CONNECTION LIMIT 3 VALID UNTIL '2099-01-01'",
         "preflight_reader (CONNECTION LIMIT, VALID UNTIL)", "turnout sync",
         "ALTER ROLE preflight_reader CONNECTION LIMIT -1 VALID UNTIL 'infinity'"},
        {"roles", Severity::refuse, "GRANT pg_monitor TO preflight_reader",
         "membership of preflight_reader in pg_monitor", "turnout sync", "REVOKE pg_monitor FROM preflight_reader"},
        {"roles", Severity::refuse, "GRANT pg_monitor TO preflight_member WITH ADMIN OPTION",
         "membership of preflight_member in pg_monitor with ADMIN", "turnout sync",
         "REVOKE ADMIN OPTION FOR pg_monitor FROM preflight_member"},
        {"roles", Severity::refuse, "ALTER ROLE preflight_member NOINHERIT CREATEROLE CREATEDB",
         "preflight_member (INHERIT, CREATEROLE, CREATEDB)", "turnout sync",
         "ALTER ROLE preflight_member INHERIT NOCREATEROLE NOCREATEDB"},
        {"roles", Severity::warn, "ALTER ROLE preflight_owner CONNECTION LIMIT 3", "preflight_owner (CONNECTION LIMIT)",
         "ALTER ROLE", "ALTER ROLE preflight_owner CONNECTION LIMIT -1"},
        {"roles", Severity::refuse, "GRANT SET ON PARAMETER log_statement TO preflight_reader",
         "SET on parameter log_statement for preflight_reader", "turnout sync",
         "REVOKE SET ON PARAMETER log_statement FROM preflight_reader"},
    },
    {
        {"settings", Severity::warn, "ALTER ROLE ALL SET app.everybody = 'x'", "all roles: app.everybody=x",
         "turnout sync", "ALTER ROLE ALL RESET app.everybody"},
        {"settings", Severity::warn, "ALTER ROLE preflight_reader SET work_mem = '5MB'", "work_mem=5MB", "turnout sync",
         "ALTER ROLE preflight_reader RESET work_mem"},
        {"settings", Severity::warn, "ALTER ROLE preflight_reader SET force_parallel_mode = on",
         "force_parallel_mode=on (now debug_parallel_query)", "RESET it", "ALTER ROLE preflight_reader RESET ALL"},
        {"settings", Severity::warn, "ALTER DATABASE DATABASE_NAME SET app.x = 'y'", "app.x=y", "turnout sync",
         "ALTER DATABASE DATABASE_NAME RESET app.x"},
    },
};

const Case kBeforeSwitch[] = {
    {"tables_carried", Severity::refuse, "CREATE TABLE later (id int PRIMARY KEY)", "later", "", "DROP TABLE later"},
    {"prepared_transactions", Severity::refuse,
     "BEGIN;; INSERT INTO things VALUES (99);; PREPARE TRANSACTION 'undecided'", "undecided", "ROLLBACK PREPARED",
     "ROLLBACK PREPARED 'undecided'"},
    {"database_limits", Severity::refuse, "ALTER DATABASE DATABASE_NAME CONNECTION LIMIT 50", "app",
     "CONNECTION LIMIT 50", "ALTER DATABASE DATABASE_NAME CONNECTION LIMIT -1"},
    {"publications", Severity::refuse, "ALTER PUBLICATION turnout_tables SET (publish = 'insert')", "turnout_tables",
     "publish = 'insert, update, delete, truncate'",
     "ALTER PUBLICATION turnout_tables SET (publish = 'insert, update, delete, truncate')"},
    {"published_parts", Severity::refuse, "ALTER PUBLICATION turnout_tables SET TABLE things WHERE (id > 5)", "things",
     "without WHERE", "ALTER PUBLICATION turnout_tables SET TABLE things"},
    {"statistics", Severity::warn,
     "CREATE TABLE wide (id int PRIMARY KEY, t text) WITH (autovacuum_enabled = off);; INSERT INTO wide SELECT i, "
     "repeat('x', 500) FROM generate_series(1, 4000) i",
     "public.wide", "ANALYZE", "DROP TABLE wide"},
    {"login_triggers", Severity::refuse,
     "CREATE FUNCTION l() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';; CREATE EVENT TRIGGER at_login ON "
     "login "
     "EXECUTE FUNCTION l()",
     "at_login", "ALTER EVENT TRIGGER at_login DISABLE", "ALTER EVENT TRIGGER at_login DISABLE", Side::green},
    {"skipped_transactions", Severity::refuse, "ALTER SUBSCRIPTION turnout_to_green SKIP (lsn = 'FFFF/0')",
     "turnout_to_green", "SKIP (lsn = NONE)", "ALTER SUBSCRIPTION turnout_to_green SKIP (lsn = NONE)", Side::green},
    {"way_back", Severity::refuse, "ALTER TABLE turnout.mark_green RENAME TO gone", "app", "--no-way-back",
     "ALTER TABLE turnout.gone RENAME TO mark_green"},
    {"synchronized_standby_slots", Severity::warn,
     "ALTER SYSTEM SET synchronized_standby_slots = 'somebody';; SELECT pg_reload_conf()", "somebody",
     "synchronized_standby_slots", "ALTER SYSTEM RESET synchronized_standby_slots;; SELECT pg_reload_conf()",
     Side::green},
};

TEST_F(PreflightBeforeSwitch, EachCheckFindsWhatItIsForAndSaysWhatToDo) {
    run(Side::blue,
        "CREATE TABLE things (id int PRIMARY KEY, note text);; CREATE ROLE preflight_reader LOGIN;; CREATE ROLE "
        "preflight_member;; CREATE ROLE preflight_owner SUPERUSER;; GRANT pg_monitor TO preflight_member;; CREATE "
        "SCHEMA apart;; CREATE SEQUENCE numbers;; "
        "CREATE TYPE mood AS ENUM ('low', 'high');; CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7';; "
        "CREATE VIEW few AS SELECT id FROM things;; CREATE FOREIGN DATA WRAPPER nothing;; CREATE SERVER elsewhere "
        "FOREIGN DATA WRAPPER nothing;; CREATE FOREIGN TABLE far (a int) SERVER elsewhere");
    await(sync(*cluster_, Side::blue, [](const SyncProgress&) {}));
    for (const std::vector<Case>& cases : kTogetherBeforeSwitch) {
        SCOPED_TRACE(cases.front().provoke);
        expect_together(cases, PreflightStage::before_switch);
    }
    for (const Case& it : kBeforeSwitch) {
        SCOPED_TRACE(it.provoke);
        expect(it, PreflightStage::before_switch);
    }
    PreflightInput crowd;
    crowd.sessions = 100'000;
    const auto room = findings("connection_room", crowd);
    ASSERT_EQ(room.size(), 1U);
    EXPECT_EQ(room[0].severity, Severity::refuse);
    EXPECT_THAT(room[0].remedy, HasSubstr("max_connections"));

    run(Side::green, "ALTER SUBSCRIPTION turnout_to_green DISABLE");
    const auto streams = findings("streams", PreflightStage::before_switch);
    ASSERT_EQ(streams.size(), 1U);
    EXPECT_EQ(streams[0].severity, Severity::refuse);
    EXPECT_THAT(streams[0].sentence, HasSubstr("from blue to green is disabled"));
    EXPECT_THAT(streams[0].remedy, HasSubstr("turnout sync"));
    run(Side::green, "ALTER SUBSCRIPTION turnout_to_green ENABLE");

    run(Side::green, "ALTER SUBSCRIPTION turnout_to_green SET PUBLICATION turnout_mark WITH (refresh = false)");
    EXPECT_THAT(findings("streams", PreflightStage::before_switch).at(0).sentence,
                HasSubstr("carries the marker only"));
    run(Side::green,
        "ALTER SUBSCRIPTION turnout_to_green SET PUBLICATION turnout_tables, turnout_mark WITH (refresh = false)");

    // Whose package is newer there: 1.10 and 1.12 of 15 and 17.
    for (const Side side : {Side::blue, Side::green}) run(side, "CREATE EXTENSION pageinspect");
    const auto versions = findings("extension_versions", PreflightStage::before_switch);
    ASSERT_EQ(versions.size(), 1U);
    EXPECT_EQ(versions[0].severity, Severity::warn);
    EXPECT_THAT(objects(versions[0]), HasSubstr("pageinspect"));
    EXPECT_THAT(versions[0].remedy, HasSubstr("ALTER EXTENSION"));
    for (const Side side : {Side::blue, Side::green}) run(side, "DROP EXTENSION pageinspect");
    EXPECT_EQ(findings("extension_versions", PreflightStage::before_switch).at(0).severity, Severity::pass);

    const auto oid = [this](Side side) { return value(side, "SELECT 'mood'::regtype::oid"); };
    while (oid(Side::blue) == oid(Side::green))
        run(Side::green, "DROP TYPE mood;; CREATE TYPE mood AS ENUM ('low', 'high')");
    for (const Side side : {Side::blue, Side::green}) run(side, "ALTER TABLE things ADD COLUMN feels mood");
    const auto types = findings("type_oids", PreflightStage::before_switch);
    ASSERT_EQ(types.size(), 1U);
    EXPECT_EQ(types[0].severity, Severity::warn);
    EXPECT_THAT(objects(types[0]), HasSubstr("mood"));
    EXPECT_THAT(types[0].remedy, HasSubstr("reconnect"));

    PreflightInput pinned;
    pinned.pinned = {"session 5, user app on app: it holds a temporary table"};
    const auto found = findings("pinned_sessions", pinned);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::warn);
    EXPECT_THAT(objects(found[0]), HasSubstr("temporary table"));
    EXPECT_THAT(found[0].remedy, HasSubstr("--pinned end"));
}

const Case kMarkers[] = {
    {"markers", Severity::refuse, "DELETE FROM turnout.mark_blue", "turnout.mark_blue", "turnout sync",
     "INSERT INTO turnout.mark_blue VALUES (1, 0)"},
    {"markers", Severity::refuse, "DELETE FROM turnout.mark_green", "turnout.mark_green", "turnout sync",
     "INSERT INTO turnout.mark_green VALUES (1, 0)", Side::green},
};

TEST_F(PreflightBeforeSwitch, FindsAMarkerThatHasLostItsRow) {
    await(sync(*cluster_, Side::blue, [](const SyncProgress&) {}));
    for (const Case& it : kMarkers) {
        SCOPED_TRACE(it.provoke);
        expect(it, PreflightStage::before_switch);
    }
}

}  // namespace
}  // namespace turnout::control::test
