// What the streams apply on a standby: the fence lets it through and nobody else, and what a table's owner has arranged
// for others does not stop it.
#include <gmock/gmock.h>

#include "control/replication.hpp"
#include "control/sync.hpp"
#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

using testing::HasSubstr;

class ApplyTest : public ServersTest {
  protected:
    void sync_now() {
        await(sync(*cluster_, Side::blue, [](const SyncProgress&) {}));
    }
    void settled() {
        const PgConnection::Ptr blue = connect(Side::blue);
        const PgConnection::Ptr green = connect(Side::green);
        await(probe(*blue, *green, Clock::now() + std::chrono::seconds(60)));
    }
    /// As an application that bypasses the proxy, or a person with psql: what the standby says to a write.
    std::string refusal(const std::string& sql) {
        try {
            execute(Side::green, sql);
        } catch (const std::runtime_error& error) {
            return error.what();
        }
        return "it was not refused";
    }
};

TEST_F(ApplyTest, GoesPastTheFenceAndNobodyElseDoes) {
    execute(Side::blue,
            "CREATE TABLE kept (id int PRIMARY KEY); CREATE TABLE emptied (id int PRIMARY KEY); INSERT INTO emptied "
            "VALUES (1)");
    sync_now();
    EXPECT_EQ(value(Side::green, "SHOW default_transaction_read_only"), "on");
    execute(Side::blue, "INSERT INTO kept VALUES (1); TRUNCATE emptied");
    settled();
    EXPECT_EQ(value(Side::green, "SELECT (SELECT count(*) FROM kept) || ' ' || (SELECT count(*) FROM emptied)"), "1 0");

    // A table that is copied later is copied under the fence.
    for (const Side side : {Side::blue, Side::green})
        execute(side, "BEGIN READ WRITE; CREATE TABLE later (id int PRIMARY KEY); COMMIT");
    execute(Side::blue, "INSERT INTO later VALUES (1), (2)");
    sync_now();
    settled();
    EXPECT_EQ(value(Side::green, "SELECT count(*) FROM later"), "2");

    // Control's own role and the streams' owner: a superuser, and exempt all the same from nothing.
    EXPECT_THAT(refusal("INSERT INTO kept VALUES (2)"), HasSubstr("read-only transaction"));
    EXPECT_EQ(server(Side::green)
                  .value("SELECT count(*) FROM pg_db_role_setting WHERE setrole <> 0 AND array_to_string(setconfig, "
                         "',') ~ 'default_transaction_read_only'"),
              "0");
}

/// From 16 on rows are applied as the table's owner would write them, unless the stream is told otherwise: then forced
/// policies end the apply worker.
TEST_F(ApplyTest, IsNotStoppedByPoliciesThatAreForcedOnTheOwner) {
    const std::string owner = "owner_of_" + database_;
    server(Side::blue).execute("CREATE ROLE " + owner);
    execute(
        Side::blue,
        "CREATE TABLE guarded (id int PRIMARY KEY, tenant text); ALTER TABLE guarded OWNER TO " + owner +
            "; ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY own ON guarded "
            "USING (tenant = current_setting('app.tenant')); INSERT INTO guarded VALUES (1, 'a')");
    sync_now();
    execute(Side::blue, "INSERT INTO guarded VALUES (2, 'b'); UPDATE guarded SET tenant = 'c' WHERE id = 1");
    settled();
    EXPECT_EQ(value(Side::green, "SELECT string_agg(tenant, ' ' ORDER BY id) FROM guarded"), "c b");
}

}  // namespace
}  // namespace turnout::control::test
