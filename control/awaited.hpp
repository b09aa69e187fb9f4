// From the data plane's callbacks to coroutines.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace turnout::control {

/// Starts something that calls back once, on this coroutine's executor, and waits for it. Throws
/// system_error(operation_aborted) if the coroutine is cancelled meanwhile; what was started goes on, and its callback
/// is then without effect.
template <class Value, class Start>
boost::asio::awaitable<Value> called_back(Start start) {
    struct Shared {
        explicit Shared(const boost::asio::any_io_executor& executor)
            : arrived(executor, boost::asio::steady_timer::time_point::max()) {}
        boost::asio::steady_timer arrived;
        std::optional<Value> value;
    };
    const auto shared = std::make_shared<Shared>(co_await boost::asio::this_coro::executor);
    start([shared](Value value) {
        shared->value = std::move(value);
        shared->arrived.cancel();
    });
    boost::system::error_code woken;
    while (!shared->value) {
        co_await shared->arrived.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, woken));
        const boost::asio::cancellation_state state = co_await boost::asio::this_coro::cancellation_state;
        if (!shared->value && state.cancelled() != boost::asio::cancellation_type::none)
            throw boost::system::system_error(boost::asio::error::operation_aborted);
    }
    co_return std::move(*shared->value);
}

}  // namespace turnout::control
