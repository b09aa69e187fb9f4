// The kill matrix in simulated time, every cell of it: before, within and after each step of a switch, both ways, a
// process is killed or replaced, a server crashes or freezes, or the network between two of the three parts for a
// while. Then everything is there, once, one side is writable, and traffic goes on. The table is printed.
//
// What the real servers do in a part of these cells is tests/integration/kill_matrix_test.cpp.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <map>
#include <vector>

#include "tests/simulation/life.hpp"

namespace turnout::simulation {
namespace {

using namespace std::chrono_literals;

enum class Blow {
    kill_proxy,
    replace_proxy,
    crash_active,
    crash_standby,
    freeze_active,
    freeze_standby,
    cut_active,
    cut_standby,
    part_servers,
    kill_proxy_and_active,
    kill_proxy_and_standby,
};
constexpr std::array<const char*, 11> kBlows{"proxy killed",          "proxy replaced",         "active crashed",
                                             "standby crashed",       "active frozen",          "standby frozen",
                                             "network to active cut", "network to standby cut", "servers parted",
                                             "proxy and active",      "proxy and standby"};
constexpr std::array<const char*, 3> kMoments{"before", "within", "after"};

/// The `place`-th moment of a switch, counted as they come.
struct Moment {
    std::string step;
    int moment = 0;
};

/// One life with one switch (on the way back: a second one) and one blow.
class CellLife {
  public:
    explicit CellLife(bool back) : world_(1), ground_(world_), life_(ground_) {
        life_.rest(2s);
        if (!back) return;
        life_.process().begin_switch();
        life_.rest(8s);
    }

    /// The moments of an undisturbed switch.
    std::vector<Moment> moments() {
        std::vector<Moment> all;
        ground_.watch = [&](const control::SwitchStep& step, int moment) {
            all.push_back({std::string(control::name(step)), moment});
        };
        life_.process().begin_switch();
        life_.rest(8s);
        ground_.watch = nullptr;
        return all;
    }

    /// What is wrong, or nothing; `went` tells who serves then.
    std::string strike_at(std::size_t place, Blow blow, std::string& went) {
        const Side from = life_.process().side();
        std::size_t met = 0;
        ground_.watch = [&, from](const control::SwitchStep&, int) {
            if (met++ == place) strike(blow, from);
        };
        life_.process().begin_switch();
        world_.run_until(world_.now() + 1500ms);  // every blow is over by then
        life_.rest(20s);
        ground_.watch = nullptr;
        if (met <= place) return "the moment was not met";
        const std::string wrong = life_.account();
        if (!wrong.empty()) return wrong;
        went = life_.process().side() == from ? "old side" : "new side";
        // And the next one succeeds.
        const std::uint64_t switched = ground_.switched;
        life_.process().begin_switch();
        life_.rest(20s);
        if (ground_.switched == switched) return "the next switch does not succeed";
        return life_.account();
    }

  private:
    void strike(Blow blow, Side from) {
        Server& active = ground_.server(from);
        Server& standby = ground_.server(other(from));
        const auto crash = [this](Server& server, Duration away) {
            server.crash();
            world_.after(away, [&server] { server.start(); });
        };
        const auto freeze = [this](Server& server) {
            server.freeze();
            world_.after(700ms, [&server] { server.thaw(); });
        };
        const auto cut = [this](Server& server) {
            ground_.cut[index(server.side())] = true;
            world_.after(700ms, [this, side = server.side()] { ground_.cut[index(side)] = false; });
        };
        switch (blow) {
            case Blow::kill_proxy: return life_.replace_process(true, 0ms);
            case Blow::replace_proxy: return life_.replace_process(false, 900ms);
            case Blow::crash_active: return crash(active, 200ms);
            case Blow::crash_standby: return crash(standby, 200ms);
            case Blow::freeze_active: return freeze(active);
            case Blow::freeze_standby: return freeze(standby);
            case Blow::cut_active: return cut(active);
            case Blow::cut_standby: return cut(standby);
            case Blow::part_servers:
                ground_.servers_apart = true;
                return world_.after(700ms, [this] { ground_.servers_apart = false; });
            case Blow::kill_proxy_and_active: crash(active, 900ms); return life_.replace_process(true, 0ms);
            case Blow::kill_proxy_and_standby: crash(standby, 900ms); return life_.replace_process(true, 0ms);
        }
    }

    World world_;
    Ground ground_;
    Life life_;
};

TEST(SimulatedKillMatrix, keeps_every_promise_in_every_cell) {
    std::size_t cells = 0;
    std::map<std::string, std::size_t> ends;
    std::string table;
    for (const bool back : {false, true}) {
        const std::vector<Moment> moments = CellLife(back).moments();
        ASSERT_GT(moments.size(), 60U) << "three moments of each step";
        table += fmt::format("\n| {} | moment |", back ? "back" : "forth");
        for (const char* blow : kBlows) table += fmt::format(" {} |", blow);
        table += "\n|---|---|";
        for (std::size_t i = 0; i < kBlows.size(); ++i) table += "---|";
        for (std::size_t place = 0; place < moments.size(); ++place) {
            const Moment& moment = moments[place];
            table += fmt::format("\n| {} | {} |", moment.step, kMoments.at(static_cast<std::size_t>(moment.moment)));
            for (std::size_t blow = 0; blow < kBlows.size(); ++blow) {
                if (kSanitized && (place * kBlows.size() + blow) % 13 != 0) continue;
                std::string went;
                const std::string wrong = CellLife(back).strike_at(place, static_cast<Blow>(blow), went);
                EXPECT_EQ(wrong, "") << (back ? "back, " : "forth, ") << moment.step << ", "
                                     << kMoments.at(static_cast<std::size_t>(moment.moment)) << ", " << kBlows.at(blow);
                table += fmt::format(" {} |", wrong.empty() ? went : "FAILED");
                ++ends[went];
                ++cells;
            }
        }
        table += "\n";
    }
    table += fmt::format("\n{} cells: {} end on the old side, {} on the new one\n", cells, ends["old side"],
                         ends["new side"]);
    fmt::print("{}", table);
    if (const char* file = std::getenv("TURNOUT_SIMULATED_MATRIX_TABLE"))
        std::ofstream(file) << "# The kill matrix in simulated time\n\nWritten by `./dev matrix` "
                               "(`kill_matrix_test.cpp`): what is struck in each moment of each step of a switch, and "
                               "whom the clients are with afterwards. A cell that breaks a promise says FAILED.\n"
                            << table;
    EXPECT_GT(ends["old side"], 0U);
    EXPECT_GT(ends["new side"], 0U);
}

}  // namespace
}  // namespace turnout::simulation
