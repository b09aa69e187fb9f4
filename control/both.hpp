// Two coroutines at the same time.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>

namespace turnout::control {

/// Runs both and waits for both: their values, or the error of the one that failed first, which cancels the other.
/// (`&&` of awaitable_operators throws multiple_exceptions instead, since a cancelled coroutine fails, too: no handler
/// of a PgError or of a cancellation would ever see it.)
template <class Value>
auto both(boost::asio::awaitable<Value> left, boost::asio::awaitable<Value> right)
    -> boost::asio::awaitable<std::conditional_t<std::is_void_v<Value>, void, std::pair<Value, Value>>> {
    namespace asio = boost::asio;
    const auto executor = co_await asio::this_coro::executor;
    auto group = asio::experimental::make_parallel_group(asio::co_spawn(executor, std::move(left), asio::deferred),
                                                         asio::co_spawn(executor, std::move(right), asio::deferred));
    const auto fail = [](const std::array<std::size_t, 2>& order, const std::array<std::exception_ptr, 2>& errors) {
        for (const std::size_t ended : order) {
            if (errors[ended]) std::rethrow_exception(errors[ended]);
        }
    };
    if constexpr (std::is_void_v<Value>) {
        const auto [order, left_error, right_error] =
            co_await group.async_wait(asio::experimental::wait_for_one_error(), asio::use_awaitable);
        fail(order, {left_error, right_error});
    } else {
        auto [order, left_error, left_value, right_error, right_value] =
            co_await group.async_wait(asio::experimental::wait_for_one_error(), asio::use_awaitable);
        fail(order, {left_error, right_error});
        co_return std::pair{std::move(left_value), std::move(right_value)};
    }
}

}  // namespace turnout::control
