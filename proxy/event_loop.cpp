#include "proxy/event_loop.hpp"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_allocator.hpp>
#include <cerrno>
#include <new>
#include <system_error>

namespace turnout::proxy {
namespace {

int checked(int descriptor, const char* what) {
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), what);
    return descriptor;
}

}  // namespace

boost::asio::execution_context::id EventLoop::id;

EventLoop::EventLoop(boost::asio::execution_context& context)
    : boost::asio::execution_context::service(context),
      epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      clock_(checked(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")) {
    const auto watch = [this](int descriptor, void* told) {
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        event.data.ptr = told;
        checked(::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event), "epoll_ctl");
    };
    watch(waker_->descriptor(), waker_.get());
    watch(clock_, &clock_);
}

EventLoop::~EventLoop() {
    for (const int descriptor : {epoll_, clock_}) ::close(descriptor);
}

/// What a round's handler is kept in: it is posted once a round, and has been run before the next. Allocations showed
/// in what a transaction costs.
template <class T>
class EventLoop::RoundMemory {
  public:
    using value_type = T;
    explicit RoundMemory(EventLoop& loop) noexcept : loop_(&loop) {}
    template <class U>
    RoundMemory(const RoundMemory<U>& other) noexcept : loop_(other.loop_) {}

    T* allocate(std::size_t count) const {
        const std::size_t bytes = count * sizeof(T);
        return static_cast<T*>(bytes <= loop_->round_.size() ? loop_->round_.data() : ::operator new(bytes));
    }
    void deallocate(T* block, std::size_t) const noexcept {
        if (static_cast<void*>(block) != loop_->round_.data()) ::operator delete(block);
    }
    friend bool operator==(const RoundMemory&, const RoundMemory&) = default;

  private:
    template <class U>
    friend class RoundMemory;
    EventLoop* loop_;
};

void EventLoop::run(boost::asio::io_context& context) {
    EventLoop& loop = of(context);
    for (context.poll(); !context.stopped(); context.poll()) {
        loop.wait();
        // Inside a handler, so that what a watcher spawns runs at once, as it would in a handler of Asio's.
        boost::asio::post(context, boost::asio::bind_allocator(RoundMemory<void>(loop), [&loop] { loop.tell(); }));
    }
}

void EventLoop::wait() noexcept {
    const int timeout = again_.empty() && next_round_.empty() ? -1 : 0;
    const int count = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), timeout);
    present_ = std::span(events_).first(static_cast<std::size_t>(std::max(count, 0)));
}

void EventLoop::tell() {
    auto next = std::exchange(next_round_, {});
    now_.swap(again_);
    for (std::size_t i = 0; i < now_.size(); ++i) {
        if (Watcher* watcher = now_[i]) watcher->on_events(0);
    }
    now_.clear();
    bool timers_due = false;
    while (!present_.empty()) {
        const epoll_event event = present_.front();
        present_ = present_.subspan(1);
        if (event.data.ptr == &clock_) {
            timers_due = true;
        } else if (event.data.ptr == waker_.get()) {
            waker_->woken();
        } else if (event.data.ptr != nullptr) {
            static_cast<Watcher*>(event.data.ptr)->on_events(event.events);
        }
    }
    if (timers_due) run_timers();
    for (Suspended& waiter : next) waiter.resume();
}

Task<void> EventLoop::next_round() {
    co_await suspend([this](Suspended waiter) { next_round_.push_back(std::move(waiter)); });
}

bool EventLoop::add(int descriptor, Watcher& watcher, std::uint32_t also) noexcept {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET | also;
    event.data.ptr = &watcher;
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void EventLoop::change(int descriptor, Watcher& watcher, std::uint32_t also) noexcept {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET | also;
    event.data.ptr = &watcher;
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event);
}

void EventLoop::remove(int descriptor, Watcher& watcher) noexcept {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
    for (epoll_event& event : present_) {
        if (event.data.ptr == &watcher) event.data.ptr = nullptr;
    }
    for (auto* told_again : {&again_, &now_}) std::replace(told_again->begin(), told_again->end(), &watcher, {});
}

EventLoop::Waker::Waker() : descriptor_(checked(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {}

EventLoop::Waker::~Waker() { ::close(descriptor_); }

void EventLoop::Waker::wake() noexcept {
    if (woken_.exchange(true, std::memory_order_acq_rel)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(descriptor_, &one, sizeof one);
}

void EventLoop::set_clock() noexcept {
    const Clock::time_point earliest = timers_.empty() ? Clock::time_point::max() : timers_.begin()->first;
    if (earliest >= clock_set_to_) return;  // it goes off too early, and is set anew then
    clock_set_to_ = earliest;
    const auto since = std::max<Clock::duration>(earliest.time_since_epoch(), std::chrono::nanoseconds(1));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    itimerspec when{};
    when.it_value.tv_sec = seconds.count();
    when.it_value.tv_nsec = std::chrono::nanoseconds(since - seconds).count();
    ::timerfd_settime(clock_, TFD_TIMER_ABSTIME, &when, nullptr);
}

void EventLoop::run_timers() {
    clock_set_to_ = Clock::time_point::max();
    const Clock::time_point now = Clock::now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        Timer& timer = *timers_.begin()->second;
        timers_.erase(timers_.begin());
        const auto f = std::exchange(timer.f_, {});
        f();
    }
    set_clock();
}

void Timer::at(EventLoop::Clock::time_point time, std::function<void()> f) {
    cancel();
    at_ = time;
    f_ = std::move(f);
    loop_.timers_.emplace(at_, this);
    loop_.set_clock();
}

void Timer::cancel() noexcept {
    if (!f_) return;
    loop_.timers_.erase({at_, this});
    f_ = {};
}

}  // namespace turnout::proxy
