// The data plane's totals of the last minute: what rates, averages and the graphs of the status page are made of. Pure.
#pragma once

#include <cstdint>
#include <deque>

#include "control/data_plane.hpp"

namespace turnout::control {

class RecentCounters {
  public:
    struct Sample {
        Clock::time_point at;
        DataPlaneCounters counters;
    };

    /// Takes a sample; older ones than a minute before it go, except for the youngest of them.
    void add(Clock::time_point at, const DataPlaneCounters& counters);

    /// Oldest first; never more than a minute apart, give or take one sample.
    const std::deque<Sample>& samples() const { return samples_; }

  private:
    std::deque<Sample> samples_;
};

/// What happened between two samples.
struct Rates {
    double seconds = 0;  ///< between them; 0: nothing can be said, and all else is 0
    double transactions_per_second = 0;
    double queries_per_second = 0;
    double client_bytes_per_second = 0;
    double server_bytes_per_second = 0;
    double query_microseconds = 0;  ///< mean of a query
};
Rates rates(const RecentCounters::Sample& earlier, const RecentCounters::Sample& later);

/// The query time, in seconds, below which `percent` of the queries between two totals stayed, by the histogram of one
/// side: the upper bound of the bucket that holds it, interpolated within. 0: there were none.
double query_seconds(const DataPlaneCounters& earlier, const DataPlaneCounters& later, Side side, unsigned percent);

}  // namespace turnout::control
