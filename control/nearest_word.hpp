#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace turnout::control {

/// The known word that `word` was probably meant to be: the one with the fewest edits (insertions, deletions,
/// replacements, neighbours swapped), if they are few for its length. For "did you mean".
std::optional<std::string> nearest_word(std::string_view word, std::span<const std::string_view> known);

}  // namespace turnout::control
