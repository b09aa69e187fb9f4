// Lines of progress as a person wants to see them: at a terminal one line that changes, elsewhere as few as it takes.
#pragma once

#include <chrono>
#include <iosfwd>
#include <string>
#include <string_view>

namespace turnout::control {

/// Progress comes as "what: how far"; lines with the same beginning follow each other.
class ProgressPrinter {
  public:
    using Clock = std::chrono::steady_clock;

    ProgressPrinter(std::ostream& out, bool quiet, bool terminal) : out_(out), quiet_(quiet), terminal_(terminal) {}

    /// At a terminal it takes the place of the last one, if both tell of the same. Elsewhere the first line of each
    /// thing is printed, and then one in ten seconds.
    void show(std::string_view line, Clock::time_point now);

    /// What comes now stands on a line of its own.
    void end();

  private:
    std::ostream& out_;
    bool quiet_;
    bool terminal_;
    bool open_ = false;  ///< the terminal's line has no end yet
    std::string topic_;  ///< of the last line
    Clock::time_point printed_{};
};

/// The first words of a check's lines (PASS, WARN, FAIL) in colour, by ANSI sequences.
std::string coloured(std::string_view text);

}  // namespace turnout::control
