// Durations as people write them: "100ms", "60s", "10m", "2h", "1d".
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace turnout::control {

/// Reads a whole number with its unit: us, ms, s, m (or min), h, d. Nothing if the text is not of that form, does not
/// fit, or is no whole number of milliseconds. A bare "0" needs no unit.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// The shortest text that parse_duration() reads back: 60000 ms is "1m", 1500 ms is "1500ms".
std::string duration_text(std::chrono::milliseconds duration);

/// The sentence that tells how a duration is written, for error messages.
inline constexpr std::string_view kDurationHint =
    "a duration is a whole number with its unit, such as \"100ms\", \"60s\" or \"10m\"";

}  // namespace turnout::control
