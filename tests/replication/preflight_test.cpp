// Each check of preflight that needs no standby, and those of the servers themselves. (What compares the sides is in
// preflight_before_switch_test; bypassing sessions in fence_test's neighbourhood and tests/integration.)
#include <gmock/gmock.h>
#include <libpq-fe.h>

#include <algorithm>
#include <fstream>

#include "tests/replication/preflight_cases.hpp"

namespace turnout::control::test {
namespace {

using testing::HasSubstr;

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

/// What commits there would not come back, the activation least of all.
TEST_F(PreflightTest, RefusesWhereCommitsWaitForAStandbyThatIsNotThere) {
    const auto said = [this] {
        std::string text;
        for (const Finding& one : findings("synchronous_standby_names")) {
            if (one.severity == Severity::refuse) text += objects(one) + one.sentence + " | " + one.remedy;
        }
        return text;
    };
    EXPECT_EQ(said(), "");
    support::Cluster& green = server(Side::green);
    green.execute("ALTER SYSTEM SET synchronous_standby_names = 'absent'");
    green.execute("SELECT pg_reload_conf()");
    EXPECT_TRUE(comes([&] { return !said().empty(); }));
    EXPECT_THAT(said(), HasSubstr("absent; green"));
    EXPECT_THAT(said(), HasSubstr("commits wait for a synchronous standby that is not there"));
    EXPECT_THAT(said(), HasSubstr("start that standby, or ALTER SYSTEM RESET synchronous_standby_names"));
    green.execute("ALTER SYSTEM RESET synchronous_standby_names");
    green.execute("SELECT pg_reload_conf()");
    EXPECT_TRUE(comes([&] { return said().empty(); }));
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
