// A moment at which few sessions are busy: a gate that closes then is drained soonest.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

#include "control/data_plane.hpp"

namespace turnout::proxy {

/// Is told by each worker how many of its sessions are busy, at every change. Until `learnt` it only learns how few may
/// be busy at once; after that the first moment with no more than that is the one. Nobody busy at all is one at any
/// time. None is one while nobody wants it. Thread-safe.
class Lull {
  public:
    using Clock = control::Clock;

    /// `found` is called once, with true by whoever's tell() or want() finds one, or with false by give_up().
    Lull(std::size_t workers, Clock::time_point learnt, std::function<void(bool)> found)
        : learnt_(learnt), found_(std::move(found)), busy_(workers, kUnknown), sum_(kUnknown), least_(kUnknown) {}

    /// False: it is over, and need not be told any more.
    bool tell(std::size_t worker, std::size_t busy, Clock::time_point now);
    /// Whether one that comes now is wanted; at first it is. One that lasts already is found when it is wanted again.
    void want(bool now);
    /// The time for it has passed. No effect after it was found.
    void give_up() { end(false); }

  private:
    /// Of a worker that has not told yet.
    static constexpr std::size_t kUnknown = std::size_t{1} << 32U;

    bool is_one(Clock::time_point now) const;
    void end(bool found);

    const Clock::time_point learnt_;
    std::mutex mutex_;
    std::function<void(bool)> found_;  ///< empty once it was called
    std::vector<std::size_t> busy_;
    std::size_t sum_;
    std::size_t least_;
    bool wanted_ = true;
};

}  // namespace turnout::proxy
