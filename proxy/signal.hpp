// Coroutines of a worker: what they return, and how one waits for another.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>
#include <vector>

namespace turnout::proxy {

/// What every coroutine of a worker returns; the concrete executor spares a type-erased one.
template <class T>
using Task = boost::asio::awaitable<T, boost::asio::io_context::executor_type>;

/// Completion token of a worker's coroutine.
inline constexpr boost::asio::use_awaitable_t<boost::asio::io_context::executor_type> as_task{};

/// A coroutine that waits. Resumed once, on its loop's thread; dropped without that it is destroyed.
class Suspended {
  public:
    Suspended() = default;
    template <class Handler>
    explicit Suspended(Handler handler) : kept_(std::make_unique<Kept<Handler>>(std::move(handler))) {}

    explicit operator bool() const { return kept_ != nullptr; }
    /// Now, inside this call. It may destroy whoever held this.
    void resume() { std::exchange(kept_, nullptr)->resume(); }
    /// After the present handler.
    void resume_later(boost::asio::io_context& context) {
        boost::asio::post(context, [that = std::move(*this)]() mutable { that.resume(); });
    }

  private:
    struct Base {
        virtual ~Base() = default;
        virtual void resume() = 0;
    };
    template <class Handler>
    struct Kept final : Base {
        explicit Kept(Handler handler) : handler_(std::move(handler)) {}
        void resume() override { std::move(handler_)(); }
        Handler handler_;
    };
    std::unique_ptr<Base> kept_;
};

/// To be awaited: `keep` is given the coroutine, which waits until that is resumed.
template <class Keep>
auto suspend(Keep keep) {
    return boost::asio::async_initiate<decltype(as_task), void()>(
        [keep](auto handler) { keep(Suspended(std::move(handler))); }, as_task);
}

/// Remembers one notification until it is waited for, so that none is lost between a test and the wait. Of several
/// waiters one goes on, and the others wait for the next. All calls from the thread of its io_context.
class Signal {
  public:
    explicit Signal(boost::asio::io_context& context) : context_(context) {}

    /// Wakes the waiter, or lets the next wait() return at once.
    void notify() {
        set_ = true;
        for (Suspended& waiter : std::exchange(waiters_, {})) waiter.resume_later(context_);
    }

    /// Returns after the next notify(), or at once after one that nobody has waited for yet.
    Task<void> wait() {
        while (!set_) co_await suspend([this](Suspended waiter) { waiters_.push_back(std::move(waiter)); });
        set_ = false;
    }

  private:
    boost::asio::io_context& context_;
    std::vector<Suspended> waiters_;
    bool set_ = false;
};

}  // namespace turnout::proxy
