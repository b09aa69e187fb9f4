// The kill matrix on real servers (kill_matrix.hpp): a sample; with TURNOUT_MATRIX=each one blow at each moment of each
// step (`./dev matrix each`: half an hour); with TURNOUT_MATRIX=all every cell (`./dev matrix`: hours). The table of
// what happened is printed, and written to $TURNOUT_MATRIX_TABLE.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/algorithm/string/classification.hpp>
#include <boost/algorithm/string/split.hpp>
#include <boost/algorithm/string/trim.hpp>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "tests/integration/kill_matrix.hpp"

namespace turnout::integration {
namespace {

constexpr const char* kAbout =
    "# The kill matrix on real servers\n\nWritten by `./dev matrix` (`kill_matrix_test.cpp`). What is struck in each "
    "moment of each step of a switch, with four sessions writing, and whom the clients are with afterwards: nothing "
    "acknowledged was lost or doubled, one side was writable, traffic went on, and nothing was left over. 57P03 "
    "meanwhile: nobody could be served until the server that alone knew the truth was back. A cell that breaks a "
    "promise says FAILED; an empty one has not been played.\n\n";

/// A Markdown table: a row for each moment of each step, a column for each blow, a cell for each direction. It is kept
/// in a file from cell to cell, so that a run that is cut off leaves what it has; what a run does not play stays as it
/// stood.
class Table {
  public:
    /// `file` empty: it is kept nowhere.
    explicit Table(std::string file) : file_(std::move(file)) {
        std::ifstream in(file_);
        for (std::string line; std::getline(in, line);) read(line);
    }
    void add(const Cell& cell, bool forward, const std::string& outcome) {
        const Place place{std::string(cell.step), std::string(cell.moment), static_cast<int>(cell.blow)};
        std::string& text = cells_[place];
        if (played_.insert(place).second) text.clear();
        text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", forward ? "forth" : "back", outcome);
        if (!file_.empty()) std::ofstream(file_) << kAbout << markdown();
    }
    std::string markdown() const {
        std::string text = "| step | moment |";
        for (int blow = 0; blow < kBlows; ++blow) text += fmt::format(" {} |", name(static_cast<Blow>(blow)));
        text += "\n|---|---|";
        for (int blow = 0; blow < kBlows; ++blow) text += "---|";
        for (const std::string_view step : matrix_steps()) {
            for (const std::string_view moment : matrix_moments()) text += row(std::string(step), std::string(moment));
        }
        return text + "\n";
    }

  private:
    using Place = std::tuple<std::string, std::string, int>;  ///< step, moment, blow

    void read(const std::string& line) {
        std::vector<std::string> columns;
        boost::algorithm::split(columns, line, [](char c) { return c == '|'; });
        if (columns.size() != kBlows + 4) return;
        for (std::string& column : columns) boost::algorithm::trim(column);
        for (int blow = 0; blow < kBlows; ++blow) {
            const std::string& text = columns[static_cast<std::size_t>(blow) + 3];
            if (!text.empty()) cells_[{columns[1], columns[2], blow}] = text;
        }
    }
    std::string row(const std::string& step, const std::string& moment) const {
        std::string text;
        bool any = false;
        for (int blow = 0; blow < kBlows; ++blow) {
            const auto found = cells_.find({step, moment, blow});
            any = any || found != cells_.end();
            text += fmt::format(" {} |", found == cells_.end() ? "" : found->second);
        }
        return any ? fmt::format("\n| {} | {} |{}", step, moment, text) : "";
    }

    std::string file_;
    std::map<Place, std::string> cells_;
    std::set<Place> played_;  ///< in this run
};

/// "all", "each", or nothing: the sample.
std::string_view wanted() {
    const char* wanted = std::getenv("TURNOUT_MATRIX");
    return wanted != nullptr ? wanted : "";
}

std::vector<Cell> every_cell() {
    std::vector<Cell> cells;
    for (const std::string_view step : matrix_steps()) {
        for (const std::string_view moment : matrix_moments()) {
            for (int blow = 0; blow < kBlows; ++blow) cells.push_back({moment, step, static_cast<Blow>(blow)});
        }
    }
    return cells;
}

/// One blow at each moment of each step, in turn: each of them meets six steps, two at each of the moments.
std::vector<Cell> each_moment() {
    std::vector<Cell> cells;
    int turn = 0;
    for (const std::string_view step : matrix_steps()) {
        for (const std::string_view moment : matrix_moments())
            cells.push_back({moment, step, static_cast<Blow>(turn++ % kBlows)});
    }
    return cells;
}

/// Those of the cells whose text has these words: $TURNOUT_CELL, to look at one by itself.
std::vector<Cell> chosen(std::vector<Cell> cells, const std::string& words) {
    std::erase_if(cells, [&](const Cell& cell) { return cell.text().find(words) == std::string::npos; });
    return cells;
}

/// Each of the design's eleven steps once, each blow once at one of them; and where it hurts most, what hurts most.
std::vector<Cell> sample() {
    return {{"within", "recheck", Blow::kill_proxy},
            {"within", "park reverse stream", Blow::kill_standby},
            {"after", "raise fence", Blow::kill_proxy_and_active},
            {"within", "arm sessions", Blow::cut_standby},
            {"after", "write intent", Blow::kill_proxy_and_standby},
            {"within", "close gate", Blow::kill_active},
            {"before", "read facts", Blow::freeze_active},
            {"within", "catch up", Blow::part_servers},
            {"within", "carry sequences", Blow::freeze_standby},
            {"after", "claim", Blow::replace_proxy},
            {"before", "open gate", Blow::cut_active},
            {"within", "activate", Blow::kill_proxy},
            {"within", "activate", Blow::kill_standby},
            {"within", "activate", Blow::freeze_standby},
            {"within", "activate", Blow::kill_proxy_and_standby}};
}

/// Of the test that runs.
int complaints() { return testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count(); }

TEST(KillMatrix, LosesNothingDoublesNothingAndHasOneWritableSide) {
    const char* file = std::getenv("TURNOUT_MATRIX_TABLE");
    Table table(file != nullptr ? file : "");
    const char* words = std::getenv("TURNOUT_CELL");
    const bool both_ways = !wanted().empty();
    const std::vector<Cell> whole = wanted() == "each"                      ? each_moment()
                                    : wanted() == "all" || words != nullptr ? every_cell()
                                                                            : sample();
    const std::vector<Cell> cells = chosen(whole, words != nullptr ? words : "");
    auto arena = std::make_unique<Arena>();
    for (const Cell& cell : cells) {
        bool forward = true;
        for (int direction = 0; direction < (both_ways ? 2 : 1); ++direction) {
            std::string outcome;
            const int complaints_before = complaints();
            try {
                if (direction == 1 && arena->on_blue() == forward) arena->change();
                forward = arena->on_blue();
                outcome = arena->play(cell);
                if (complaints() > complaints_before) outcome = "FAILED";
            } catch (const std::exception& error) {
                ADD_FAILURE() << cell.text() << ": " << error.what() << arena->logs();
                outcome = "FAILED";
                arena.reset();
                arena = std::make_unique<Arena>();
            }
            fmt::print("{} {}: {}\n", forward ? "forth" : "back", cell.text(), outcome);
            std::fflush(stdout);
            table.add(cell, forward, outcome);
        }
    }
    fmt::print("{}\n{}\n", table.markdown(), arena->summary());
}

}  // namespace
}  // namespace turnout::integration
