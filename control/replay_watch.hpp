// How far the streams of several databases are, seen over one connection: in the window each would otherwise have one
// of its own asking without a pause, on the processors that the walsenders and apply workers want.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>
#include <vector>

#include "control/lsn.hpp"
#include "control/pg_connection.hpp"

namespace turnout::control {

/// Used by any number of coroutines at once, on the thread of the connection.
class ReplayWatch {
  public:
    /// A connection to any database of the source; it outlives this object and is used by nobody else meanwhile.
    explicit ReplayWatch(PgConnection& source);

    asio::awaitable<void> prepare();
    /// Whether the walsender of this slot has been told that everything up to `to` is applied *and visible* on the
    /// subscriber. It is told once the apply worker has nothing left to apply: at once after the last transaction that
    /// is carried. (The subscriber's own origin progress is not as good: it is moved just before a commit becomes
    /// visible.) One question at a time, a round trip, for all that look: who comes while one is under way waits for
    /// its end and may be told no although the answer is yes. Throws PgError.
    asio::awaitable<bool> look(const std::string& slot, Lsn to);
    /// Sends what a look sends, for all of these, so that it is quick afterwards. One answer is to be received; nobody
    /// looks until then.
    void send_warm(const std::vector<std::string>& slots);

  private:
    struct Look {
        const std::string& slot;
        Lsn to;
        bool there = false;
    };
    asio::awaitable<void> ask();

    PgConnection& source_;
    std::vector<Look*> looks_;
    bool asking_ = false;
    asio::steady_timer answered_;  ///< cancelled at each answer, never expires
};

}  // namespace turnout::control
