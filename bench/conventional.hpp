// The conventional way to change a server's version, as the thesis that turnout grew from measured it beside its own:
// stop the clients, dump, restore into a fresh server, verify, start the clients there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "bench/ledger.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::bench {

struct ConventionalPlan {
    const support::Cluster* from = nullptr;
    const support::Cluster* to = nullptr;  ///< fresh; gets the role and the database
    std::string database;
    std::string role;                            ///< owns the database and runs the load
    std::string password;                        ///< of the role
    LedgerSettings load;                         ///< its conninfo is set here
    std::chrono::milliseconds load_time{2000};   ///< before the stop and after the start
    std::function<void(std::string_view)> tell;  ///< one short line at the beginning of each step
};

struct ConventionalOutcome {
    Microseconds stop{0};      ///< until every client's last transaction had ended
    Microseconds copy{0};      ///< pg_dump into pg_restore
    Microseconds verify{0};    ///< rows of every table counted on both sides
    Microseconds restart{0};   ///< until the first write was acknowledged on the new side
    Microseconds downtime{0};  ///< all of it: no client could write
    std::uint64_t rows = 0;    ///< copied and counted
    Totals totals;             ///< of the load before and after
    Audit audit;
};

/// Does it, and throws std::runtime_error if a step fails or a count differs. The old side keeps its data.
ConventionalOutcome change_conventionally(const ConventionalPlan& plan);

}  // namespace turnout::bench
