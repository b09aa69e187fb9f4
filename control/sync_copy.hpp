// Waits for a subscription's first copy, and tells how it goes.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "control/pg_connection.hpp"
#include "control/sync.hpp"

namespace turnout::control {

/// One database's copy as it is watched. `source` and `target` are connections to it.
class CopyWatch {
  public:
    CopyWatch(PgConnection& source, PgConnection& target, const SyncSink& sink)
        : source_(source), target_(target), sink_(sink) {}

    /// Returns when every table of the subscription is in state `r`. Throws SyncRefused if the server reports that
    /// copies fail again and again (15 and newer say so).
    asio::awaitable<void> wait();
    std::uint64_t tables() const { return sizes_.size(); }
    std::uint64_t bytes() const { return total_; }

  private:
    asio::awaitable<void> read_sizes();
    /// Looks once; true: all are ready.
    asio::awaitable<bool> look();
    asio::awaitable<void> check_failures();
    void tell(std::uint64_t ready, std::uint64_t done_bytes);
    void tell_table(const std::string& table, std::uint64_t bytes);

    PgConnection& source_;
    PgConnection& target_;
    const SyncSink& sink_;
    std::map<std::string, std::uint64_t> sizes_;  ///< on the source, by qualified name
    std::uint64_t total_ = 0;
    std::deque<std::pair<Clock::time_point, std::uint64_t>> samples_;  ///< of the last seconds
    std::int64_t failures_ = -1;                                       ///< that the server counted when the watch began
};

}  // namespace turnout::control
