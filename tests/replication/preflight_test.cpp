// Each check of preflight, provoked on real servers: found with its severity, its objects and the statement that mends
// it, and gone when that has been done. (Those about streams and tables are in sync_test; bypassing sessions in
// fence_test's neighbourhood and tests/integration.)
#include "control/preflight.hpp"

#include <gmock/gmock.h>
#include <libpq-fe.h>

#include <algorithm>
#include <fstream>
#include <ostream>

#include "control/sync.hpp"
#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

using testing::HasSubstr;

/// One check: SQL in the test's database that makes it speak, and what ends that.
struct Case {
    const char* check;
    Severity severity;
    const char* provoke;
    const char* object;  ///< part of one of its objects
    const char* remedy;  ///< part of the remedy
    const char* mend;
    Side side = Side::blue;
    friend std::ostream& operator<<(std::ostream& out, const Case& it) { return out << it.check; }
};

class PreflightTest : public ServersTest {
  protected:
    std::vector<Finding> findings(std::string_view check, PreflightInput input) {
        const PreflightReport report = await(preflight(*cluster_, std::move(input)));
        std::vector<Finding> found;
        for (const Finding& one : report.findings) {
            if (one.check == check) found.push_back(one);
        }
        return found;
    }
    std::vector<Finding> findings(std::string_view check, PreflightStage stage = PreflightStage::before_sync) {
        PreflightInput input;
        input.stage = stage;
        return findings(check, std::move(input));
    }
    static std::string objects(const Finding& finding) {
        std::string text;
        for (const std::string& object : finding.objects) text += object + "; ";
        return text;
    }
    /// As Case::provoke and Case::mend are written: each command by itself, past the fence as control may.
    void run(Side side, const std::string& script) {
        const PgConnection::Ptr connection = connect(side);
        query(*connection, "SET search_path = public");
        for (std::size_t begin = 0; begin < script.size();) {
            const std::size_t end = std::min(script.find(";;", begin), script.size());
            std::string command = script.substr(begin, end - begin);
            for (std::size_t at; (at = command.find("DATABASE_NAME")) != std::string::npos;)
                command.replace(at, 13, database_);
            query(*connection, command);
            begin = end + 2;
        }
    }
    void expect(const Case& it, PreflightStage stage) {
        const auto before = findings(it.check, stage);
        ASSERT_FALSE(before.empty()) << it.check << " is no check of this stage";
        for (const Finding& one : before)
            EXPECT_TRUE(one.severity == Severity::pass || objects(one).find(it.object) == std::string::npos)
                << objects(one);
        run(it.side, it.provoke);
        std::string seen;
        EXPECT_TRUE(comes([&] { return is_met(it, stage, seen); })) << it.check << " said: " << seen;
        run(it.side, it.mend);
        EXPECT_TRUE(comes([&] { return is_gone(it, stage); })) << "it is still found";
    }

  private:
    /// A reloaded setting, or what statistics tell, is seen a moment later. The patience only ends a hang.
    template <class Predicate>
    static bool comes(Predicate&& predicate) {
        const auto patience = Clock::now() + std::chrono::seconds(60);
        while (!predicate()) {
            if (Clock::now() > patience) return false;
        }
        return true;
    }
    bool is_met(const Case& it, PreflightStage stage, std::string& seen) {
        seen.clear();
        bool met = false;
        for (const Finding& one : findings(it.check, stage)) {
            seen += std::string(name(one.severity)) + ": " + objects(one) + one.sentence + " | " + one.remedy + "\n";
            met = met || (one.severity == it.severity && objects(one).find(it.object) != std::string::npos &&
                          one.remedy.find(it.remedy) != std::string::npos && !one.sentence.empty());
        }
        return met;
    }
    bool is_gone(const Case& it, PreflightStage stage) {
        const auto found = findings(it.check, stage);
        return std::none_of(found.begin(), found.end(), [&](const Finding& one) {
            return one.severity != Severity::pass && objects(one).find(it.object) != std::string::npos;
        });
    }
};

class PreflightBeforeSync : public PreflightTest, public testing::WithParamInterface<Case> {};

TEST_P(PreflightBeforeSync, FindsItAndSaysWhatToDo) { expect(GetParam(), PreflightStage::before_sync); }

