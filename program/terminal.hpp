// Who sits at the other end of the standard streams.
#pragma once

#include <string>

namespace turnout::program {

enum class Stream { in = 0, out = 1, err = 2 };

bool is_terminal(Stream stream);

/// A terminal, and NO_COLOR is not set (https://no-color.org), and TERM is not "dumb".
bool wants_colour(Stream stream);

/// Asks at the terminal and reads a line: true for y or yes. Without a terminal on standard input nobody is asked:
/// true.
bool confirmed(const std::string& question);

}  // namespace turnout::program
