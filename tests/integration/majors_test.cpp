// The way back stands between any two majors: forth, back, forth and back again under load, and nothing is lost. All
// pairs that are installed with TURNOUT_MAJORS=all (`./dev majors`), those that begin with one major with its number,
// otherwise the oldest and the newest of the usual ones (databases_test goes down).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "bench/ledger.hpp"
#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

/// pg_dump of the newest client that is installed reads the first side; the other way round nothing is dumped.
std::vector<std::pair<int, int>> pairs() {
    const char* wanted = std::getenv("TURNOUT_MAJORS");
    if (wanted == nullptr) return {{15, 18}};
    std::vector<std::pair<int, int>> all;
    for (const int blue : support::majors_available()) {
        if (blue < 13 || !support::client_binaries(blue)) continue;
        if (std::string_view(wanted) != "all" && wanted != std::to_string(blue)) continue;
        for (const int green : support::majors_available()) {
            if (green >= 13 && green != blue) all.emplace_back(blue, green);
        }
    }
    return all;
}

void go_forth_and_back(int blue, int green) {
    const auto client = support::client_binaries(blue);
    if (!client) throw std::runtime_error("no pg_dump for this major: ./dev setup");
    Pair pair({.blue = blue, .green = green, .lines = {{"switch", "pg_bin = \"" + client->string() + "\""}}});
    bench::install_ledger(pair.direct(pair.blue()));
    bench::LedgerSettings settings;
    settings.conninfo = pair.conninfo();
    settings.writers = 4;
    // Flat out they can write more than a busy machine's standby can apply: then there is no good moment for a switch.
    settings.pace.think = std::chrono::milliseconds(3);
    bench::Ledger ledger(settings);
    ledger.start();
    pair.sync();
    const auto objects = std::make_pair(turnout_objects(pair.blue(), {"app"}), turnout_objects(pair.green(), {"app"}));
    for (int round = 0; round < 4; ++round) {
        const std::uint64_t goal = ledger.totals().writes + 50;
        eventually([&] { return ledger.totals().writes >= goal; }, "the load's writes");
        pair.change();
    }
    EXPECT_EQ(&pair.active(), &pair.blue());
    EXPECT_EQ(std::make_pair(turnout_objects(pair.blue(), {"app"}), turnout_objects(pair.green(), {"app"})), objects);
    ledger.stop();
    EXPECT_EQ(ledger.totals().errors, 0U);
    const bench::Audit audit = bench::audit({&ledger}, pair.conninfo());
    EXPECT_TRUE(audit.clean()) << audit.summary();
    fmt::print("{} and {}: {} writes acknowledged; {}\n", blue, green, ledger.totals().writes, audit.summary());
    std::fflush(stdout);
}

TEST(WayBack, StandsBetweenTheMajors) {
    for (const auto& [blue, green] : pairs()) {
        SCOPED_TRACE(testing::Message() << blue << " and " << green);
        try {
            go_forth_and_back(blue, green);
        } catch (const std::exception& error) {
            ADD_FAILURE() << blue << " and " << green << ": " << error.what();
        }
    }
}

}  // namespace
}  // namespace turnout::integration
