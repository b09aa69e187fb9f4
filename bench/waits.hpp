// How long statements waited for their answers, kept for the questions that are asked right after a switch.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace turnout::bench {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::microseconds;

/// Three figures of a sample; all 0 where it is empty.
struct Distribution {
    std::uint64_t count = 0;
    Microseconds p50{0};
    Microseconds p99{0};
    Microseconds max{0};
};

/// Nearest-rank percentiles; the sample is consumed.
Distribution distribution_of(std::vector<Microseconds> sample);

/// `410 µs`, `1.2 ms` or `3.4 s`: three digits at most.
std::string human(Microseconds duration);

/// One connection's waits: when each statement was sent and when its answer was complete. Written by one thread, read
/// by others. Remembers the last kRemembered; older ones fall out.
class WaitLog {
  public:
    static constexpr std::size_t kRemembered = 65536;

    /// A statement is on its way.
    void sent(Clock::time_point at);
    /// Its answer is complete, or will never come.
    void answered(Clock::time_point at);

    /// The waits that overlap the interval, one that is still going on included.
    std::vector<Microseconds> overlapping(Clock::time_point from, Clock::time_point to) const;

  private:
    struct Wait {
        Clock::time_point from;
        Clock::time_point to;
    };
    mutable std::mutex mutex_;
    std::vector<Wait> ring_;
    std::size_t next_ = 0;
    std::optional<Clock::time_point> pending_;
};

/// Waits of several connections during one interval.
struct Waits {
    Distribution statements;   ///< of every statement that was in flight at some time in it
    Distribution connections;  ///< of each connection's longest
};

Waits waits_during(const std::vector<const WaitLog*>& logs, Clock::time_point from, Clock::time_point to);

}  // namespace turnout::bench
