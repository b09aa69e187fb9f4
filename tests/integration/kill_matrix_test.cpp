// The kill matrix on real servers (kill_matrix.hpp): a sample, or, with TURNOUT_MATRIX=all, every cell (`./dev matrix`:
// hours). The table of what happened is printed, and written to $TURNOUT_MATRIX_TABLE.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>

#include "tests/integration/kill_matrix.hpp"

namespace turnout::integration {
namespace {

/// How many cells the sample has besides the activation's.
constexpr int kOthers = 4;

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

/// Each blow where it hurts most; and a few cells at random.
std::vector<Cell> sample(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Cell> cells;
    for (int each = 0; each < kBlows; ++each) cells.push_back({"within", "activate", static_cast<Blow>(each)});
    std::vector<Cell> others = every_cell();
    std::shuffle(others.begin(), others.end(), random);
    cells.insert(cells.end(), others.begin(), others.begin() + kOthers);
    return cells;
}

TEST(KillMatrix, LosesNothingDoublesNothingAndHasOneWritableSide) {
    Table table;
    const char* words = std::getenv("TURNOUT_CELL");
    const std::vector<Cell> cells = words != nullptr ? chosen(words) : everything() ? every_cell() : sample(seed());
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
    if (const char* file = std::getenv("TURNOUT_MATRIX_TABLE")) std::ofstream(file) << table.markdown();
}

}  // namespace
}  // namespace turnout::integration
