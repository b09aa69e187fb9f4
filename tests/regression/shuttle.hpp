// Switches back and forth, one after the other, while a suite runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "tests/sessions/plane.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::regression {

/// What became of the attempts to switch.
struct ShuttleTotals {
    std::uint64_t attempts = 0;
    std::uint64_t switches = 0;
    std::uint64_t pinned = 0;   ///< attempts given up because a session could not be moved
    std::uint64_t expired = 0;  ///< attempts given up because a transaction took longer than the bound
    std::uint64_t moved = 0;    ///< sessions, each as often as it was
    std::uint64_t held = 0;     ///< of these: had something to say while the gate was closed
    std::uint64_t failed = 0;   ///< moves that ended with an error to the client
};

/// A data plane whose two sides are one and the same server, which is a copy of itself whatever a suite does to it.
/// From start() to stop() it switches back and forth: each session changes its backend between two of its transactions.
class Shuttle {
  public:
    Shuttle(const support::Cluster& server, const std::string& database);
    ~Shuttle() { halt(); }
    Shuttle(const Shuttle&) = delete;
    Shuttle& operator=(const Shuttle&) = delete;

    std::uint16_t port() const { return plane_.port(); }
    void start();
    ShuttleTotals stop();

  private:
    void run();
    bool attempt();
    void halt();

    test::Plane plane_;
    std::thread thread_;
    std::atomic<bool> ending_{false};
    ShuttleTotals totals_;  ///< of thread_ while that runs
};

}  // namespace turnout::regression
