// A switch refuses where there is no way back that carries, unless it is told to go without one.
#include <gtest/gtest.h>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

std::string everything(const bench::Exit& exit) { return exit.err + exit.out; }

TEST(WithoutWayBack, IsRefusedUnlessItIsToldAndThenThereIsNoneToTake) {
    Pair pair({.schema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)"});
    pair.sync();
    const bench::Connection client = pair.connect();
    bench::run(client.get(), "INSERT INTO things (note) VALUES ('on blue')");
    // In one transaction: what settles in the background would enable it again.
    pair.blue().execute(
        "ALTER SUBSCRIPTION turnout_to_blue DISABLE; ALTER SUBSCRIPTION turnout_to_blue SET (slot_name = NONE); DROP "
        "SUBSCRIPTION turnout_to_blue",
        "app");
    eventually([&] { return pair.green().value("SELECT count(*) FROM pg_replication_slots WHERE active") == "0"; },
               "the slot to be free");
    pair.green().execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");

    const bench::Exit refused = pair.turnout().run({"switch"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(everything(refused).find("from green to blue does not exist"), std::string::npos) << everything(refused);
    EXPECT_EQ(&pair.active(), &pair.blue());

    const boost::json::object report = pair.turnout().report({"switch", "--no-way-back"});
    EXPECT_EQ(report.at("outcome").as_string(), "switched");
    bench::run(client.get(), "INSERT INTO things (note) VALUES ('on green')");
    EXPECT_EQ(pair.green().value("SELECT count(*) FROM things", "app"), "2");
    EXPECT_EQ(pair.blue().value("SELECT count(*) FROM things", "app"), "1");
    const bench::Connection outsider = bench::connect(pair.direct(pair.blue()));
    EXPECT_THROW(bench::run(outsider.get(), "INSERT INTO things (note) VALUES ('astray')"), bench::Failure)
        << "the old side stays fenced";

    const bench::Exit back = pair.turnout().run({"rollback"});
    EXPECT_EQ(back.status, 1) << everything(back);
    pair.turnout().report({"finish"});
    EXPECT_EQ(bench::number(client.get(), "SELECT count(*) FROM things"), 2);
    EXPECT_TRUE(turnout_objects(pair.blue(), {}).empty()) << turnout_objects(pair.blue(), {}).front();
}

}  // namespace
}  // namespace turnout::integration
