// The kill matrix on real servers (kill_matrix.hpp): a sample, or, with TURNOUT_MATRIX=all, every cell (`./dev matrix`:
// hours). The table of what happened is printed, and written to $TURNOUT_MATRIX_TABLE.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "tests/integration/kill_matrix.hpp"

namespace turnout::integration {
namespace {

/// A Markdown table: a row for each moment of each step, a column for each blow, a cell for each direction.
class Table {
  public:
    void add(const Cell& cell, bool forward, const std::string& outcome) {
        std::string& text = cells_[{std::string(cell.step), std::string(cell.moment), cell.blow}];
        text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", forward ? "forth" : "back", outcome);
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
    std::string row(const std::string& step, const std::string& moment) const {
        std::string text;
        bool any = false;
        for (int blow = 0; blow < kBlows; ++blow) {
            const auto found = cells_.find({step, moment, static_cast<Blow>(blow)});
            any = any || found != cells_.end();
            text += fmt::format(" {} |", found == cells_.end() ? "" : found->second);
        }
        return any ? fmt::format("\n| {} | {} |{}", step, moment, text) : "";
    }
    std::map<std::tuple<std::string, std::string, Blow>, std::string> cells_;
};

constexpr const char* kAbout =
    "# The kill matrix on real servers\n\nWritten by `./dev matrix` (`kill_matrix_test.cpp`). What is struck in each "
    "moment of each step of a switch, with four sessions writing, and whom the clients are with afterwards: nothing "
    "acknowledged was lost or doubled, one side was writable, traffic went on, and nothing was left over. 57P03 "
    "meanwhile: nobody could be served until the server that alone knew the truth was back. A cell that breaks a "
    "promise says FAILED.\n\n";

bool everything() {
    const char* wanted = std::getenv("TURNOUT_MATRIX");
    return wanted != nullptr && std::string_view(wanted) == "all";
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

/// The cells whose text has these words: $TURNOUT_CELL, to look at one by itself.
std::vector<Cell> chosen(const std::string& words) {
    std::vector<Cell> cells;
    for (const Cell& cell : every_cell()) {
        if (cell.text().find(words) != std::string::npos) cells.push_back(cell);
    }
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

TEST(KillMatrix, LosesNothingDoublesNothingAndHasOneWritableSide) {
    Table table;
    const char* words = std::getenv("TURNOUT_CELL");
    const std::vector<Cell> cells = words != nullptr ? chosen(words) : everything() ? every_cell() : sample();
    auto arena = std::make_unique<Arena>();
    for (const Cell& cell : cells) {
        bool forward = true;
        for (int direction = 0; direction < (everything() ? 2 : 1); ++direction) {
            std::string outcome;
            try {
                if (direction == 1 && arena->on_blue() == forward) arena->change();
                forward = arena->on_blue();
                outcome = arena->play(cell);
            } catch (const std::exception& error) {
                ADD_FAILURE() << cell.text() << ": " << error.what();
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
    if (const char* file = std::getenv("TURNOUT_MATRIX_TABLE")) std::ofstream(file) << kAbout << table.markdown();
}

}  // namespace
}  // namespace turnout::integration
