// Several databases of one server go together, and what is dismantled leaves nothing.
#include <gtest/gtest.h>

#include "bench/ledger.hpp"
#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

constexpr const char* kSchema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)";
const std::vector<std::string> kDatabases{"app", "shop"};

void expect_clean(const bench::Ledger& ledger, const std::string& conninfo) {
    const bench::Totals totals = ledger.totals();
    EXPECT_EQ(totals.errors + totals.reconnects + totals.unknown + totals.back_in_time + totals.unexplained, 0U)
        << (totals.error_texts.empty() ? "" : totals.error_texts.front());
    const bench::Audit audit = bench::audit({&ledger}, conninfo);
    EXPECT_TRUE(audit.clean()) << audit.summary();
}

TEST(Databases, TwoSwitchTogetherAndFinishLeavesTheNewSideClean) {
    Pair pair({.databases = kDatabases});
    std::vector<std::unique_ptr<bench::Ledger>> ledgers;
    for (const std::string& database : kDatabases) {
        bench::install_ledger(pair.direct(pair.blue(), database));
        bench::LedgerSettings settings;
        settings.conninfo = pair.conninfo(database);
        settings.writers = 1;  // two databases flat out are more than a standby on the same two cores can follow
        ledgers.push_back(std::make_unique<bench::Ledger>(settings));
        ledgers.back()->start();
    }
    pair.sync();
    for (int i = 0; i < 3; ++i) {
        const std::uint64_t goal = ledgers[0]->totals().writes + 100;
        eventually([&] { return ledgers[0]->totals().writes >= goal; }, "the load's writes");
        pair.change();
    }
    const bench::Exit finish = pair.turnout().run({"finish"});
    EXPECT_EQ(finish.status, 0) << finish.err << finish.out;
    for (std::size_t i = 0; i < kDatabases.size(); ++i) {
        ledgers[i]->stop();
        expect_clean(*ledgers[i], pair.green().conninfo(kDatabases[i]));
    }
    const std::vector<std::string> left = turnout_objects(pair.green(), kDatabases);
    EXPECT_TRUE(left.empty()) << left.front();
    EXPECT_EQ(pair.turnout().status().at("phase").as_string(), "finished");
}

TEST(Databases, AbortLeavesTheOldSideAsItWas) {
    Pair pair({.databases = kDatabases, .schema = kSchema});
    const std::vector<std::string> before = turnout_objects(pair.blue(), kDatabases);
    pair.sync();
    EXPECT_NE(turnout_objects(pair.blue(), kDatabases), before);
    const bench::Exit one_of_two =
        psql("host=" + pair.turnout().directory().string() + " port=6432 dbname=turnout user=me", "PAUSE app");
    EXPECT_NE(one_of_two.err.find("PAUSE of one database among several is not possible"), std::string::npos)
        << one_of_two.err;
    const bench::Exit exit = pair.turnout().run({"abort"});
    EXPECT_EQ(exit.status, 0) << exit.err << exit.out;
    EXPECT_EQ(turnout_objects(pair.blue(), kDatabases), before);
    bench::run(pair.connect().get(), "INSERT INTO things (note) VALUES ('as before')");
    EXPECT_EQ(pair.blue().value("SELECT count(*) FROM things", "app"), "1");
}

/// A pg_dump that can read a server of 17: beside the servers that were fetched, else the system's own.
std::vector<std::pair<std::string, std::string>> newest_client() {
    const auto beside = support::server_binaries(17).value().parent_path().parent_path() / "client" / "bin";
    if (!std::filesystem::exists(beside / "pg_dump")) return {};
    return {{"switch", "pg_bin = \"" + beside.string() + "\""}};
}

TEST(Databases, ADowngradeWhereTheSchemaAllowsIt) {
    Pair pair({.blue = 17, .green = 15, .schema = kSchema, .lines = newest_client()});
    const bench::Connection session = pair.connect();
    bench::run(session.get(), "INSERT INTO things (note) SELECT 'written on 17' FROM generate_series(1, 100)");
    pair.sync();
    pair.change();
    EXPECT_EQ(bench::number(session.get(), "SELECT count(*) FROM things"), 100);
    EXPECT_EQ(bench::number(session.get(), "INSERT INTO things (note) VALUES ('written on 15') RETURNING id"), 101);
    pair.change();
    EXPECT_EQ(bench::number(session.get(), "SELECT count(*) FROM things"), 101);
    EXPECT_EQ(bench::number(session.get(), "INSERT INTO things (note) VALUES ('on 17 again') RETURNING id"), 102);
}

}  // namespace
}  // namespace turnout::integration
