// Whether things go as well on the new side as they did on the old one. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "control/recent_counters.hpp"

namespace turnout::control {

/// When a switch that is watched is rolled back by itself. What is not given does not count.
struct WatchLimits {
    std::optional<double> errors;   ///< so many percentage points more requests fail
    std::optional<double> latency;  ///< queries take so many per cent of the time that they took before
};

/// Reads "errors=1%", "latency=200%", or both with a comma between; nothing if the text is not of that form.
std::optional<WatchLimits> parse_watch_limits(std::string_view text);
/// The sentence that tells how they are written, for error messages.
inline constexpr std::string_view kWatchLimitsHint =
    "limits are written as \"errors=1%,latency=200%\": how many percentage points more requests may fail, and how "
    "long queries may take, in per cent of the time before";

/// What clients met with on a side in some time.
struct SideHealth {
    double seconds = 0;
    std::uint64_t requests = 0;  ///< queries that were answered, and logins
    std::uint64_t failed = 0;    ///< of these: ended with an error, or were refused
    std::uint64_t queries = 0;
    double p95_seconds = 0;  ///< 95 of 100 queries took less

    double failed_percent() const;
};
/// Between two samples. Logins are counted of both sides together, so the side must have been the active one.
SideHealth health(const RecentCounters::Sample& earlier, const RecentCounters::Sample& later, Side side);

/// Compares a side with how things went before, look by look. What counts is the last minute, or as much more as it
/// takes until something can be told.
class SwitchWatch {
  public:
    SwitchWatch(Side side, const SideHealth& before, const WatchLimits& limits)
        : side_(side), before_(before), limits_(limits) {}

    /// Takes the totals of now. The first look is what the later ones are compared with.
    void look(Clock::time_point at, const DataPlaneCounters& counters);

    const SideHealth& before() const { return before_; }
    SideHealth after() const;
    /// Why the limits are crossed, a sentence; empty: they are not, or too little has happened to tell.
    std::string crossed() const;

  private:
    std::string too_many_fail(const SideHealth& after) const;
    std::string too_slow(const SideHealth& after) const;
    std::string nothing_answered() const;

    Side side_;
    SideHealth before_;
    WatchLimits limits_;
    std::deque<RecentCounters::Sample> looks_;
    Clock::time_point answered_at_;  ///< the last look at which queries had been answered, or nobody waited
};

}  // namespace turnout::control
