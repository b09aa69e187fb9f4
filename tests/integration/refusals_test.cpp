// What cannot be done is refused with a sentence that says what is wrong and what to do, and the clients go on.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

constexpr const char* kSchema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)";

bool says(const bench::Exit& exit, std::string_view words) {
    return (exit.err + exit.out).find(words) != std::string::npos;
}

/// Refused, with these words, and the clients are served as before.
void expect_refused(Pair& pair, std::vector<std::string> verb, const std::vector<std::string>& words) {
    const bench::Exit exit = pair.turnout().run(std::move(verb));
    EXPECT_EQ(exit.status, 1) << exit.err << exit.out;
    for (const std::string& word : words) EXPECT_TRUE(says(exit, word)) << word << "\n" << exit.err << exit.out;
    bench::run(pair.connect().get(), "INSERT INTO things (note) VALUES ('served')");
}

TEST(Refusals, ASwitchBeforeSyncIsToldToSync) {
    Pair pair({.schema = kSchema});
    expect_refused(pair, {"switch"},
                   {"green does not follow blue: there is no complete copy", "Run turnout sync first"});
    expect_refused(pair, {"rollback"}, {});
    EXPECT_TRUE(turnout_objects(pair.green(), {}).empty());
}

TEST(Refusals, ASecondSwitchAtTheSameTimeIsRefusedAndTheFirstGoesOn) {
    Pair pair({.schema = kSchema});
    pair.sync();
    const bench::Connection holding = pair.connect();
    bench::run(holding.get(), "BEGIN; INSERT INTO things (note) VALUES ('holds the switch up')");
    bench::Program first(pair.turnout().verb({"switch", "--deadline", "60s"}));
    eventually([&] { return pair.turnout().status().at("phase").as_string() == "switching"; }, "the first switch");
    const bench::Exit second = pair.turnout().run({"switch"});
    EXPECT_EQ(second.status, 1) << second.err << second.out;
    EXPECT_TRUE(says(second, "running")) << second.err << second.out;
    bench::run(holding.get(), "COMMIT");
    const bench::Exit exit = first.wait();
    EXPECT_EQ(exit.status, 0) << exit.err << exit.out;
    EXPECT_EQ(bench::number(holding.get(), "SELECT count(*) FROM things"), 1);
}

TEST(Refusals, ATransactionThatDoesNotEndMakesTheSwitchGiveUpByItsDeadline) {
    Pair pair({.schema = kSchema});
    pair.sync();
    const bench::Connection holding = pair.connect();
    bench::run(holding.get(), "BEGIN; INSERT INTO things (note) VALUES ('never ends')");
    expect_refused(pair, {"switch", "--deadline", "1s"}, {});
    EXPECT_EQ(&pair.active(), &pair.blue());
    bench::run(holding.get(), "COMMIT");
    pair.change();
    EXPECT_EQ(bench::number(holding.get(), "SELECT count(*) FROM things"), 2);
}

TEST(Refusals, ATableThatIsMissingOnTheStandbyIsNamed) {
    Pair pair({.schema = kSchema});
    pair.sync();
    const std::string past_the_fence =
        bench::with(pair.green().conninfo("app"), "options", "-c default_transaction_read_only=off");
    bench::run(bench::connect(past_the_fence).get(), "DROP TABLE things");
    expect_refused(pair, {"check"}, {"things"});
    expect_refused(pair, {"switch"}, {"things"});
}

TEST(Refusals, AStandbyThatIsDownIsNamed) {
    Pair pair({.schema = kSchema});
    pair.green().stop();
    expect_refused(pair, {"check"}, {"green"});
    expect_refused(pair, {"sync"}, {"green"});
    expect_refused(pair, {"switch"}, {});
}

TEST(Refusals, AWrongPasswordForASideIsToldWithoutShowingIt) {
    Pair pair({.schema = kSchema});
    bench::ServedOptions options;
    options.program = TURNOUT_PROGRAM;
    options.blue = pair.blue().conninfo("");
    options.green = bench::with(pair.green().conninfo(""), "password", "quite a wrong one");
    pair.turnout().stop();
    bench::Served served(std::move(options));
    const bench::Exit exit = served.run({"check"});
    EXPECT_EQ(exit.status, 1) << exit.err << exit.out;
    EXPECT_TRUE(says(exit, "password authentication failed")) << exit.err << exit.out;
    EXPECT_TRUE(says(exit, "green")) << exit.err << exit.out;
    EXPECT_FALSE(says(exit, "quite a wrong one"));
    EXPECT_EQ(served.log().find("quite a wrong one"), std::string::npos);
}

TEST(Refusals, AnUnknownConfigurationKeyIsRefusedWithItsPlace) {
    const std::string path = testing::TempDir() + "turnout-bad.toml";
    std::ofstream(path) << "[side.blue]\nurl = \"host=127.0.0.1\"\n[side.green]\nurl = \"host=127.0.0.1\"\n"
                           "[switch]\ndatabases = [\"app\"]\n  max_pauze = \"100ms\"\n";
    const bench::Exit exit =
        bench::run_program({.arguments = {TURNOUT_PROGRAM, "serve", "--config", path}, .environment = {}});
    EXPECT_EQ(exit.status, 2);
    EXPECT_TRUE(says(exit, path + ":7:3")) << exit.err;
    EXPECT_TRUE(says(exit, "max_pauze")) << exit.err;
    std::ofstream(path) << "[side.blue]\nurl = \"host=127.0.0.1\"\n[side.green]\nurl = \"host=127.0.0.1\"\n"
                           "[switch]\ndatabases = \"app\"\n";
    EXPECT_EQ(bench::run_program({.arguments = {TURNOUT_PROGRAM, "serve", "--config", path}, .environment = {}}).status,
              2)
        << "an ill-typed key, too";
    std::remove(path.c_str());
}

}  // namespace
}  // namespace turnout::integration
