// Documents made of the tables of commands and keys: manual pages, completion, JSON Schema. What the program does not
// do cannot be in them, and what it does cannot be missing.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace turnout::program {

/// One document that `turnout generate NAME` writes to standard output.
struct Document {
    std::string_view name;
    std::string_view description;
    std::string (*make)();
};
std::span<const Document> documents();

/// turnout(1), in mdoc's older sibling man(7).
std::string manual_of_the_program();
/// turnout.toml(5).
std::string manual_of_the_configuration();
std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace turnout::program
