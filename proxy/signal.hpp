// A wake-up for one waiting coroutine of the same thread.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace turnout::proxy {

/// What every coroutine of a worker returns; the concrete executor spares a type-erased one.
template <class T>
using Task = boost::asio::awaitable<T, boost::asio::io_context::executor_type>;

/// Completion token of a worker's coroutine: errors come as values, nothing throws.
inline constexpr auto as_value =
    boost::asio::as_tuple(boost::asio::use_awaitable_t<boost::asio::io_context::executor_type>{});

/// Remembers one notification until it is waited for, so that none is lost between a test and the wait. One waiter at
/// a time; all calls from the thread of its io_context.
class Signal {
  public:
    explicit Signal(boost::asio::io_context& context) : timer_(context) {}

    /// Wakes the waiter, or lets the next wait() return at once.
    void notify() {
        set_ = true;
        timer_.cancel();
    }

    /// Returns after the next notify(), or at once after one that nobody has waited for yet.
    Task<void> wait() {
        while (!set_) {
            timer_.expires_at(Timer::time_point::max());
            co_await timer_.async_wait(as_value);
        }
        set_ = false;
    }

  private:
    using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                    boost::asio::wait_traits<std::chrono::steady_clock>,
                                                    boost::asio::io_context::executor_type>;
    Timer timer_;
    bool set_ = false;
};

}  // namespace turnout::proxy
