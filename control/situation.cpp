#include "control/situation.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <numeric>

#include "control/report.hpp"
#include "control/switch_words.hpp"

namespace turnout::control {

namespace {

std::int64_t bytes_of(const std::vector<StreamLag>& lag) {
    return std::accumulate(lag.begin(), lag.end(), std::int64_t{0}, [](std::int64_t sum, const StreamLag& stream) {
        return sum + std::max<std::int64_t>(stream.bytes, 0);
    });
}

}  // namespace

std::string sessions_line(const std::vector<SessionView>& views) {
    const SessionView* oldest = nullptr;
    const SessionView* pinned = nullptr;
    std::size_t busy = 0;
    std::size_t stuck = 0;
    for (const SessionView& view : views) {
        if (view.movable == Movable::boundary && ++busy > 0)
            if (oldest == nullptr || view.transaction > oldest->transaction) oldest = &view;
        if (view.movable == Movable::pinned && ++stuck > 0) pinned = &view;
    }
    std::string line = fmt::format("{} sessions, {} in transaction", views.size(), busy);
    if (oldest != nullptr) line += fmt::format(" (the oldest: {})", words::session(*oldest));
    line += fmt::format(", {} pinned", stuck);
    if (pinned != nullptr) line += fmt::format(" (session {}: {})", pinned->id, pinned->reason);
    return line;
}

std::string lag_line(const std::vector<StreamLag>& now, const std::vector<StreamLag>& before) {
    if (now.empty()) return {};
    const std::int64_t bytes = bytes_of(now);
    const double seconds = std::max_element(now.begin(), now.end(), [](const auto& a, const auto& b) {
                               return a.seconds < b.seconds;
                           })->seconds;
    std::string line = fmt::format("lag {}, {:.1f} s", bytes_text(static_cast<double>(bytes)), seconds);
    if (!before.empty() && bytes != bytes_of(before)) line += bytes < bytes_of(before) ? ", falling" : ", rising";
    return line;
}

}  // namespace turnout::control
