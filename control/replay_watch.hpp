// How far the streams of several databases are, seen over one connection to either side: in the window each would
// otherwise have one of its own asking without a pause, on the processors that the walsenders and apply workers want.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <vector>

#include "control/lsn.hpp"
#include "control/pg_connection.hpp"
#include "control/replication.hpp"

namespace turnout::control {

/// Used by any number of coroutines at once, on the thread of its connections.
class ReplayWatch {
  public:
    /// Connections to any databases of the two sides; they outlive this object and are used by nobody else meanwhile.
    ReplayWatch(PgConnection& source, PgConnection& subscriber);

    asio::awaitable<void> prepare();
    /// Whether everything up to `to`, a position of the source, is applied *and visible* on the subscriber. Either side
    /// may know first, and they are asked in turns:
    /// - The subscriber, what its apply worker was told by a keepalive (`latest_end_lsn`). A walsender sends one with
    ///   its position before it sleeps (walsender.c, WalSndWaitForWal), along the same connection as the transactions
    ///   before it, and the worker takes one message after the other: what it has been told of, it has dealt with.
    ///   (Not `received_lsn`, which runs ahead of what is being applied, nor the origin's progress, which is moved just
    ///   before a commit becomes visible.)
    /// - The source, what the worker has answered (`replay_lsn`): where that answer was faster than the walsender, no
    ///   keepalive follows it. While the subscriber has not flushed what it applied, none goes beyond the last
    ///   transaction that was carried.
    /// One question at a time, a round trip, for all that look: who comes while one is under way waits for its end and
    /// may be told no although the answer is yes. Throws PgError.
    asio::awaitable<bool> look(const Stream& stream, Lsn to);
    /// Asks the subscriber at once how far these streams are, before it is known up to where they should be. The next
    /// look() takes that answer as its own: what was true of it then is no less true now.
    void look_ahead(std::vector<const Stream*> streams);
    /// Sends what looks at these streams send, so that those are quick afterwards. receive_warm() is to follow; nobody
    /// looks until then.
    void send_warm(std::vector<const Stream*> streams);
    /// Up to where each of them is surely applied, by what either side says. Throws PgError, also at the deadline.
    asio::awaitable<std::vector<Lsn>> receive_warm(Clock::time_point deadline);

  private:
    struct Look {
        const Stream& stream;
        Lsn to;
        bool there = false;
    };
    void send(PgConnection& side, const std::vector<const Stream*>& streams, Lsn nearest);
    void send_next();
    asio::awaitable<void> ask();
    void note(const PgResult& places);

    PgConnection& source_;
    PgConnection& subscriber_;
    PgConnection* next_ = &subscriber_;  ///< to be asked
    std::vector<const Stream*> asked_;   ///< by what is under way; none: nothing is
    std::vector<Look*> looks_;
    bool asking_ = false;
    asio::steady_timer answered_;  ///< cancelled at each answer, never expires
};

}  // namespace turnout::control
