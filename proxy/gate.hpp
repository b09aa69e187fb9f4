// The gate: one atomic word that decides, for all workers at once, whether a session may begin a transaction and where.
//
//            close(n)                     claim(n)
//   open ------------------> closed(n) ----------------> claimed(n)
//    ^                          |                            |
//    |   expire(n), give_up(n)  |      give_up(n) (old side) |
//    +--------------------------+----------------------------+
//    +---------------------------------- open_to(n, side) ---+
//
// Every arrow is a compare-and-set on the attempt's number, so a timer that fires late, a controller that wakes up late
// and a second opener all lose quietly. Because the side stands in the same word, no session can see the gate open and
// the wrong side.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "control/data_plane.hpp"

namespace turnout::proxy {

class Gate {
  public:
    enum class State : std::uint8_t { open = 0, closed = 1, claimed = 2 };

    /// One reading of the word.
    struct View {
        std::uint64_t attempt;
        State state;
        Side side;    ///< the active side
        bool paused;  ///< the operator's PAUSE, independent of any attempt
        /// A transaction may begin, on `side`.
        bool lets_pass() const { return state == State::open && !paused; }
    };

    View view() const noexcept { return unpack(word_.load(std::memory_order_acquire)); }

    /// Only before any session exists or while nobody is served.
    void set_side(Side side) noexcept {
        update([side](View v) {
            v.side = side;
            return v;
        });
    }

    void set_paused(bool paused) noexcept {
        update([paused](View v) {
            v.paused = paused;
            return v;
        });
    }

    /// False unless open and n greater than the last attempt. The deadline is published before the word.
    bool close(std::uint64_t n, control::Clock::time_point deadline) noexcept {
        deadline_.store(deadline.time_since_epoch().count(), std::memory_order_release);
        return change([n](View& v) {
            if (v.state != State::open || n <= v.attempt) return false;
            v.attempt = n;
            v.state = State::closed;
            return true;
        });
    }

    bool claim(std::uint64_t n) noexcept { return step(n, State::closed, State::claimed); }
    bool expire(std::uint64_t n) noexcept { return step(n, State::closed, State::open); }

    /// Opens towards the old side, from closed or claimed: true. An attempt that was not closed yet cannot be any more.
    bool give_up(std::uint64_t n) noexcept {
        bool was_shut = false;
        change([&](View& v) {
            was_shut = v.attempt == n && v.state != State::open;
            const bool to_come = v.attempt < n && v.state == State::open;
            if (!was_shut && !to_come) return false;
            v.attempt = n;
            v.state = State::open;
            return true;
        });
        return was_shut;
    }

    bool open_to(std::uint64_t n, Side side) noexcept {
        return change([n, side](View& v) {
            if (v.attempt != n || v.state != State::claimed) return false;
            v.state = State::open;
            v.side = side;
            return true;
        });
    }

    control::Clock::time_point deadline() const noexcept {
        return control::Clock::time_point(control::Clock::duration(deadline_.load(std::memory_order_acquire)));
    }

  private:
    static constexpr std::uint64_t kStateMask = 3, kSideBit = 4, kPausedBit = 8;
    static constexpr int kAttemptShift = 4;

    static View unpack(std::uint64_t w) noexcept {
        return {w >> kAttemptShift, static_cast<State>(w & kStateMask), (w & kSideBit) != 0 ? Side::green : Side::blue,
                (w & kPausedBit) != 0};
    }
    static std::uint64_t pack(const View& v) noexcept {
        return v.attempt << kAttemptShift | static_cast<std::uint64_t>(v.state) |
               (v.side == Side::green ? kSideBit : std::uint64_t{0}) | (v.paused ? kPausedBit : std::uint64_t{0});
    }
    template <class F>
    bool change(F f) noexcept {
        std::uint64_t seen = word_.load(std::memory_order_acquire);
        for (;;) {
            View v = unpack(seen);
            if (!f(v)) return false;
            if (word_.compare_exchange_weak(seen, pack(v), std::memory_order_acq_rel, std::memory_order_acquire))
                return true;
        }
    }
    template <class F>
    void update(F f) noexcept {
        change([&f](View& v) {
            v = f(v);
            return true;
        });
    }
    bool step(std::uint64_t n, State from, State to) noexcept {
        return change([=](View& v) {
            if (v.attempt != n || v.state != from) return false;
            v.state = to;
            return true;
        });
    }

    std::atomic<std::uint64_t> word_{0};
    std::atomic<control::Clock::rep> deadline_{0};
};

}  // namespace turnout::proxy
