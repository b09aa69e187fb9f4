// One turnout per pair of servers: a session advisory lock in the journal database of each side. A second proxy
// refuses; a successor ends what its predecessor left running; a proxy that loses the lock of the side it serves must
// stop.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "control/journal.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// Another turnout holds a lock; the message says which and what to do.
class LockHeld : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

class SingleFlight {
  public:
    /// Called on control's executor.
    struct Listener {
        /// The lock's connection was lost: if clients are served by this side, they must not be any more until back().
        std::function<void(Side, std::string why)> lost;
        /// Held (again).
        std::function<void(Side)> back;
        /// Somebody else holds it now: this proxy has been replaced.
        std::function<void(Side, std::string who)> replaced;
    };

    explicit SingleFlight(const Cluster& cluster) : cluster_(cluster) {}

    /// Locks every side that can be reached; the others follow in watch(). `take_over` ends a holder that is still
    /// there. Where it succeeds, all other backends of control's own are ended: they are a predecessor's, and their
    /// last statement must not come late. Throws LockHeld; then no lock is held.
    asio::awaitable<void> take(bool take_over);

    bool holds(Side side) const { return journals_[index(side)] != nullptr; }

    /// Keeps both locks: takes those that are missing, tells when one is lost. Until cancelled.
    asio::awaitable<void> watch(Listener listener);

    /// Gives both back.
    void release();

  private:
    asio::awaitable<void> watch_side(Side side, Listener listener);
    /// True: held. False: the side cannot be reached.
    asio::awaitable<bool> take_side(Side side, bool take_over);
    asio::awaitable<void> end_predecessor(Journal& journal);

    const Cluster& cluster_;
    std::array<std::unique_ptr<Journal>, 2> journals_;
};

}  // namespace turnout::control
