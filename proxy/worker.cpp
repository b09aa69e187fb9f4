#include "proxy/worker.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdlib>

#include "protocol/framing.hpp"
#include "proxy/session.hpp"

namespace turnout::proxy {
namespace {

constexpr std::size_t kNamed = 20;  // how many sessions a drain report names
// Longer than a switch holds anybody, so that its window costs nothing more.
constexpr control::Milliseconds kHeldLook{50};
// Who has been silent for so long will hardly speak in the moment behind the window.
constexpr control::Milliseconds kSilent{10000};

}  // namespace

Worker::Worker(Shared& shared)
    : shared_(shared),
      loop_(EventLoop::of(context_)),
      work_(context_.get_executor()),
      buffer_(kReadSize + protocol::FrameScanner::default_inspect_limit),
      gate_timer_(context_),
      idle_timer_(context_),
      press_timer_(context_),
      held_timer_(context_) {}

Worker::~Worker() { stop(); }

void Worker::start() {
    post([this] { settings_changed(); });
    thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "worker");
        EventLoop::run(context_);
    });
}

void Worker::stop() {
    if (!thread_.joinable()) return;
    post([this] {
        // Closing ends every wait, so that the coroutines unwind while their sessions still exist.
        auto sessions = sessions_;
        for (auto& [id, session] : sessions) session->close();
        work_.reset();
        gate_timer_.cancel();
        idle_timer_.cancel();
        press_timer_.cancel();
        held_timer_.cancel();
    });
    thread_.join();
}

/// Idle sessions are looked for now and then: a timer for each would cost every transaction something.
void Worker::settings_changed() {
    idle_timer_.cancel();
    const control::Milliseconds timeout = shared_.runtime()->settings.client_idle_timeout;
    if (timeout.count() <= 0) return;
    const control::Milliseconds longest(1000), shortest(10);
    idle_timer_.after(std::clamp(timeout / 4, shortest, longest), [this, timeout] {
        auto sessions = sessions_;
        for (auto& [id, session] : sessions) session->end_if_idle(timeout);
        settings_changed();
    });
}

void Worker::adopt(int socket, int family) {
    post([this, socket, family] {
        const std::uint64_t id = shared_.next_session.fetch_add(1, std::memory_order_relaxed);
        auto session = std::make_shared<Session>(*this, socket, family, id);
        sessions_.emplace(id, session);
        counters_.clients.add();
        session->start();
    });
}

void Worker::console_began(std::uint64_t session) {
    if (sessions_.contains(session)) consoles_.insert(session);
}

void Worker::forget(std::uint64_t session) {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    stirred_.remove(*found->second);
    sessions_.erase(found);
    consoles_.erase(session);
    counters_.clients.subtract();
    shared_.clients.fetch_sub(1, std::memory_order_relaxed);
}

// ------------------------------------------------------------------------------------------------------------ gate

void Worker::stir(Session& session) {
    if (!session.finished()) stirred_.add(session);
}

/// Whoever is at rest and has nothing that a window must look at need not be looked at again until he stirs.
void Worker::forget_the_still() {
    const Side standby = other(shared_.gate.view().side);
    stirred_.for_each([&](Session& session) {
        if (session.safe() && !session.pinned() && !session.has_to_bring(standby)) stirred_.remove(session);
    });
}

/// They stay while they are looked at, whatever becomes of them.
std::vector<std::shared_ptr<Session>> Worker::stirred() {
    std::vector<std::shared_ptr<Session>> sessions;
    stirred_.for_each([&](Session& session) { sessions.push_back(session.shared_from_this()); });
    return sessions;
}

void Worker::hold(std::shared_ptr<Session> session) {
    held_.push_back(std::move(session));
    watch_held();
}

/// Nothing is read from a session that is held, and its client may have sent more before it went: so the kernel is
/// asked who has hung up, for all of them at once.
void Worker::watch_held() {
    if (std::exchange(watching_held_, true)) return;
    held_timer_.after(kHeldLook, [this] {
        watching_held_ = false;
        let_go_of_the_gone();
        if (!held_.empty()) watch_held();
    });
}

