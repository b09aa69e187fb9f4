// What becomes of pinned sessions and of long transactions: each policy for the ones with each for the others, as an
// operator asks for them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

class SwitchPolicies : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        pair_ = std::make_unique<Pair>(PairOptions{.schema = "CREATE TABLE things (n int PRIMARY KEY)"});
        pair_->sync();
    }
    static void TearDownTestSuite() { pair_.reset(); }

    static std::string active() { return std::string(pair_->turnout().status().at("active").as_string()); }
    /// The name of the side that answers.
    static std::string side_of(const bench::Connection& session) {
        return bench::number(session.get(), "SHOW port") == pair_->blue().port() ? "blue" : "green";
    }
    /// What the next command of a session fails with.
    static std::string failure(const bench::Connection& session, const std::string& sql) {
        const bench::Result result{PQexec(session.get(), sql.c_str())};
        const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
        return fmt::format("{}: {}", state == nullptr ? "" : state, PQerrorMessage(session.get()));
    }
    /// An attempt has been made, and missed.
    static bool missed(const std::string& err, const std::string&) { return err.find("back_off") != std::string::npos; }
    static bench::Program::Options change(std::vector<std::string> options) {
        options.insert(options.begin(), active() == "blue" ? "switch" : "rollback");
        return pair_->turnout().verb(options);
    }

    void run(const std::string& pinned, const std::string& long_transactions, const std::vector<std::string>& options);

    static std::unique_ptr<Pair> pair_;
};
std::unique_ptr<Pair> SwitchPolicies::pair_;

/// A session with a temporary table, one in a transaction that has read, and a switch between them.
void SwitchPolicies::run(const std::string& pinned, const std::string& long_transactions,
                         const std::vector<std::string>& options) {
    SCOPED_TRACE(pinned + ", " + long_transactions);
    const std::string from = active(), to = from == "blue" ? "green" : "blue";
    const bench::Connection temporary = pair_->connect(), reading = pair_->connect();
    bench::run(temporary.get(), "CREATE TEMP TABLE mine (n int)");
    PQsetErrorVerbosity(temporary.get(), PQERRORS_VERBOSE);  // what comes unasked has its SQLSTATE in the text only
    bench::run(reading.get(), "BEGIN");
    bench::run(reading.get(), "SELECT count(*) FROM things");

    bench::Program verb(change(options));
    if (pinned == "refuse") {
        const bench::Exit exit = verb.wait();
        EXPECT_EQ(exit.status, 1);
        EXPECT_NE((exit.err + exit.out).find("mine"), std::string::npos) << exit.err << exit.out;
        EXPECT_EQ(active(), from);
        EXPECT_EQ(bench::number(temporary.get(), "SELECT count(*) FROM mine"), 0);
        bench::run(reading.get(), "COMMIT");
        return;
    }
    eventually([] { return pair_->turnout().status().at("phase").as_string() == "switching"; }, "the switch");
    if (long_transactions == "wait") {
        EXPECT_EQ(side_of(reading), from);
        bench::run(reading.get(), "COMMIT");
    }
    if (pinned == "wait") {
        ASSERT_TRUE(verb.read_until(missed));
        EXPECT_EQ(bench::number(temporary.get(), "SELECT count(*) FROM mine"), 0);
        bench::run(temporary.get(), "DROP TABLE mine");
    }
    const bench::Exit exit = verb.wait();
    ASSERT_EQ(exit.status, 0) << exit.err << exit.out;
    EXPECT_EQ(active(), to);

    if (pinned == "end") {
        const std::string told = failure(temporary, "SELECT 1");
        EXPECT_NE(told.find("57P01"), std::string::npos) << told;
        EXPECT_NE(told.find("switched to " + to), std::string::npos) << told;
        EXPECT_NE(told.find("mine"), std::string::npos) << told;
    } else {
        EXPECT_EQ(side_of(temporary), to);
    }
    if (long_transactions == "cancel") {
        EXPECT_EQ(failure(reading, "COMMIT").substr(0, 5), "40001");
        bench::run(reading.get(), "ROLLBACK");
    } else if (long_transactions == "read_only") {
        EXPECT_EQ(side_of(reading), from);
        EXPECT_EQ(failure(reading, "INSERT INTO things VALUES (1)").substr(0, 5), "40001");
        bench::run(reading.get(), "ROLLBACK");
    }
    EXPECT_EQ(side_of(reading), to);
    bench::run(reading.get(), "INSERT INTO things VALUES (1)");
    bench::run(reading.get(), "DELETE FROM things");
}

TEST_F(SwitchPolicies, EachForPinnedSessionsWithEachForLongTransactions) {
    for (const std::string pinned : {"wait", "end", "refuse"}) {
        for (const std::string long_transactions : {"wait", "cancel", "read_only"}) {
            run(pinned, long_transactions, {"--pinned", pinned, "--long-transactions", long_transactions});
        }
    }
}

TEST_F(SwitchPolicies, TheConfigurationsHoldWhereTheVerbSaysNothing) {
    std::stringstream text;
    text << std::ifstream(pair_->turnout().configuration()).rdbuf();
    std::string toml = text.str();
    const std::string section = "[switch]\n";
    ASSERT_NE(toml.find(section), std::string::npos);
    toml.insert(toml.find(section) + section.size(), "pinned = \"end\"\nlong_transactions = \"read_only\"\n");
    std::ofstream(pair_->turnout().configuration()) << toml;
    ASSERT_EQ(pair_->turnout().run({"reload"}).status, 0);
    run("end", "read_only", {});
}

}  // namespace
}  // namespace turnout::integration
