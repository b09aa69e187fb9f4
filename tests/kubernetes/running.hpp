// Coroutines of a test, on one io_context, until a condition holds.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <utility>

namespace turnout::kubernetes {

/// Runs what is ready until the condition holds; false after half a minute, which is a hang.
inline bool run_until(boost::asio::io_context& context, const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!holds()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        context.restart();
        context.run_one_for(std::chrono::milliseconds(100));
    }
    return true;
}

/// Runs one coroutine to its end; rethrows what it throws.
template <class Work>
void run_to_end(boost::asio::io_context& context, Work work) {
    bool over = false;
    std::exception_ptr failure;
    boost::asio::co_spawn(context, std::move(work), [&](std::exception_ptr thrown) {
        failure = thrown;
        over = true;
    });
    ASSERT_TRUE(run_until(context, [&over] { return over; })) << "a coroutine did not end";
    if (failure) std::rethrow_exception(failure);
}

}  // namespace turnout::kubernetes
