// Backends of control's own whose last statement may still take effect although nobody waits for it any more: a
// connection that broke, or was given up, says nothing about its backend. Before anything contrary is done, they are
// ended, and seen to be gone.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <set>

#include "control/journal.hpp"
#include "control/pg_connection.hpp"
#include "control/side.hpp"

namespace turnout::control {

class DoubtfulBackends {
  public:
    /// Remembers the backend if the connection is broken, owes an answer or is in a transaction. True: it must not be
    /// used again.
    bool note(const PgConnection& connection);

    /// Ends those of one side and waits until they are gone. Throws PgError if the side cannot be asked, or they are
    /// not gone at the deadline: then they stay doubtful.
    asio::awaitable<void> end(const Cluster& cluster, Side side, Clock::time_point deadline);

  private:
    std::array<std::set<std::int32_t>, 2> pids_;
};

}  // namespace turnout::control