void Worker::let_go_of_the_gone() {
    std::vector<pollfd> sockets;
    sockets.reserve(held_.size());
    for (const auto& session : held_) sockets.push_back({session->client_socket(), POLLRDHUP, 0});
    if (::poll(sockets.data(), sockets.size(), 0) <= 0) return;
    std::vector<std::shared_ptr<Session>> gone, still;
    for (std::size_t i = 0; i < sockets.size(); ++i) {
        const bool hung_up = (sockets[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
        (hung_up ? gone : still).push_back(std::move(held_[i]));
    }
    held_ = std::move(still);
    for (const auto& session : gone) session->client_hung_up();
}

void Worker::look_for(std::shared_ptr<Lull> lull, std::size_t number) {
    lull_ = std::move(lull);
    number_for_lull_ = number;
    tell_lull();
}

void Worker::tell_lull() {
    if (!lull_->tell(number_for_lull_, busy_, control::Clock::now())) lull_.reset();
}

void Worker::gate_closed(const control::CloseRequest& request, control::Clock::time_point at,
                         const DrainGather& gather) {
    drain_ = gather;
    close_ = request;
    closed_at_ = at;
    busy_at_close_ = busy_;
    brought_ = false;
    to_warm_.clear();
    watch_gate(request.attempt, request.deadline);
    ++busy_;  // the drain is answered below, once
    clear_the_way();
    --busy_;
    if (busy_ == 0 || shared_.gate.view().state == Gate::State::open) answer_drain();
}

/// Sessions that need not be waited for make way: transactions that can go on elsewhere, and statements that wait for
/// an advisory lock, which is held by somebody who will be on the other side.
void Worker::clear_the_way() {
    cancels_ = makes_read_only_ = false;
    press_timer_.cancel();
    if (shared_.gate.view().state == Gate::State::open) return;
    if (close_.cancel_at) press_at(*close_.cancel_at, close_.attempt);
    if (close_.read_only_at) press_at(*close_.read_only_at, close_.attempt);
    for (const auto& session : stirred()) session->step_aside();
    interrupt_lock_waiters(close_.attempt, close_.lock_waiters);
}

void Worker::interrupt_lock_waiters(std::uint64_t attempt, const std::vector<control::LockWaiter>& waiters) {
    const Gate::View gate = shared_.gate.view();
    if (gate.attempt != attempt || gate.state == Gate::State::open) return;
    for (const auto& session : stirred()) {
        for (const control::LockWaiter& waiter : waiters) {
            if (waiter.server_pid != session->server_pid() || session->busy_since() > waiter.seen) continue;
            boost::asio::co_spawn(context_, session->interrupt(waiter.locks_held, true), boost::asio::detached);
        }
    }
}

/// The policy for long transactions: its time has come.
void Worker::press_at(control::Clock::time_point at, std::uint64_t attempt) {
    press_timer_.at(at, [this, attempt] {
        const Gate::View gate = shared_.gate.view();
        if (gate.attempt != attempt || gate.state == Gate::State::open) return;
        cancels_ = close_.cancel_at.has_value();
        makes_read_only_ = !cancels_;
        for (const auto& session : stirred()) {
            if (session->step_aside() || !cancels_) continue;
            session->stop_staying_behind();
            boost::asio::co_spawn(context_, session->interrupt(std::nullopt, false), boost::asio::detached);
        }
    });
}

void Worker::paused(const CountGather& gather) {
    pause_ = gather;
    if (busy_ == 0) answer_quiet();
}

void Worker::answer_quiet() {
    if (drain_) answer_drain();
    if (!pause_) return;
    auto gather = std::move(pause_);
    pause_.reset();
    gather->contribute(sessions_.size());
}

/// Whatever control does, this worker tries to expire the attempt at its deadline. If control was faster and has
/// claimed it, the worker watches that the claim is fed: a control that hangs there would hold everybody for ever.
void Worker::watch_gate(std::uint64_t attempt, control::Clock::time_point at) {
    if (at == control::Clock::time_point::max()) return;
    gate_timer_.at(at, [this, attempt] {
        shared_.gate.expire(attempt);
        const Gate::View gate = shared_.gate.view();
        if (gate.attempt != attempt || gate.state != Gate::State::claimed) return gate_changed();
        const auto patience = shared_.runtime()->settings.claim_watchdog;
        const control::Clock::time_point fed{
            control::Clock::duration(shared_.claim_fed.load(std::memory_order_acquire))};
        if (control::Clock::now() - fed > patience) {
            spdlog::critical(
                "control holds a claimed switch and shows no life: ending the process, so that recovery decides");
            spdlog::shutdown();
            std::_Exit(70);
        }
        watch_gate(attempt, control::Clock::now() + patience / 4);
    });
}

void Worker::gate_changed() {
    const Gate::View gate = shared_.gate.view();
    if (gate.state == Gate::State::open) {
        gate_timer_.cancel();
        press_timer_.cancel();
        cancels_ = makes_read_only_ = false;
        if (drain_) answer_drain();
        for (const auto& session : stirred()) {
            if (!session->on(gate.side)) continue;
            session->stop_bringing();
            session->step_back();
            if (session->cannot_log_in()) arm_later(session);  // it may be able to by the next attempt
        }
    }
    if (!gate.lets_pass()) return;
    auto held = std::move(held_);
    held_.clear();
    for (auto& session : held) session->wake();
}

void Worker::answer_drain() {
    const Gate::View gate = shared_.gate.view();
    const bool still_closed = gate.attempt == close_.attempt && gate.state != Gate::State::open;
    if (still_closed && (busy_ > 0 || bring_holdings())) return;
    control::DrainReport report;
    report.closed_at = closed_at_;
    report.busy_at_close = busy_at_close_;
    report.outcome = still_closed ? control::DrainReport::Outcome::drained : control::DrainReport::Outcome::expired;
    for (const auto& session : stirred()) {
        const bool in_the_way = still_closed ? close_.pinned != control::PinnedPolicy::end && session->pinned() &&
                                                   !session->ends_with_switch()
                                             : !session->safe();
        if (!in_the_way) continue;
        if (still_closed) report.outcome = control::DrainReport::Outcome::pinned;
        if (report.holding_up.size() < kNamed) report.holding_up.push_back(session->view());
    }
    auto gather = std::move(drain_);
    drain_.reset();
    gather->contribute(std::move(report));
}

/// When all are at safe points, each holder takes its locks and listens on its own backend on the standby, all in
/// parallel. True: some are at it; became_safe() comes back here.
bool Worker::bring_holdings() {
    if (std::exchange(brought_, true)) return false;
    const Side standby = other(shared_.gate.view().side);
    std::vector<std::shared_ptr<Session>> holders;
    for (const auto& session : stirred()) {
        if (session->has_to_bring(standby)) holders.push_back(session);
    }
    ++busy_;  // nobody answers the drain before all have begun
    for (auto& session : holders) {
        ++busy_;
        boost::asio::co_spawn(context_, session->bring_holdings(standby), boost::asio::detached);
    }
    return --busy_ > 0;
}

void Worker::opened_to_new_side(const MomentGather& gather) {
    tally_.total = sessions_.size() - consoles_.size();
    if (close_.pinned == control::PinnedPolicy::end) {
        for (const auto& session : stirred()) {
            if (!session->pinned()) continue;
            ++tally_.ended;
            counters_.ended.add();
            session->end("57P01",
                         fmt::format("terminating connection because the database is switched to {} and the session "
                                     "cannot be moved: {}",
                                     name(shared_.gate.view().side), session->view().reason),
                         "Connect again.");
        }
    }
    for (const auto& session : stirred()) session->stay_behind();
    gate_changed();
    gather->contribute(control::Clock::now());
}

// ----------------------------------------------------------------------------------------------------- arm and move

void Worker::arm(const control::ArmRequest& request, unsigned at_once, const ArmGather& gather) {
    arming_ = request;
    hidden_state_ = request.hidden_state;
    arm_at_once_ = at_once;
    arm_gather_ = gather;
    tally_ = {};
    ++armings_;
    for (auto& [id, session] : sessions_) {
        if (session->logged_in()) to_arm_.push_back(session);
    }
    const std::size_t wanted = std::max<std::size_t>(1, std::min<std::size_t>(at_once, to_arm_.size()));
    const std::size_t more = wanted > armers_ ? wanted - armers_ : 0;
    armers_ += more;  // all at once: a coroutine that has nothing to wait for ends inside co_spawn
    for (std::size_t i = 0; i < more; ++i) boost::asio::co_spawn(context_, run_armer(), boost::asio::detached);
}

void Worker::arm_later(const std::shared_ptr<Session>& session) {
    if (!arming_) return;
    to_arm_.push_back(session);
    if (armers_ >= arm_at_once_) return;
    ++armers_;
    boost::asio::co_spawn(context_, run_armer(), boost::asio::detached);
}

Task<void> Worker::run_armer() {
    while (arming_ && !to_arm_.empty()) {
        auto session = to_arm_.front().lock();
        to_arm_.pop_front();
        if (session) co_await session->arm(*arming_);
    }
    if (--armers_ > 0 || !arm_gather_) co_return;
    control::ArmReport report;
    for (auto& [id, session] : sessions_) {
        if (!session->logged_in() || session->ends_with_switch()) continue;
        ++report.total;
        if (session->armed()) ++report.armed;
        if (session->pinned() || !session->armed()) report.not_movable.push_back(session->view());
    }
    forget_the_still();
    auto gather = std::move(arm_gather_);
    arm_gather_.reset();
    gather->contribute(std::move(report));
}

void Worker::warm(unsigned at_once, const CountGather& gather) {
    if (warm_gather_) std::exchange(warm_gather_, nullptr)->contribute(0);
    warm_gather_ = gather;
    const auto since = control::Clock::now() - kSilent;
    std::vector<std::shared_ptr<Session>> speakers;
    for (auto& [id, session] : sessions_) {
        if (arming_ && session->can_be_warmed(since)) speakers.push_back(session);
    }
    std::sort(speakers.begin(), speakers.end(),
              [](const auto& a, const auto& b) { return a->spoke_last() > b->spoke_last(); });
    to_warm_.assign(speakers.begin(), speakers.end());
    const std::size_t wanted = std::max<std::size_t>(1, std::min<std::size_t>(at_once, to_warm_.size()));
    const std::size_t more = wanted > warmers_ ? wanted - warmers_ : 0;
    warmers_ += more;
    for (std::size_t i = 0; i < more; ++i) boost::asio::co_spawn(context_, run_warmer(), boost::asio::detached);
}

Task<void> Worker::run_warmer() {
    while (!to_warm_.empty()) {
        auto session = to_warm_.front().lock();
        to_warm_.pop_front();
        if (session) co_await session->warm();
        // Disarmed meanwhile, which it could not be in the middle of that.
        if (session && !arming_ && session->on(shared_.gate.view().side)) session->disarm();
    }
    if (--warmers_ > 0 || !warm_gather_) co_return;
    std::exchange(warm_gather_, nullptr)->contribute(0);
}

void Worker::disarm() {
    arming_.reset();
    to_arm_.clear();
    to_warm_.clear();
    for (auto& [id, session] : sessions_) session->disarm();
}

void Worker::finish_moves(unsigned at_once, const MoveGather& gather) {
    move_gather_ = gather;
    arming_.reset();
    to_arm_.clear();
    to_warm_.clear();
    for (auto& [id, session] : sessions_) to_move_.push_back(session);
    const std::size_t wanted = std::max<std::size_t>(1, std::min<std::size_t>(at_once, to_move_.size()));
    movers_ += wanted;
    for (std::size_t i = 0; i < wanted; ++i) boost::asio::co_spawn(context_, run_mover(), boost::asio::detached);
}

Task<void> Worker::run_mover() {
    while (!to_move_.empty()) {
        auto session = to_move_.front().lock();
        to_move_.pop_front();
        if (session) co_await session->move_in_background();
        // Many have nothing to ask, and move without a pause: whoever speaks meanwhile goes first.
        co_await loop_.next_round();
    }
    if (--movers_ > 0) co_return;
    leave_formers();
    auto gather = std::move(move_gather_);
    move_gather_.reset();
    gather->contribute(std::exchange(tally_, {}));
}

void Worker::move_later(std::shared_ptr<Session> session) {
    boost::asio::co_spawn(
        context_, [session = std::move(session)] { return session->move_in_background(); }, boost::asio::detached);
}

void Worker::leave_formers() {
    if (movers_ > 0 || shared_.left_behind.load() > 0) return;
    for (auto& [id, session] : sessions_) session->leave_former();
}

// ---------------------------------------------------------------------------------------------------------- looking

void Worker::views(const ViewsGather& gather) {
    boost::asio::co_spawn(context_, look_at_sessions(gather), boost::asio::detached);
}

/// Whoever may have become pinned is asked first, unless a switch is at work, which asks by itself.
Task<void> Worker::look_at_sessions(ViewsGather gather) {
    std::vector<std::shared_ptr<Session>> doubtful;
    for (auto& [id, session] : sessions_) {
        if (!arming_ && session->may_be_pinned()) doubtful.push_back(session);
    }
    for (auto& session : doubtful) co_await session->look_again();
    std::vector<control::SessionView> views;
    views.reserve(sessions_.size());
    for (auto& [id, session] : sessions_) {
        if (!session->of_console()) views.push_back(session->view());
    }
    gather->contribute(std::move(views));
}

void Worker::end_sessions(bool now, const CountGather& gather) {
    auto sessions = sessions_;
    for (auto& [id, session] : sessions) {
        if (session->of_console()) continue;  // control has still to answer, and ends it itself
        if (now || session->safe()) session->end("57P01", "terminating connection due to administrator command", "");
    }
    gather->contribute(sessions_.size() - consoles_.size());
}

void Worker::end_served() {
    auto sessions = sessions_;
    for (auto& [id, session] : sessions) {
        if (session->of_console()) continue;
        if (session->logged_in() || !session->safe())
            session->end("57P01", "terminating connection due to administrator command", "");
    }
}

}  // namespace turnout::proxy
