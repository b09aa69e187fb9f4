#include "control/duration.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

namespace turnout::control {
namespace {

struct Unit {
    std::string_view name;
    std::int64_t microseconds;
};

// From the largest: duration_text() takes the first that divides.
constexpr std::array<Unit, 7> kUnits{{{"d", 86'400'000'000},
                                      {"h", 3'600'000'000},
                                      {"m", 60'000'000},
                                      {"min", 60'000'000},
                                      {"s", 1'000'000},
                                      {"ms", 1'000},
                                      {"us", 1}}};

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{} || count < 0) return std::nullopt;
    std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    while (unit.starts_with(' ')) unit.remove_prefix(1);
    if (unit.empty() && count == 0) return std::chrono::milliseconds{0};
    for (const Unit& known : kUnits) {
        if (known.name != unit) continue;
        if (count > std::numeric_limits<std::int64_t>::max() / known.microseconds) return std::nullopt;
        const std::int64_t microseconds = count * known.microseconds;
        if (microseconds % 1000 != 0) return std::nullopt;
        return std::chrono::milliseconds{microseconds / 1000};
    }
    return std::nullopt;
}

std::string duration_text(std::chrono::milliseconds duration) {
    const std::int64_t microseconds = duration.count() * 1000;
    if (microseconds == 0) return "0";
    for (const Unit& unit : kUnits)
        if (microseconds % unit.microseconds == 0)
            return std::to_string(microseconds / unit.microseconds).append(unit.name);
    return std::to_string(duration.count()).append("ms");
}

}  // namespace turnout::control
