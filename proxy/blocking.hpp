// Calls that block (the system's resolver) are made beside the workers.
#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <type_traits>
#include <utility>

#include "proxy/event_loop.hpp"
#include "proxy/signal.hpp"

namespace turnout::proxy {

/// A few threads of one io_context that may wait for long; made when its first call needs them. What is under way when
/// the io_context ends is waited for, since it posts there; what has not begun is dropped.
class BlockingThreads : public boost::asio::execution_context::service {
  public:
    using key_type = BlockingThreads;
    static boost::asio::execution_context::id id;

    /// Made by use_service.
    explicit BlockingThreads(boost::asio::execution_context& context)
        : boost::asio::execution_context::service(context) {}

    template <class F>
    void post(F f) {
        boost::asio::post(threads_, std::move(f));
    }

  private:
    void shutdown() override;

    // A name whose servers do not answer takes half a minute: the others go on.
    boost::asio::thread_pool threads_{4};
};

/// Runs `f`, which owns all it needs and does not throw, on one of them; the coroutine goes on with its result.
template <class F>
Task<std::invoke_result_t<F>> run_blocking(boost::asio::io_context& context, F f) {
    std::invoke_result_t<F> result{};
    EventLoop& loop = EventLoop::of(context);
    auto& threads = boost::asio::use_service<BlockingThreads>(context);
    // The call owns the coroutine, and with it the result, until it goes on or the io_context ends.
    co_await suspend([&](Suspended waiter) {
        threads.post([&result, &loop, f = std::move(f), waiter = std::move(waiter)]() mutable {
            result = f();
            loop.post([waiter = std::move(waiter)]() mutable { waiter.resume(); });
        });
    });
    co_return result;
}

}  // namespace turnout::proxy
