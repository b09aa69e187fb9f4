// The ledger load on one real server: clean where nothing happened, and every kind of harm that is done to its tables
// or its connections behind its back is told.
#include <gtest/gtest.h>

#include "bench/ledger.hpp"
#include "tests/integration/eventually.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::bench {
namespace {

using namespace std::chrono_literals;

class LedgerAudit : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        server_ = std::make_unique<support::Cluster>(support::ClusterOptions{.name = "ledger", .fsync = false});
    }
    static void TearDownTestSuite() { server_.reset(); }

    void SetUp() override {
        database_ = testing::UnitTest::GetInstance()->current_test_info()->name();
        server_->execute("CREATE DATABASE \"" + database_ + "\"");
        execute(
            "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, abalance int NOT NULL DEFAULT 0);"
            "INSERT INTO pgbench_accounts (aid) SELECT generate_series(1, 100)");
        install_ledger(conninfo());
    }

    std::string conninfo() const { return server_->conninfo(database_); }
    void execute(const std::string& sql) const { server_->execute(sql, database_); }

    /// Until the load has written so many transactions in all.
    static void wait_for_writes(const Ledger& ledger, std::uint64_t writes) {
        integration::eventually([&] { return ledger.totals().writes >= writes; }, "the load's writes");
    }

    Ledger run(unsigned writers, std::vector<Mode> modes, std::uint64_t writes) const {
        LedgerSettings settings;
        settings.conninfo = conninfo();
        settings.writers = writers;
        settings.modes = std::move(modes);
        Ledger ledger(std::move(settings));
        ledger.start();
        wait_for_writes(ledger, writes);
        ledger.stop();
        return ledger;
    }

    static std::unique_ptr<support::Cluster> server_;
    std::string database_;
};
std::unique_ptr<support::Cluster> LedgerAudit::server_;

TEST_F(LedgerAudit, AnUndisturbedRunIsCleanInEveryMode) {
    for (const Mode mode : {Mode::simple, Mode::extended, Mode::prepared, Mode::pipelined}) {
        SCOPED_TRACE(name(mode));
        const Ledger ledger = run(4, {mode}, 400);
        const Totals totals = ledger.totals();
        EXPECT_EQ(totals.errors, 0U) << (totals.error_texts.empty() ? "" : totals.error_texts.front());
        EXPECT_EQ(totals.reconnects + totals.unknown + totals.back_in_time + totals.unexplained, 0U);
        EXPECT_GT(totals.reads, 0U);
        const Audit found = audit({&ledger}, conninfo());
        EXPECT_TRUE(found.clean()) << found.summary() << "\n" << (found.examples.empty() ? "" : found.examples[0]);
        EXPECT_GT(found.rows, 0U);
    }
}

TEST_F(LedgerAudit, HarmDoneBehindItsBackIsFound) {
    const Ledger ledger = run(4, {Mode::prepared}, 800);
    struct Harm {
        std::string sql;
        std::uint64_t Audit::*count;
    };
    for (const Harm& harm : std::vector<Harm>{
             {"DELETE FROM ledger_entries WHERE id = (SELECT max(id) FROM ledger_entries)", &Audit::lost},
             {"INSERT INTO ledger_entries (writer, entry, revision) SELECT writer, entry, revision FROM ledger_entries "
              "ORDER BY id DESC LIMIT 1",
              &Audit::duplicated},
             {"INSERT INTO ledger_entries (writer, entry) SELECT max(writer), 1000000 FROM ledger_counters",
              &Audit::unexplained},
             {"UPDATE ledger_counters SET n = n + 1 WHERE writer = (SELECT max(writer) FROM ledger_counters)",
              &Audit::counters_high},
             {"UPDATE ledger_balances SET n = n - 1 WHERE id = 3", &Audit::counters_low},
             {"UPDATE pgbench_accounts SET abalance = abalance - 1 WHERE aid = 5", &Audit::counters_low},
             {"INSERT INTO ledger_entries (writer, entry, ticket) SELECT -1, 0, max(ticket) FROM ledger_entries",
              &Audit::tickets_doubled}}) {
        SCOPED_TRACE(harm.sql);
        const Audit before = audit({&ledger}, conninfo());
        execute(harm.sql);
        const Audit after = audit({&ledger}, conninfo());
        EXPECT_GT(after.*harm.count, before.*harm.count) << after.summary();
    }
}

TEST_F(LedgerAudit, ALostConnectionIsCountedAndItsTransactionMayOrMayNotStand) {
    LedgerSettings settings;
    settings.conninfo = conninfo();
    settings.writers = 4;
    Ledger ledger(std::move(settings));
    ledger.start();
    for (std::uint64_t round = 1; round <= 5; ++round) {
        wait_for_writes(ledger, round * 100);
        execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND pid <> pg_backend_pid()");
    }
    wait_for_writes(ledger, ledger.totals().writes + 100);
    ledger.stop();
    const Totals totals = ledger.totals();
    EXPECT_GE(totals.errors, totals.reconnects);
    EXPECT_GT(totals.reconnects, 0U);
    EXPECT_FALSE(totals.error_texts.empty());
    EXPECT_EQ(totals.back_in_time + totals.unexplained, 0U);
    const Audit found = audit({&ledger}, conninfo());
    EXPECT_TRUE(found.clean()) << found.summary() << "\n" << (found.examples.empty() ? "" : found.examples[0]);
}

TEST_F(LedgerAudit, AServerThatGoesBackInTimeIsNoticedWhileItRuns) {
    LedgerSettings settings;
    settings.conninfo = conninfo();
    settings.writers = 2;
    Ledger ledger(std::move(settings));
    ledger.start();
    wait_for_writes(ledger, 100);
    execute("UPDATE ledger_counters SET n = n - 50");
    integration::eventually([&] { return ledger.totals().back_in_time > 0; }, "a read that is too old");
    ledger.stop();
    EXPECT_GT(audit({&ledger}, conninfo()).counters_low, 0U);
}

TEST_F(LedgerAudit, AServerThatDoesNotAnswerCannotKeepTheLoadFromStopping) {
    LedgerSettings settings;
    settings.conninfo = conninfo();
    settings.writers = 4;
    Ledger ledger(std::move(settings));
    ledger.start();
    wait_for_writes(ledger, 50);
    server_->freeze();
    ledger.stop(50ms);
    server_->thaw();
    EXPECT_GT(ledger.totals().errors, 0U) << "a cut connection is an error";
}

TEST_F(LedgerAudit, TwoLoadsAtOnceAreAuditedTogether) {
    LedgerSettings fast;
    fast.conninfo = conninfo();
    fast.writers = 2;
    LedgerSettings clocked = fast;
    clocked.pace.read_every = 3ms;
    clocked.pace.write_every = 10ms;
    Ledger first(std::move(fast));
    Ledger second(std::move(clocked));
    first.start();
    second.start();
    wait_for_writes(second, 20);
    first.stop();
    second.stop();
    const Audit found = audit({&first, &second}, conninfo());
    EXPECT_TRUE(found.clean()) << found.summary();
}

}  // namespace
}  // namespace turnout::bench
