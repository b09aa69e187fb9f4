// Changes of a schema are noted by event triggers, whoever makes them and however; what changes nothing is not.
#include <gmock/gmock.h>

#include "control/replication.hpp"
#include "control/schema_watch.hpp"
#include "control/stream_setup.hpp"
#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

using namespace std::chrono_literals;

class SchemaWatchTest : public ServersTest {
  protected:
    void SetUp() override {
        connection_ = connect(Side::blue);
        await(make_markers(*connection_, false));
    }
    void raise() {
        ASSERT_TRUE(await(raise_schema_watch(*connection_)));
        query(*connection_, "DEALLOCATE ALL");
        await(prepare_barrier(*connection_, true));
    }
    std::int64_t noted() { return barrier(await(connection_->exec_prepared(kBarrier))).schema_changes.value(); }
    std::int64_t noted_by(const std::string& sql) {
        const std::int64_t before = noted();
        execute(Side::blue, sql);
        return noted() - before;
    }

    PgConnection::Ptr connection_;
};

TEST_F(SchemaWatchTest, NotesWhatChangesASchema) {
    raise();
    EXPECT_EQ(noted(), 0);
    for (const char* sql : {
             "CREATE TABLE things (id int PRIMARY KEY, name text)",
             "ALTER TABLE things ADD COLUMN more int",
             "CREATE INDEX ON things (name)",
             "CREATE TYPE mood AS ENUM ('good')",
             "ALTER TYPE mood ADD VALUE 'bad'",
             "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
             "ALTER SEQUENCE numbers RESTART WITH 5",
             "SET session_replication_role TO replica; ALTER TABLE things DROP COLUMN more",
             "DO $$BEGIN EXECUTE 'CREATE SCHEMA inside'; END$$",
             "GRANT SELECT ON things TO public",
             "CREATE TABLE copied AS SELECT 1 AS one",
             "DROP TABLE copied",
         }) {
        if (std::string_view(sql).starts_with("ALTER SEQUENCE")) execute(Side::blue, "CREATE SEQUENCE numbers");
        EXPECT_GE(noted_by(sql), 1) << sql;
    }
}

TEST_F(SchemaWatchTest, NotesChangesOfARoleThatMayNotWriteTheNote) {
    raise();
    execute(Side::blue,
            "DROP ROLE IF EXISTS watched_maker; CREATE ROLE watched_maker; CREATE SCHEMA AUTHORIZATION watched_maker");
    EXPECT_EQ(noted_by("SET ROLE watched_maker; CREATE TABLE watched_maker.things (id int)"), 1);
    execute(Side::blue, "DROP SCHEMA watched_maker CASCADE; DROP ROLE watched_maker");
}

TEST_F(SchemaWatchTest, NotesNothingThatChangesNone) {
    execute(Side::blue, "CREATE TABLE things (id int PRIMARY KEY); INSERT INTO things VALUES (1)");
    raise();
    for (const char* sql : {
             "CREATE TEMPORARY TABLE scratch (id serial PRIMARY KEY, name text); DROP TABLE scratch",
             "SELECT 1 AS one INTO TEMPORARY scratch",
             "BEGIN; CREATE TABLE never (id int); ROLLBACK",
             "TRUNCATE things",
             "ANALYZE things",
             "VACUUM things",
             "INSERT INTO things VALUES (2)",
         }) {
        EXPECT_EQ(noted_by(sql), 0) << sql;
    }
}

TEST_F(SchemaWatchTest, NotesNothingOnceItIsDownAndCanBePutUpAgain) {
    raise();
    await(lower_schema_watch(*connection_));
    await(lower_schema_watch(*connection_));
    EXPECT_EQ(noted_by("CREATE TABLE things (id int)"), 0);
    raise();
    EXPECT_EQ(noted_by("DROP TABLE things"), 1);
    execute(Side::blue, "DROP SCHEMA turnout CASCADE");
    EXPECT_EQ(value(Side::blue, "SELECT count(*) FROM pg_event_trigger"), "0");
}

TEST_F(SchemaWatchTest, LeavesNothingWhereTheRoleMayNotMakeEventTriggers) {
    execute(Side::blue,
            "DROP ROLE IF EXISTS watched_limited; CREATE ROLE watched_limited; "
            "GRANT ALL ON SCHEMA turnout TO watched_limited");
    raise();
    query(*connection_, "SET ROLE watched_limited");
    EXPECT_FALSE(await(raise_schema_watch(*connection_))) << "those that another role has made are not its own";
    await(lower_schema_watch(*connection_));

    execute(Side::blue, "DROP FUNCTION turnout.note_schema_change() CASCADE; DROP TABLE turnout.schema_change");
    EXPECT_FALSE(await(make_schema_watch(*connection_)));
    EXPECT_FALSE(await(raise_schema_watch(*connection_)));
    await(lower_schema_watch(*connection_));
    EXPECT_EQ(value(Side::blue,
                    "SELECT concat(to_regclass('turnout.schema_change'), "
                    "to_regproc('turnout.note_schema_change'))"),
              "");
    execute(Side::blue, "DROP OWNED BY watched_limited; DROP ROLE watched_limited");
}

/// A command that began before does not see the triggers, so its transaction must have ended before the count means
/// anything.
TEST_F(SchemaWatchTest, WaitsForTransactionsThatBeganBefore) {
    const PgConnection::Ptr older = connect(Side::blue);
    query(*older, "BEGIN");
    query(*older, "CREATE TABLE public.unseen (id int)");
    raise();
    const std::string transactions = await(running_transactions(*connection_));
    EXPECT_FALSE(await(outwait(*connection_, transactions, Clock::now())));
    query(*older, "COMMIT");
    EXPECT_TRUE(await(outwait(*connection_, transactions, Clock::now() + 60s)));
    EXPECT_EQ(noted(), 0);

    query(*older, "BEGIN");
    query(*older, "SELECT 1");
    EXPECT_TRUE(await(outwait(*connection_, transactions, Clock::now() + 60s))) << "a later one is not waited for";
}

}  // namespace
}  // namespace turnout::control::test
