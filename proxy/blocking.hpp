// Calls that block (the system's resolver) are made beside the workers.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <type_traits>
#include <utility>

#include "proxy/event_loop.hpp"
#include "proxy/signal.hpp"

namespace turnout::proxy {

/// A few threads that may wait for long; made when the first call needs them.
boost::asio::thread_pool& blocking_threads();

/// Runs `f`, which owns all it needs and does not throw, on one of them; the coroutine goes on with its result.
template <class F>
Task<std::invoke_result_t<F>> run_blocking(boost::asio::io_context& context, F f) {
    struct Call {
        explicit Call(boost::asio::io_context& loop) : returned(loop) {}
        Signal returned;
        std::invoke_result_t<F> result;
    };
    auto call = std::make_shared<Call>(context);
    boost::asio::post(blocking_threads(), [call, f = std::move(f), &loop = EventLoop::of(context)] {
        call->result = f();
        loop.post([call] { call->returned.notify(); });
    });
    co_await call->returned.wait();
    co_return std::move(call->result);
}

}  // namespace turnout::proxy
