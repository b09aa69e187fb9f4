// What a person sees: headings, short lines, one line that changes while something goes on, a table.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::bench {

/// Writes to standard output. Colours and the changing line only on a terminal, and without NO_COLOR (no-color.org).
class Terminal {
  public:
    Terminal();

    void heading(std::string_view text);
    /// An indented line; replaces a live line.
    void line(std::string_view text);
    /// A line that the next one replaces; where the output is no terminal, a line like others, but none within 2 s of
    /// the one before.
    void live(std::string_view text);
    void good(std::string_view text);
    void bad(std::string_view text);

    std::string bold(std::string_view text) const { return styled("1", text); }
    std::string dim(std::string_view text) const { return styled("2", text); }
    std::string red(std::string_view text) const { return styled("1;31", text); }
    std::string green(std::string_view text) const { return styled("32", text); }

    /// Rows of cells under a header; the first column to the left, the others to the right. A row of one cell is a
    /// heading of its own. Cells may be styled.
    void table(const std::vector<std::vector<std::string>>& rows);

  private:
    std::string styled(std::string_view code, std::string_view text) const;
    void finish_live();

    bool terminal_ = false;
    bool colours_ = false;
    bool live_ = false;
    std::chrono::steady_clock::time_point last_live_;
};

/// Columns that a text takes: escape sequences take none, a character of several bytes one.
std::size_t shown_width(std::string_view text);

/// 1234567 as "1,234,567".
std::string grouped(std::int64_t number);

}  // namespace turnout::bench
