// A side that is gone for good: a person makes the other one active, is told first what that may lose, and the lost
// side is never served again by itself, whatever comes back in whichever order.
#include <gtest/gtest.h>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

constexpr const char* kSchema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)";

bool served(Pair& pair) { return !pair.turnout().status().at("active").is_null(); }

/// What a client is told that cannot be served.
std::string refusal(Pair& pair) {
    const bench::Connection connection = bench::try_connect(pair.conninfo() + " connect_timeout=10");
    return PQstatus(connection.get()) == CONNECTION_OK ? "" : PQerrorMessage(connection.get());
}

TEST(ForceActive, ServesTheSideThatIsLeftAndNeverAgainTheOneThatWasLost) {
    Pair pair({.schema = kSchema});
    pair.sync();
    bench::run(pair.connect().get(), "INSERT INTO things (note) VALUES ('before')");
    eventually([&] { return pair.green().value("SELECT count(*) FROM things", "app") == "1"; }, "the row on green");

    pair.blue().crash();
    eventually([&] { return !served(pair); }, "nobody to be served: the active side is away");
    const std::string told = refusal(pair);
    EXPECT_NE(told.find("blue"), std::string::npos) << told;
    EXPECT_NE(told.find("HINT"), std::string::npos) << told;

    const bench::Exit forced = pair.turnout().run({"force-active", "green"});
    ASSERT_EQ(forced.status, 0) << forced.err << forced.out;
    EXPECT_NE(forced.err.find("los"), std::string::npos) << "it says what may be lost: " << forced.err << forced.out;
    EXPECT_EQ(pair.turnout().status().at("active").as_string(), "green");
    // Green's own sequence was never moved: the number must not be one that blue gave out.
    bench::run(pair.connect().get(), "INSERT INTO things (note) VALUES ('on green')");
    EXPECT_NE(forced.out.find("things_id_seq"), std::string::npos) << forced.out;

    // The lost side comes back by itself: it is not served, and nothing of it is merged.
    pair.blue().start();
    pair.blue().execute(
        "BEGIN READ WRITE; INSERT INTO things (id, note) VALUES (77, 'written on the lost side'); COMMIT", "app");
    pair.turnout().kill();
    pair.turnout().start();
    EXPECT_EQ(pair.turnout().status().at("active").as_string(), "green");
    EXPECT_EQ(bench::number(pair.connect().get(), "SELECT count(*) FROM things"), 2);

    // Nor is it when it is the only one that can be asked.
    pair.turnout().kill();
    pair.green().crash();
    pair.turnout().start();
    EXPECT_FALSE(served(pair)) << "the lost side is served on its own evidence";
    EXPECT_NE(refusal(pair), "");
    pair.green().start();
    eventually([&] { return served(pair); }, "green to be served again");
    EXPECT_EQ(pair.turnout().status().at("active").as_string(), "green");
    EXPECT_EQ(bench::number(pair.connect().get(), "SELECT count(*) FROM things WHERE id = 77"), 0);
}

TEST(ForceActive, ARestoredActiveSideIsNotServedByItself) {
    Pair pair({.schema = kSchema});
    pair.sync();
    pair.change();
    // Green is set back to before its activation, as by a restore from a backup.
    pair.turnout().kill();
    pair.green().execute("DELETE FROM turnout.journal WHERE generation >= 2");
    pair.turnout().start();
    EXPECT_FALSE(served(pair)) << "blue is retired, and green has forgotten: nobody knows but a person";
    const bench::Exit exit = pair.turnout().run({"switch"});
    EXPECT_EQ(exit.status, 3) << exit.err << exit.out;
    EXPECT_NE(refusal(pair).find("HINT"), std::string::npos) << refusal(pair);
}

TEST(ForceActive, ASecondProxyRefusesAndATakeOverEndsTheFirst) {
    Pair pair({.schema = kSchema});
    pair.sync();
    bench::ServedOptions options = pair.served_options();
    options.start = false;
    bench::Served second(options);
    EXPECT_THROW(second.start(), std::runtime_error) << "two proxies on one pair";
    EXPECT_NE(second.log().find("--take-over"), std::string::npos) << second.log();
    EXPECT_TRUE(served(pair));
    second.start({"--take-over"});
    eventually([&] { return !pair.turnout().running(); }, "the end of the first proxy");
    const bench::Connection connection = bench::connect(second.conninfo(Pair::kRole, Pair::kPassword));
    bench::run(connection.get(), "INSERT INTO things (note) VALUES ('through the second')");
}

}  // namespace
}  // namespace turnout::integration
