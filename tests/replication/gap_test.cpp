// A standby that comes back as an older copy of itself: its slot has moved on since, and what it was given in between
// never comes again. Nothing in PostgreSQL tells.
#include <gmock/gmock.h>

#include <cstdlib>

#include "control/preflight.hpp"
#include "control/replication.hpp"
#include "control/sync.hpp"
#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

using testing::HasSubstr;

class GapTest : public ServersTest {
  protected:
    std::filesystem::path copy() { return server(Side::green).directory() / "copy"; }
    void shell(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }
    /// A beat goes to green, as it does each minute.
    void beat() {
        const PgConnection::Ptr blue = connect(Side::blue);
        const PgConnection::Ptr green = connect(Side::green);
        await(probe(*blue, *green, Clock::now() + std::chrono::seconds(60)));
    }
    bool gap() {
        const PgConnection::Ptr blue = connect(Side::blue);
        const PgConnection::Ptr green = connect(Side::green);
        const auto stream = await(find_stream(*green));
        return await(has_gap(*blue, *green, *stream, Clock::now() + std::chrono::seconds(60)));
    }
    Finding finding() {
        const PreflightReport report = await(preflight(*cluster_, {}));
        for (const Finding& one : report.findings) {
            if (one.check == "gaps") return one;
        }
        return {};
    }
};

TEST_F(GapTest, IsFoundWhenTheStandbyIsRestoredFromAnOlderCopy) {
    execute(Side::blue, "CREATE TABLE things (id int PRIMARY KEY); INSERT INTO things VALUES (1)");
    await(sync(*cluster_, Side::blue, {}));
    EXPECT_FALSE(gap());
    EXPECT_EQ(finding().severity, Severity::pass);
    execute(Side::blue, "DELETE FROM turnout.mark_blue");
    EXPECT_FALSE(gap()) << "without a beat it cannot be told: `markers` says that the row is gone";
    await(sync(*cluster_, Side::blue, {}));
    EXPECT_FALSE(gap()) << "the row was made anew, and nothing was sent since";
    beat();
    EXPECT_FALSE(gap());

    const std::filesystem::path data = server(Side::green).directory() / "data";
    server(Side::green).stop();
    shell("cp -a " + data.string() + " " + copy().string());
    server(Side::green).start();
    execute(Side::blue, "INSERT INTO things VALUES (2)");
    beat();
    EXPECT_FALSE(gap()) << "a restart is no gap";
    // What it confirms is what it has flushed: until then the row would be sent again.
    eventually(Side::blue,
               "SELECT bool_and(confirmed_flush_lsn >= '" + value(Side::blue, "SELECT pg_current_wal_flush_lsn()") +
                   "') FROM pg_replication_slots WHERE slot_name ~ '^turnout_to_green' AND database = "
                   "current_database()",
               "t");

    server(Side::green).stop();
    shell("rm -r " + data.string() + " && mv " + copy().string() + " " + data.string());
    server(Side::green).start();
    execute(Side::blue, "INSERT INTO things VALUES (3)");
    eventually(Side::green, "SELECT count(*) FROM things WHERE id = 3", "1");
    ASSERT_EQ(value(Side::green, "SELECT count(*) FROM things"), "2") << "it was to lack a row";
    EXPECT_TRUE(gap());
    const Finding found = finding();
    EXPECT_EQ(found.severity, Severity::refuse);
    EXPECT_THAT(found.sentence, HasSubstr("older copy"));
    EXPECT_THAT(found.remedy, HasSubstr("turnout sync"));
}

}  // namespace
}  // namespace turnout::control::test
