// How others change the server under a running load, each as well as it can be done with it: PgBouncer told by an
// operator's shell script, PgBouncer told by a program that has all its connections open, nginx reloaded as the thesis'
// prototype did, and the conventional way. One-way logical replication, made beforehand.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/ledger.hpp"

namespace turnout::bench {

struct OtherWaysPlan {
    int blue = 15;  ///< major versions
    int green = 17;
    unsigned changes = 5;                        ///< by PgBouncer, each way of telling it; the others are done once
    LedgerSettings load;                         ///< its conninfo and modes are set here
    std::chrono::milliseconds pause{300};        ///< before each change
    std::function<void(std::string_view)> tell;  ///< one short line at the beginning of each change
};

/// What one of them did to the load.
struct OtherWay {
    std::string name;
    /// Of each change the longest wait of any statement, from its beginning to 300 ms after its end, by the load's own
    /// clock; for the conventional way the time in which no client could write.
    std::vector<Microseconds> longest_waits;
    std::uint64_t stray = 0;  ///< entries that were written on the old side after the change had begun
    Totals totals;
    Audit audit;  ///< of the side that was active at the end
};

/// Makes servers of its own for each way, and takes it. `missing` gets the names of those whose program is not
/// installed. Throws std::runtime_error where a step fails.
std::vector<OtherWay> take_other_ways(const OtherWaysPlan& plan, std::vector<std::string>& missing);

}  // namespace turnout::bench
