// What a benchmark of a change stands on: two servers with an application's database, and turnout between them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/served.hpp"
#include "bench/terminal.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::bench {

struct RigPlan {
    int blue = 15;   ///< major version
    int green = 17;  ///< major version
    /// Of both servers. The defaults are for a machine of long ago, which checkpoints all the time.
    std::vector<std::pair<std::string, std::string>> settings{{"shared_buffers", "256MB"}, {"max_wal_size", "4GB"}};
    /// More for blue's database `app`, before it is copied. It has the ledger's tables and belongs to the role `app`.
    std::function<void(const support::Cluster& blue)> fill{};
    ServedOptions served;  ///< the two servers are filled in
};

/// Copied, followed, and ready to switch when it is made. Throws std::runtime_error. One thread at a time.
class Rig {
  public:
    Rig(RigPlan plan, Terminal& terminal);

    const support::Cluster& blue() const { return *blue_; }
    support::Cluster& green() { return *green_; }
    const Served& turnout() const { return *turnout_; }
    /// The application's, through turnout.
    std::string conninfo() const;

  private:
    std::unique_ptr<support::Cluster> blue_, green_;
    std::unique_ptr<Served> turnout_;  // last: it is stopped while its servers are there
};

}  // namespace turnout::bench
