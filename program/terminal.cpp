#include "program/terminal.hpp"

#include <unistd.h>
#include <cstdlib>
#include <iostream>
#include <string_view>

namespace turnout::program {

bool is_terminal(Stream stream) { return ::isatty(static_cast<int>(stream)) == 1; }

bool wants_colour(Stream stream) {
    const char* refused = std::getenv("NO_COLOR");
    const char* terminal = std::getenv("TERM");
    const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
    return is_terminal(stream) && (refused == nullptr || *refused == '\0') && !dumb;
}

bool confirmed(const std::string& question) {
    if (!is_terminal(Stream::in)) return true;
    std::cerr << question << " [y/N] " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace turnout::program
