// What a worker's thread waits for, in one epoll_wait: sockets, timers, and posts from other threads.
//
// Asio's reactor asks the kernel anew for each wait (an epoll_ctl, or a read that finds nothing). Here a socket is
// registered once, edge-triggered, and what becomes of readiness is remembered where the socket is used. The io_context
// still carries coroutines and posts: it is polled between two waits, and its own reactor is never made. So no socket,
// timer or resolver of Asio's may be used with it.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "proxy/signal.hpp"

namespace turnout::proxy {

class Timer;

/// The loop of one io_context, found by of(). Everything but post() is for the thread that runs it, or for before.
class EventLoop : public boost::asio::execution_context::service {
  public:
    using key_type = EventLoop;
    using Clock = std::chrono::steady_clock;
    static boost::asio::execution_context::id id;

    /// Whoever is told about a descriptor. It may end itself, and others, while it is told.
    class Watcher {
      public:
        Watcher() = default;
        Watcher(const Watcher&) = delete;
        Watcher& operator=(const Watcher&) = delete;
        /// `events` as epoll has them; 0 after again().
        virtual void on_events(std::uint32_t events) = 0;

      protected:
        ~Watcher() = default;
    };

    /// Made by of().
    explicit EventLoop(boost::asio::execution_context& context);
    ~EventLoop() override;
    static EventLoop& of(boost::asio::io_context& context) { return boost::asio::use_service<EventLoop>(context); }

    /// Runs handlers, watchers and timers until the io_context has no work left (a coroutine that waits is work; a
    /// watcher and a timer are not).
    static void run(boost::asio::io_context& context);

    /// From any thread: `f` runs on the loop's.
    template <class F>
    void post(F f) {
        const std::shared_ptr<Waker> waker = waker_;  // `f` may be what the loop was waiting for to end
        boost::asio::post(static_cast<boost::asio::io_context&>(context()), std::move(f));
        waker->wake();
    }

    /// Edge-triggered: EPOLLIN and EPOLLRDHUP, and what is asked for by `also` (0 or EPOLLOUT). False: errno has why.
    bool add(int descriptor, Watcher& watcher, std::uint32_t also = 0) noexcept;
    /// Changes `also`. What is true already is told anew.
    void change(int descriptor, Watcher& watcher, std::uint32_t also) noexcept;
    /// It is not told anything any more. Before its descriptor is closed: a registration lives as long as anybody holds
    /// the same open socket (the service manager, a child process that has not begun its program yet).
    void remove(int descriptor, Watcher& watcher) noexcept;
    /// It has left something undone: it is told again when the others have had their turn.
    void again(Watcher& watcher) { again_.push_back(&watcher); }
    /// Goes on when everybody else has had a turn, sockets among them. (What is posted runs before any socket.)
    Task<void> next_round();

  private:
    friend class Timer;
    template <class T>
    class RoundMemory;
    void shutdown() override {}
    void wait() noexcept;
    void tell();
    void set_clock() noexcept;
    void run_timers();

    /// An eventfd: somebody has posted. Held by who posts as well.
    class Waker {
      public:
        Waker();
        ~Waker();
        Waker(const Waker&) = delete;
        Waker& operator=(const Waker&) = delete;
        int descriptor() const { return descriptor_; }
        void wake() noexcept;
        /// It need not be read, being watched for edges: whoever posts after this wakes anew.
        void woken() noexcept { woken_.exchange(false, std::memory_order_acq_rel); }

      private:
        const int descriptor_;
        std::atomic<bool> woken_{false};
    };
    using Due = std::pair<Clock::time_point, Timer*>;

    int epoll_;
    int clock_;  ///< a timerfd: the earliest timer is due
    const std::shared_ptr<Waker> waker_ = std::make_shared<Waker>();
    std::set<Due> timers_;
    Clock::time_point clock_set_to_ = Clock::time_point::max();
    std::array<epoll_event, 256> events_{};
    std::span<epoll_event> present_;     ///< those of events_ that nobody has been told yet
    std::vector<Watcher*> again_, now_;  ///< who is told again, in the next round and in this one; null: removed
    std::vector<Suspended> next_round_;
    alignas(std::max_align_t) std::array<std::byte, 64> round_{};  ///< for what run() posts
};

/// Calls a function later, on its loop's thread.
class Timer {
  public:
    explicit Timer(boost::asio::io_context& context) : loop_(EventLoop::of(context)) {}
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    /// Instead of what it was to call before.
    void at(EventLoop::Clock::time_point time, std::function<void()> f);
    void after(EventLoop::Clock::duration time, std::function<void()> f) {
        at(EventLoop::Clock::now() + time, std::move(f));
    }
    /// It will not be called.
    void cancel() noexcept;
    /// When it is, or was, to be called.
    EventLoop::Clock::time_point expiry() const { return at_; }

  private:
    friend class EventLoop;
    EventLoop& loop_;
    EventLoop::Clock::time_point at_{};
    std::function<void()> f_;  ///< empty: it is not set
};

}  // namespace turnout::proxy