const Case kBeforeSync[] = {
    {"replica_identity", Severity::refuse, "CREATE TABLE keyless (a int)", "public.keyless", "REPLICA IDENTITY FULL",
     "ALTER TABLE public.keyless REPLICA IDENTITY FULL"},
    {"row_equality", Severity::warn, "CREATE TABLE drawn (a int, at point[]);; ALTER TABLE drawn REPLICA IDENTITY FULL",
     "public.drawn (point)", "ALTER TABLE public.drawn ADD PRIMARY KEY", "ALTER TABLE drawn ADD PRIMARY KEY (a)"},
    {"unlogged_tables", Severity::refuse, "CREATE UNLOGGED TABLE fast (a int PRIMARY KEY)", "public.fast",
     "ALTER TABLE public.fast SET LOGGED", "ALTER TABLE public.fast SET LOGGED"},
    {"large_objects", Severity::refuse, "SELECT lo_create(4711)", "large object 4711", "lo_unlink",
     "SELECT lo_unlink(4711)"},
    {"materialized_views", Severity::warn, "CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a", "public.mv",
     "REFRESH MATERIALIZED VIEW public.mv", "DROP MATERIALIZED VIEW mv"},
    {"foreign_keys", Severity::warn,
     "CREATE TABLE target (a int PRIMARY KEY);; CREATE TABLE source (a int PRIMARY KEY REFERENCES target);; ALTER "
     "EXTENSION plpgsql ADD TABLE target",
     "source", "", "ALTER EXTENSION plpgsql DROP TABLE target"},
    {"foreign_partitions", Severity::refuse,
     "CREATE FOREIGN DATA WRAPPER nothing;; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing;; CREATE TABLE root "
     "(a "
     "int) PARTITION BY RANGE (a);; CREATE FOREIGN TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (9) SERVER "
     "elsewhere",
     "public.leaf", "DETACH PARTITION public.leaf", "ALTER TABLE root DETACH PARTITION leaf"},
    {"always_triggers", Severity::refuse,
     "CREATE TABLE t (a int PRIMARY KEY);; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; "
     "END';; CREATE TRIGGER again BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();; ALTER TABLE t ENABLE ALWAYS "
     "TRIGGER again",
     "again on public.t", "ENABLE TRIGGER again", "ALTER TABLE public.t ENABLE TRIGGER again"},
    {"event_triggers", Severity::warn,
     "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';; CREATE EVENT TRIGGER watcher ON "
     "ddl_command_end EXECUTE FUNCTION e()",
     "watcher", "ALTER EVENT TRIGGER watcher DISABLE", "ALTER EVENT TRIGGER watcher DISABLE"},
    {"hidden_state", Severity::warn,
     "CREATE FUNCTION login_as(t text) RETURNS text LANGUAGE sql AS 'SELECT set_config(''app.tenant'', t, false)'",
     "function public.login_as(text)", "", "DROP FUNCTION login_as"},
    {"role_read_only", Severity::warn,
     "CREATE ROLE careless;; ALTER ROLE careless SET default_transaction_read_only = off", "careless",
     "ALTER ROLE careless RESET default_transaction_read_only", "DROP ROLE careless"},
    {"slot_limits", Severity::warn, "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB';; SELECT pg_reload_conf()",
     "max_slot_wal_keep_size", "max_slot_wal_keep_size = -1",
     "ALTER SYSTEM RESET max_slot_wal_keep_size;; SELECT pg_reload_conf()"},
    {"synchronous_standby_names", Severity::refuse,
     "ALTER SYSTEM SET synchronous_standby_names = '*';; SET synchronous_commit = local;; SELECT pg_reload_conf()", "*",
     "synchronous_standby_names",
     "SET synchronous_commit = local;; ALTER SYSTEM RESET synchronous_standby_names;; SELECT pg_reload_conf()"},
    {"other_slots", Severity::warn, "SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')", "cdc", "",
     "SELECT pg_drop_replication_slot('cdc')"},
    {"other_subscriptions", Severity::warn,
     "CREATE SUBSCRIPTION theirs CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false)", "theirs", "",
     "ALTER SUBSCRIPTION theirs SET (slot_name = NONE);; DROP SUBSCRIPTION theirs"},
    {"slot_health", Severity::refuse,
     "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB';; SELECT pg_reload_conf();; SELECT "
     "pg_create_physical_replication_slot('turnout_behind', true);; SELECT pg_logical_emit_message(false, 'a', 'a'), "
     "pg_switch_wal();; SELECT pg_logical_emit_message(false, 'a', 'a'), pg_switch_wal();; SELECT "
     "pg_logical_emit_message(false, 'a', 'a'), pg_switch_wal();; CHECKPOINT",
     "turnout_behind", "turnout sync",
     "SELECT pg_drop_replication_slot('turnout_behind');; ALTER SYSTEM RESET max_slot_wal_keep_size;; SELECT "
     "pg_reload_conf()"},
    // PostgreSQL 17 has no adminpack any more.
    {"extensions", Severity::refuse, "CREATE EXTENSION adminpack", "adminpack", "install the package",
     "DROP EXTENSION adminpack"},
    // As if pg_cron were installed: it must be preloaded, and is not in every distribution.
    {"background_jobs", Severity::warn,
     "CREATE EXTENSION tcn;; UPDATE pg_extension SET extname = 'pg_cron' WHERE extname = 'tcn'", "pg_cron",
     "cron.unschedule", "UPDATE pg_extension SET extname = 'tcn' WHERE extname = 'pg_cron';; DROP EXTENSION tcn"},
};
INSTANTIATE_TEST_SUITE_P(Checks, PreflightBeforeSync, testing::ValuesIn(kBeforeSync));

