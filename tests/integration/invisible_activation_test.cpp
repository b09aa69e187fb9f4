// An activation that is durable and that nobody can see: it waits for a synchronous standby of the new side that is
// away. Nothing may be concluded from not seeing it; whoever is served afterwards has everything.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "bench/ledger.hpp"
#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

using namespace std::chrono_literals;

class InvisibleActivation : public testing::Test {
  protected:
    InvisibleActivation() : pair_({.program = TURNOUT_HALTING, .lines = {{"switch", R"(max_pause = "2s")"}}}) {
        bench::install_ledger(pair_.direct(pair_.blue()));
        pair_.sync();
        bench::LedgerSettings settings;
        settings.conninfo = pair_.conninfo();
        settings.writers = 4;
        ledger_ = std::make_unique<bench::Ledger>(settings);
        ledger_->start();
    }
    ~InvisibleActivation() override { ledger_->stop(); }

    /// A switch up to an activation that hangs in green's commit.
    std::unique_ptr<bench::Program> hang() {
        const std::uint64_t goal = ledger_->totals().writes + 50;
        eventually([&] { return ledger_->totals().writes >= goal; }, "the load's writes");
        const auto halt = pair_.turnout().directory() / "halt";
        std::ofstream(halt) << "before activate";
        auto verb = std::make_unique<bench::Program>(pair_.turnout().verb({"switch", "--json"}));
        eventually([&] { return !std::filesystem::exists(halt); }, "the activation");
        synchronous("'somebody who is away'");
        ::kill(pair_.turnout().pid(), SIGCONT);
        eventually([&] { return waiting() > 0; }, "the activation's commit to wait");
        return verb;
    }
    void synchronous(const std::string& names) {
        const bench::Connection green = bench::connect(pair_.green().conninfo());
        bench::run(green.get(), "SET synchronous_commit = local");
        bench::run(green.get(), "ALTER SYSTEM SET synchronous_standby_names = " + names);
        bench::run(green.get(), "SELECT pg_reload_conf()");
        eventually(
            [&] {
                const bench::Connection fresh = bench::connect(pair_.green().conninfo());
                return bench::value(fresh.get(), "SELECT current_setting('synchronous_standby_names') = " + names) ==
                       "t";
            },
            "the setting");
    }
    std::int64_t waiting() {
        return std::stoll(pair_.green().value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"));
    }
    std::string state_on_green() {
        return pair_.green().value("SELECT state FROM turnout.journal WHERE generation = 2");
    }
    void expect_everything_on_green() {
        eventually([&] { return pair_.turnout().status().at("active") == boost::json::value("green"); },
                   "green to be served");
        const std::uint64_t goal = ledger_->totals().writes + 50;
        eventually([&] { return ledger_->totals().writes >= goal; }, "the load's writes on green");
        ledger_->hold(60s);
        const bench::Audit audit = bench::audit({ledger_.get()}, pair_.green().conninfo("app"));
        EXPECT_TRUE(audit.clean()) << audit.summary();
        EXPECT_EQ(ledger_->totals().back_in_time, 0U);
        ledger_->release();
    }

    Pair pair_;
    std::unique_ptr<bench::Ledger> ledger_;
};

TEST_F(InvisibleActivation, HoldsEverybodyUntilItIsKnownAndIsObeyed) {
    const auto verb = hang();
    EXPECT_EQ(state_on_green(), "armed") << "it should not be seen";
    // Whoever asks for the truth has to wait as well: the question is a write to the same row.
    eventually(
        [&] {
            return pair_.turnout().report({"show", "switch"}).at("state") == boost::json::value("running");
        },
        "the switch");
    const std::uint64_t written = ledger_->totals().writes;
    eventually(
        [&] {
            return pair_.green().value(
                       "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'turnout "
                       "control' AND wait_event_type = 'Lock'") == "t";
        },
        "the outcome being asked for");
    EXPECT_EQ(ledger_->totals().writes, written) << "somebody was served while the outcome was unknown";
    synchronous("''");
    const bench::Exit exit = verb->wait();
    EXPECT_EQ(exit.status, 0) << exit.err << exit.out;
    EXPECT_NE(exit.out.find("\"outcome\":\"switched\""), std::string::npos) << exit.out;
    expect_everything_on_green();
}

TEST_F(InvisibleActivation, IsNotTakenForNoneByASuccessor) {
    const auto verb = hang();
    pair_.turnout().kill();
    verb->wait();
    pair_.turnout().start();
    EXPECT_TRUE(pair_.turnout().status().at("active").is_null()) << "served without knowing";
    const bench::Connection refused = bench::try_connect(pair_.conninfo() + " connect_timeout=10");
    EXPECT_NE(std::string(PQerrorMessage(refused.get())).find("HINT"), std::string::npos)
        << PQerrorMessage(refused.get());
    synchronous("''");
    expect_everything_on_green();
    EXPECT_EQ(state_on_green(), "active");
}

}  // namespace
}  // namespace turnout::integration
