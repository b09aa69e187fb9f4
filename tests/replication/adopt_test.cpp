// `sync --adopt`: a standby that somebody else made, with a subscription that runs, is used as it is.
#include <gmock/gmock.h>

#include "control/replication.hpp"
#include "control/sync.hpp"
#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

using testing::HasSubstr;

constexpr const char* kSchema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)";

class AdoptTest : public ServersTest {
  protected:
    AdoptTest() {
        execute(Side::blue, kSchema);
        execute(Side::blue, "INSERT INTO things (note) SELECT 'before' FROM generate_series(1, 100)");
        server(Side::green).execute("CREATE DATABASE " + database_);
        execute(Side::green, kSchema);
    }
    ~AdoptTest() override {
        const PgConnection::Ptr green = connect(Side::green);
        await(drop_theirs(*green));
    }
    static asio::awaitable<void> drop_theirs(PgConnection& green) {
        const PgResult there = co_await green.query(
            "SELECT FROM pg_subscription WHERE subname = 'theirs' AND subdbid "
            "= (SELECT oid FROM pg_database WHERE datname = "
            "current_database())");
        if (there.empty()) co_return;
        co_await green.query("ALTER SUBSCRIPTION theirs DISABLE");
        co_await green.query("ALTER SUBSCRIPTION theirs SET (slot_name = NONE)");
        co_await green.query("DROP SUBSCRIPTION theirs");
    }
    void subscribe(const std::string& publication) {
        execute(Side::blue, "CREATE PUBLICATION theirs " + publication);
        const PgConnection::Ptr green = connect(Side::green);
        query(*green, "CREATE SUBSCRIPTION theirs CONNECTION " +
                          PgConnection::literal(server(Side::blue).conninfo(database_)) +
                          " PUBLICATION theirs WITH (slot_name = 'theirs_" + database_ + "')");
        eventually(Side::green, "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'", "0");
    }
    std::string refusal() {
        try {
            await(sync(*cluster_, Side::blue, {}, true));
        } catch (const SyncRefused& refused) {
            return refused.what();
        }
        return "not refused";
    }
    std::string theirs() {
        return value(Side::green,
                     "SELECT count(*) FROM pg_subscription WHERE subname = 'theirs' AND subenabled AND "
                     "subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())");
    }
};

TEST_F(AdoptTest, TakesItOverWithoutACopyAndNothingIsLostOrDoubled) {
    subscribe("FOR ALL TABLES");
    execute(Side::blue, "INSERT INTO things (note) VALUES ('under way')");
    const SyncReport report = await(sync(*cluster_, Side::blue, {}, true));
    EXPECT_THAT(report.notices, testing::Contains(HasSubstr("turnout verify")));
    EXPECT_EQ(theirs(), "0");
    EXPECT_EQ(value(Side::blue,
                    "SELECT string_agg(slot_name, ' ') FROM pg_replication_slots WHERE database = "
                    "current_database() AND slot_name !~ '^turnout_to_green'"),
              "")
        << "the old slot would keep WAL for ever";

    execute(Side::blue, "INSERT INTO things (note) VALUES ('after'); DELETE FROM things WHERE id = 1");
    eventually(Side::green, "SELECT count(*) FROM things WHERE note = 'after'", "1");
    EXPECT_EQ(value(Side::green, "SELECT count(*) FROM things"), "101");
    EXPECT_EQ(value(Side::green, "SELECT last_value FROM things_id_seq"), "101") << "as of the adoption";
    const PgConnection::Ptr green = connect(Side::green);
    const PgConnection::Ptr blue = connect(Side::blue);
    EXPECT_TRUE(await(find_stream(*green))->enabled);
    EXPECT_TRUE(await(find_stream(*blue))->narrowed) << "the way back";
    // A second time there is nothing to adopt, and nothing to do.
    await(sync(*cluster_, Side::blue, {}, true));
    EXPECT_EQ(value(Side::green, "SELECT count(*) FROM things"), "101");
}

TEST_F(AdoptTest, RefusesWhatLeavesSomethingOutAndLeavesItAsItWas) {
    EXPECT_THAT(refusal(), HasSubstr("no subscription to adopt"));
    execute(Side::blue, "CREATE TABLE left_out (id int PRIMARY KEY)");
    execute(Side::green, "CREATE TABLE left_out (id int PRIMARY KEY)");
    subscribe("FOR TABLE things");
    EXPECT_THAT(refusal(), HasSubstr("left_out"));
    execute(Side::blue,
            "ALTER PUBLICATION theirs ADD TABLE left_out; ALTER PUBLICATION theirs SET (publish = 'insert')");
    {
        const PgConnection::Ptr green = connect(Side::green);
        query(*green, "ALTER SUBSCRIPTION theirs REFRESH PUBLICATION");
    }
    EXPECT_THAT(refusal(), HasSubstr("leaves out operations"));
    EXPECT_EQ(theirs(), "1");
    execute(Side::blue, "INSERT INTO things (note) VALUES ('still theirs')");
    eventually(Side::green, "SELECT count(*) FROM things WHERE note = 'still theirs'", "1");
}

}  // namespace
}  // namespace turnout::control::test
