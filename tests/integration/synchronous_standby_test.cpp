// Servers whose commits wait for a physical standby. A statement that waits for one commits when it is cancelled, so
// nothing is cancelled there. An activation that waits for one is durable, and nobody can see it: nothing may be
// concluded from that, and whoever is served afterwards has everything.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "bench/ledger.hpp"
#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

using namespace std::chrono_literals;

/// The halting proxy has as much time as a slow machine needs: what ends a wait is what a test does.
class SynchronousStandby : public testing::Test {
  protected:
    SynchronousStandby()
        : pair_({.program = TURNOUT_HALTING,
                 .lines = {{"switch", R"(max_pause = "10m")"},
                           {"switch", R"(deadline = "20m")"},
                           {"proxy", R"(claim_watchdog = "20m")"}}}) {
        bench::install_ledger(pair_.direct(pair_.blue()));
        pair_.sync();
    }

    /// For commits from now on; nothing may wait for the setting itself.
    static void wait_for_standby(const support::Cluster& server, const std::string& names) {
        const bench::Connection connection = bench::connect(server.conninfo());
        bench::run(connection.get(), "SET synchronous_commit = local");
        bench::run(connection.get(), "ALTER SYSTEM SET synchronous_standby_names = '" + names + "'");
        bench::run(connection.get(), "SELECT pg_reload_conf()");
        eventually([&] { return server.value("SELECT current_setting('synchronous_standby_names')") == names; },
                   "the setting");
    }
    std::string active() {
        const boost::json::object status = pair_.turnout().status();
        return status.at("active").is_null() ? "nobody" : std::string(status.at("active").as_string());
    }

    Pair pair_;
};

TEST_F(SynchronousStandby, NothingIsCancelledWhereCommitsWaitForOne) {
    const std::string standby = pair_.blue().conninfo("") + " application_name=nearby";
    const bench::Program receiver({.arguments = {bench::client_program("pg_receivewal"), "--synchronous", "-D",
                                                 pair_.turnout().directory().string(), "-d", standby}});
    const std::string streams = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'nearby'";
    eventually([&] { return pair_.blue().value(streams) == "1"; }, "the physical standby");
    wait_for_standby(pair_.blue(), "nearby");
    eventually([&] { return pair_.blue().value(streams + " AND sync_state = 'sync'") == "1"; }, "its being waited for");

    const bench::Connection client = pair_.connect();
    ASSERT_EQ(PQsendQuery(client.get(), "SELECT pg_sleep(100000)"), 1);
    eventually(
        [&] { return pair_.blue().value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1"; },
        "the statement");
    const auto cancelling = [&](const char* deadline) {
        return pair_.turnout().run(
            {"switch", "--max-pause", "1s", "--deadline", deadline, "--long-transactions", "cancel"});
    };
    const bench::Exit exit = cancelling("2s");
    EXPECT_EQ(exit.status, 1) << exit.err << exit.out;
    EXPECT_EQ(PQconsumeInput(client.get()), 1);
    EXPECT_EQ(PQisBusy(client.get()), 1) << "it was cancelled";
    EXPECT_EQ(active(), "blue");

    // Without one the same policy cancels it, and runs it again on the other side.
    wait_for_standby(pair_.blue(), "");
    const bench::Exit again = cancelling("120s");
    EXPECT_EQ(again.status, 0) << again.err << again.out;
    EXPECT_EQ(active(), "green");
}

TEST_F(SynchronousStandby, AnActivationThatNobodyCanSeeIsNotTakenForNone) {
    bench::LedgerSettings settings;
    settings.conninfo = pair_.conninfo();
    settings.writers = 4;
    bench::Ledger ledger(settings);
    ledger.start();
    const auto writes = [&](std::uint64_t more, const char* what) {
        const std::uint64_t goal = ledger.totals().writes + more;
        eventually([&] { return ledger.totals().writes >= goal; }, what);
    };
    writes(50, "the load's writes");
    std::ofstream(pair_.turnout().directory() / "halt") << "before activate";
    bench::Program verb(pair_.turnout().verb({"switch", "--json"}));
    eventually([&] { return process_state(pair_.turnout().pid()) == 'T' || process_state(verb.pid()) == 'Z'; },
               "the moment before the activation");
    ASSERT_EQ(process_state(pair_.turnout().pid()), 'T') << verb.wait().err;
    wait_for_standby(pair_.green(), "somebody_away");
    ::kill(pair_.turnout().pid(), SIGCONT);
    const std::string waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    eventually([&] { return pair_.green().value(waiting) != "0"; }, "the activation's commit to wait");
    EXPECT_EQ(pair_.green().value("SELECT state FROM turnout.journal WHERE generation = 2"), "armed")
        << "others do not see it";

    // The successor ends its predecessor's backend, which makes the commit seen.
    pair_.turnout().kill();
    verb.wait();
    pair_.turnout().start();
    EXPECT_NE(active(), "blue") << "served without knowing";
    wait_for_standby(pair_.green(), "");
    eventually([&] { return active() == "green"; }, "green to be served");
    EXPECT_EQ(pair_.green().value("SELECT state FROM turnout.journal WHERE generation = 2"), "active");
    writes(50, "the load's writes on green");
    ledger.hold(60s);
    const bench::Audit audit = bench::audit({&ledger}, pair_.green().conninfo("app"));
    EXPECT_TRUE(audit.clean()) << audit.summary();
    EXPECT_EQ(ledger.totals().back_in_time, 0U);
    ledger.release();
    ledger.stop();
}

}  // namespace
}  // namespace turnout::integration
