#include "control/nearest_word.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace turnout::control {
namespace {

std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> nearest_word(std::string_view word, std::span<const std::string_view> known) {
    constexpr std::size_t kLongest = 64;  // nobody mistypes more than that, and the table is quadratic
    if (word.empty() || word.size() > kLongest) return std::nullopt;
    std::size_t fewest = std::max<std::size_t>(1, word.size() / 3) + 1;
    std::optional<std::string> nearest;
    for (const std::string_view candidate : known) {
        const std::size_t distance = edits(word, candidate);
        if (distance >= fewest) continue;
        fewest = distance;
        nearest = std::string(candidate);
    }
    return nearest;
}

}  // namespace turnout::control
