// Who reaches a server without the proxy: named, refused or ended, found out when he writes all the same; and a
// rehearsal, which touches nobody and leaves nothing.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

constexpr const char* kSchema =
    "CREATE TABLE things (id bigserial PRIMARY KEY, note text); INSERT INTO things (note) VALUES ('first')";

std::string everything(const bench::Exit& exit) { return exit.err + exit.out; }

/// As a script would that has to write whatever the defaults say.
void write_past_the_fence(const std::string& conninfo, const std::string& sql) {
    bench::run(bench::connect(conninfo).get(), "BEGIN READ WRITE; " + sql + "; COMMIT");
}

/// What a rehearsal must not change: settings, journal, sequences, objects.
std::string traces(const support::Cluster& server) {
    std::string all =
        server.value("SELECT string_agg(setconfig::text, ' ' ORDER BY setdatabase) FROM pg_db_role_setting") +
        server.value("SELECT string_agg(j::text, ' ' ORDER BY generation) FROM turnout.journal j") +
        server.value("SELECT count(*) FROM turnout.intent") +
        server.value("SELECT concat(last_value, is_called) FROM things_id_seq", "app") +
        server.value(
            "SELECT string_agg(concat(subname, subenabled, subpublications), ' ') "
            "FROM pg_subscription");
    for (const std::string& object : turnout_objects(server, {"app"})) all += " " + object;
    return all;
}

TEST(Bypassing, IsNamedByCheckRefusedBySwitchAndEndedOnlyWhereAskedFor) {
    Pair pair({.schema = kSchema});
    pair.sync();
    const bench::Connection outsider =
        bench::connect(bench::with(pair.direct(pair.blue()), "application_name", "a script"));
    const bench::Connection client = pair.connect();

    const bench::Exit check = pair.turnout().run({"check"});
    EXPECT_NE(everything(check).find("a script"), std::string::npos) << everything(check);
    const bench::Exit refused = pair.turnout().run({"switch"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(everything(refused).find("a script"), std::string::npos) << everything(refused);
    EXPECT_EQ(bench::number(outsider.get(), "SELECT 1"), 1) << "a refused switch ends nobody";

    const boost::json::object rehearsed = pair.turnout().report({"rehearse"});
    EXPECT_EQ(rehearsed.at("outcome").as_string(), "rehearsed");
    EXPECT_EQ(bench::number(outsider.get(), "SELECT 1"), 1) << "nor does a rehearsal";
    bench::run(outsider.get(), "INSERT INTO things (note) VALUES ('from outside')");

    pair.turnout().report({"switch", "--end-bypassing"});
    EXPECT_THROW(bench::run(outsider.get(), "SELECT 1"), bench::Failure);
    EXPECT_EQ(bench::number(client.get(), "SELECT count(*) FROM things"), 2) << "what it had written came along";
}

TEST(Rehearsal, LeavesNoTraceAndReportsTheWindowItWouldHaveHad) {
    Pair pair({.schema = kSchema});
    pair.sync();
    const bench::Connection client = pair.connect();
    bench::run(client.get(), "INSERT INTO things (note) SELECT 'more' FROM generate_series(1, 50)");
    const std::string blue = traces(pair.blue());
    const std::string green = traces(pair.green());
    const boost::json::object report = pair.turnout().report({"rehearse"});
    EXPECT_EQ(report.at("outcome").as_string(), "rehearsed");
    EXPECT_GT(report.at("window_us").to_number<std::int64_t>(), 0);
    EXPECT_EQ(report.at("from").as_string(), "blue");
    eventually([&] { return traces(pair.blue()) == blue && traces(pair.green()) == green; }, "everything as before");
    EXPECT_EQ(&pair.active(), &pair.blue());
    bench::run(client.get(), "INSERT INTO things (note) VALUES ('goes on')");
    pair.change();
    EXPECT_EQ(bench::number(client.get(), "SELECT count(*) FROM things"), 52);
}

TEST(Strays, OfTheOldSideAreFoundAndNeverMergedAndTheWayBackWorks) {
    Pair pair({.schema = kSchema, .program = TURNOUT_HALTING});
    pair.sync();
    const bench::Connection client = pair.connect();
    std::ofstream(pair.turnout().directory() / "halt") << "before settle";
    bench::Program verb(pair.turnout().verb({"switch", "--json"}));
    eventually([&] { return !std::filesystem::exists(pair.turnout().directory() / "halt"); }, "the moment to write");
    // The new side is active, and the old one not yet turned round: nothing of this may ever arrive there.
    write_past_the_fence(pair.direct(pair.blue()), "INSERT INTO things (id, note) VALUES (1000, 'astray')");
    ::kill(pair.turnout().pid(), SIGCONT);
    const bench::Exit exit = verb.wait();
    ASSERT_EQ(exit.status, 0) << everything(exit);
    EXPECT_NE(exit.out.find("\"stray_transactions\":1"), std::string::npos) << exit.out;
    EXPECT_NE(exit.out.find("things"), std::string::npos) << exit.out;
    EXPECT_NE(pair.turnout().log().find("not merged"), std::string::npos);

    bench::run(client.get(), "INSERT INTO things (note) VALUES ('on green')");
    EXPECT_EQ(bench::number(client.get(), "SELECT count(*) FROM things WHERE note = 'astray'"), 0);
    eventually([&] { return pair.blue().value("SELECT count(*) FROM things WHERE note = 'on green'", "app") == "1"; },
               "the client's write on blue");
    EXPECT_EQ(pair.green().value("SELECT count(*) FROM things WHERE note = 'astray'", "app"), "0");
    const bench::Exit compared = pair.turnout().run({"verify"});
    EXPECT_EQ(compared.status, 1);
    EXPECT_NE(everything(compared).find("id = '1000'"), std::string::npos) << everything(compared);
    pair.change();
}

TEST(Strays, OfTheStandbyDoNotReachTheActiveSide) {
    Pair pair({.schema = kSchema});
    pair.sync();
    write_past_the_fence(pair.direct(pair.green()), "INSERT INTO things (id, note) VALUES (1000, 'astray')");
    // What is written afterwards has gone all the way round: the marker's own stream runs from green to blue.
    const bench::Connection client = pair.connect();
    bench::run(client.get(), "INSERT INTO things (note) VALUES ('after it')");
    eventually([&] { return pair.green().value("SELECT count(*) FROM things WHERE note = 'after it'", "app") == "1"; },
               "the write on the standby");
    const std::string position = pair.green().value("SELECT pg_current_wal_flush_lsn()");
    pair.green().execute("BEGIN READ WRITE; UPDATE turnout.mark_green SET beat = beat + 1; COMMIT", "app");
    eventually(
        [&] {
            return pair.green().value("SELECT bool_and(confirmed_flush_lsn >= '" + position +
                                      "') FROM pg_replication_slots") == "t";
        },
        "the probe stream beyond it");
    EXPECT_EQ(bench::number(client.get(), "SELECT count(*) FROM things WHERE note = 'astray'"), 0);
}

}  // namespace
}  // namespace turnout::integration