/// Those that compare the sides, after one sync.
class PreflightBeforeSwitch : public PreflightTest {};

const Case kBeforeSwitch[] = {
    {"schema", Severity::refuse, "ALTER TABLE things ADD COLUMN later int", "things", "same DDL",
     "ALTER TABLE things DROP COLUMN later"},
    {"schema", Severity::refuse, "CREATE INDEX by_note ON things (note)", "by_note", "same DDL", "DROP INDEX by_note"},
    {"schema", Severity::refuse, "ALTER TABLE things ALTER COLUMN note SET DEFAULT 'x'", "things", "same DDL",
     "ALTER TABLE things ALTER COLUMN note DROP DEFAULT"},
    {"schema", Severity::refuse, "CREATE FUNCTION later() RETURNS int LANGUAGE sql AS 'SELECT 1'", "later", "same DDL",
     "DROP FUNCTION later"},
    {"schema", Severity::refuse, "GRANT SELECT ON things TO preflight_reader", "things", "same DDL",
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
    {"tables_carried", Severity::refuse, "CREATE TABLE later (id int PRIMARY KEY)", "later", "", "DROP TABLE later"},
    {"prepared_transactions", Severity::refuse,
     "BEGIN;; INSERT INTO things VALUES (99);; PREPARE TRANSACTION 'undecided'", "undecided", "ROLLBACK PREPARED",
     "ROLLBACK PREPARED 'undecided'"},
    {"roles", Severity::refuse, "CREATE ROLE newcomer LOGIN", "newcomer", "turnout sync", "DROP ROLE newcomer"},
    {"roles", Severity::refuse, "ALTER ROLE preflight_reader CONNECTION LIMIT 3 VALID UNTIL '2099-01-01'",
     "preflight_reader (CONNECTION LIMIT, VALID UNTIL)", "turnout sync",
     "ALTER ROLE preflight_reader CONNECTION LIMIT -1 VALID UNTIL 'infinity'"},
    {"roles", Severity::refuse, "GRANT pg_monitor TO preflight_reader", "membership of preflight_reader in pg_monitor",
     "turnout sync", "REVOKE pg_monitor FROM preflight_reader"},
    {"settings", Severity::warn, "ALTER ROLE preflight_reader SET work_mem = '5MB'", "work_mem=5MB", "turnout sync",
     "ALTER ROLE preflight_reader RESET work_mem"},
    {"settings", Severity::warn, "ALTER ROLE preflight_reader SET force_parallel_mode = on",
     "force_parallel_mode=on (now debug_parallel_query)", "RESET it", "ALTER ROLE preflight_reader RESET ALL"},
    {"settings", Severity::warn, "ALTER DATABASE DATABASE_NAME SET app.x = 'y'", "app.x=y", "turnout sync",
     "ALTER DATABASE DATABASE_NAME RESET app.x"},
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
    run(Side::blue, "CREATE TABLE things (id int PRIMARY KEY, note text);; CREATE ROLE preflight_reader LOGIN");
    await(sync(*cluster_, Side::blue, [](const SyncProgress&) {}));
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
    for (const Side side : {Side::blue, Side::green}) run(side, "CREATE TYPE mood AS ENUM ('low', 'high')");
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

/// Of the servers themselves: as another configuration would have them.
TEST_F(PreflightTest, FindsTheSameServerTwiceAndARoleThatMayNotEnough) {
    const auto of = [this](const std::string& check, std::string blue, std::string green) {
        ClusterSettings settings = cluster_->settings();
        settings.sides[0].url = std::move(blue);
        settings.sides[1].url = std::move(green);
        const Cluster other(context_.get_executor(), settings);
        PreflightInput input;
        input.stage = PreflightStage::before_sync;
        const PreflightReport report = await(preflight(other, std::move(input)));
        for (const Finding& one : report.findings) {
            if (one.check == check && one.severity == Severity::refuse) return one;
        }
        return Finding{};
    };
    const std::string blue = server(Side::blue).conninfo("");
    const std::string green = server(Side::green).conninfo("");
    const Finding same = of("identity", blue, blue);
    EXPECT_THAT(same.sentence, HasSubstr("the same server"));
    EXPECT_THAT(same.remedy, HasSubstr("url"));

    server(Side::blue).execute("CREATE ROLE limited LOGIN");
    const Finding rights = of("rights", blue + " user=limited", green);
    EXPECT_THAT(objects(rights), HasSubstr("limited"));
    EXPECT_THAT(rights.remedy, HasSubstr("ALTER ROLE limited SUPERUSER"));
    server(Side::blue).execute("DROP ROLE limited");
}

TEST_F(PreflightTest, WarnsOfTransactionsThatRunForLong) {
    const PgConnection::Ptr session = connect(Side::blue);
    query(*session, "BEGIN");
    const std::string pid = query(*session, "SELECT pg_backend_pid()").as<std::string>(0, 0);
    PreflightInput input;
    input.stage = PreflightStage::before_sync;
    input.long_transaction = Milliseconds(0);
    const auto found = findings("long_transactions", input);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::warn);
    EXPECT_THAT(objects(found[0]), HasSubstr("pid " + pid));
    EXPECT_THAT(found[0].remedy, HasSubstr("pg_terminate_backend(" + pid + ")"));
    input.long_transaction = Milliseconds(24 * 3'600'000);
    EXPECT_EQ(findings("long_transactions", input).at(0).severity, Severity::pass);
    query(*session, "COMMIT");
    input.long_transaction = Milliseconds(0);
    EXPECT_EQ(findings("long_transactions", input).at(0).severity, Severity::pass);
}

TEST_F(PreflightTest, WarnsOfARuleThatLetsWholeNetworksIn) {
    const auto rules = server(Side::blue).directory() / "data" / "pg_hba.conf";
    std::ifstream file(rules);
    const std::string before{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(findings("pg_hba").at(0).severity, Severity::pass);
    std::ofstream(rules, std::ios::app) << "host all all 10.20.0.0/16 scram-sha-256\n";
    const auto found = findings("pg_hba");
    std::ofstream(rules, std::ios::trunc) << before;
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::warn);
    EXPECT_THAT(objects(found[0]), HasSubstr("10.20.0.0"));
    EXPECT_THAT(found[0].remedy, HasSubstr("pg_hba.conf"));
    EXPECT_EQ(findings("pg_hba").at(0).severity, Severity::pass);
}

/// A client that speaks the protocol of a physical standby, and confirms nothing.
TEST_F(PreflightTest, WarnsOfPhysicalStandbysThatStayBehind) {
    EXPECT_EQ(findings("physical_standbys").at(0).severity, Severity::pass);
    {
        const std::string conninfo = server(Side::blue).conninfo("") + " replication=true application_name=reports";
        const std::unique_ptr<PGconn, decltype(&PQfinish)> standby(PQconnectdb(conninfo.c_str()), &PQfinish);
        ASSERT_EQ(PQstatus(standby.get()), CONNECTION_OK) << PQerrorMessage(standby.get());
        const std::string start = "START_REPLICATION PHYSICAL " + value(Side::blue, "SELECT pg_current_wal_lsn()");
        const std::unique_ptr<PGresult, decltype(&PQclear)> began(PQexec(standby.get(), start.c_str()), &PQclear);
        ASSERT_EQ(PQresultStatus(began.get()), PGRES_COPY_BOTH) << PQerrorMessage(standby.get());
        eventually(Side::blue, "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'reports'", "1");
        const auto found = findings("physical_standbys");
        ASSERT_EQ(found.size(), 1U);
        EXPECT_EQ(found[0].severity, Severity::warn);
        EXPECT_THAT(objects(found[0]), HasSubstr("reports at 127.0.0.1"));
    }
    eventually(Side::blue, "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'reports'", "0");
    EXPECT_EQ(findings("physical_standbys").at(0).severity, Severity::pass);
}

/// The servers change their places: from 17 to 15.
TEST_F(PreflightTest, WarnsOfADowngrade) {
    EXPECT_EQ(findings("version").at(0).severity, Severity::pass);
    ClusterSettings settings = cluster_->settings();
    std::swap(settings.sides[0].url, settings.sides[1].url);
    server(Side::green).execute("CREATE DATABASE " + database_);
    const Cluster swapped(context_.get_executor(), settings);
    PreflightInput input;
    input.stage = PreflightStage::before_sync;
    const PreflightReport report = await(preflight(swapped, std::move(input)));
    std::string said;
    for (const Finding& one : report.findings) {
        if (one.check == "version" && one.severity == Severity::warn) said = one.sentence;
    }
    EXPECT_THAT(said, HasSubstr("is a downgrade"));
    server(Side::green).execute("DROP DATABASE " + database_);
}

TEST_F(PreflightTest, RefusesAServerThatIsNotMadeForReplication) {
    for (const char* check : {"wal_level", "replication_room"})
        EXPECT_EQ(findings(check).at(0).severity, Severity::pass);
    server(Side::blue).stop();
    server(Side::blue).start({{"wal_level", "replica"}, {"max_wal_senders", "1"}, {"max_replication_slots", "1"}});
    const auto level = findings("wal_level");
    const auto room = findings("replication_room");
    server(Side::blue).restart();
    ASSERT_EQ(level.size(), 1U);
    EXPECT_EQ(level[0].severity, Severity::refuse);
    EXPECT_THAT(level[0].remedy, HasSubstr("ALTER SYSTEM SET wal_level = logical"));
    std::string scarce;
    for (const Finding& one : room) {
        EXPECT_EQ(one.severity, Severity::refuse);
        scarce += objects(one) + one.remedy + "\n";
    }
    EXPECT_THAT(scarce, HasSubstr("ALTER SYSTEM SET max_wal_senders"));
    EXPECT_THAT(scarce, HasSubstr("ALTER SYSTEM SET max_replication_slots"));
    for (const char* check : {"wal_level", "replication_room"})
        EXPECT_EQ(findings(check).at(0).severity, Severity::pass);
}

TEST_F(PreflightTest, DoesNotMindRowsThatCanBeCompared) {
    run(Side::blue,
        "CREATE TYPE mood AS ENUM ('low', 'high');; CREATE TYPE pair AS (a text, b varchar(9));; CREATE DOMAIN sums AS "
        "numeric(9, 2)[];; CREATE TABLE alike (a int[], b pair, c name, d char(3), e int4range, f cidr, g jsonb, h "
        "mood[], i sums, j \"char\", k float8, l bytea, m uuid, n timestamptz, o interval, p varbit, q regclass, r "
        "money, s tsvector, t macaddr, u xid, v pg_lsn);; ALTER TABLE alike REPLICA IDENTITY FULL");
    EXPECT_EQ(findings("row_equality").at(0).severity, Severity::pass);
    run(Side::blue, "ALTER TABLE alike ADD COLUMN w json");
    EXPECT_THAT(objects(findings("row_equality").at(0)), testing::StrEq("public.alike (json); "));
}

TEST_F(PreflightTest, RefusesAPhysicalStandby) {
    EXPECT_EQ(findings("recovery").at(0).severity, Severity::pass);
    server(Side::blue).stop();
    std::ofstream(server(Side::blue).directory() / "data" / "standby.signal").flush();
    server(Side::blue).start();
    const auto found = findings("recovery");
    server(Side::blue).execute("SELECT pg_promote()");
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::refuse);
    EXPECT_THAT(found[0].sentence, HasSubstr("blue: the server is a physical standby"));
    EXPECT_THAT(found[0].remedy, HasSubstr("pg_promote"));
    EXPECT_EQ(findings("recovery").at(0).severity, Severity::pass);
}

TEST_F(PreflightTest, EveryCheckHasANameOfItsOwn) {
    std::vector<std::string_view> names = preflight_checks();
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
    std::ifstream file(TURNOUT_SOURCE_DIR "/control/README.md");
    const std::string catalogue{std::istreambuf_iterator<char>(file), {}};
    for (const std::string_view name : names)
        EXPECT_THAT(catalogue, HasSubstr("| `" + std::string(name) + "` |")) << "not in the catalogue";
}

}  // namespace
}  // namespace turnout::control::test
