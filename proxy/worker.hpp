// One thread, one io_context, and the sessions that live and die there. Sessions are never locked: whoever wants
// something of them posts it to their worker.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "control/data_plane.hpp"
#include "proxy/counters.hpp"
#include "proxy/event_loop.hpp"
#include "proxy/gather.hpp"
#include "proxy/lull.hpp"
#include "proxy/session_list.hpp"
#include "proxy/shared.hpp"
#include "proxy/signal.hpp"

namespace turnout::proxy {

class Session;

using DrainGather = std::shared_ptr<Gather<control::DrainReport>>;
using ArmGather = std::shared_ptr<Gather<control::ArmReport>>;
using MoveGather = std::shared_ptr<Gather<control::MoveReport>>;
using ViewsGather = std::shared_ptr<Gather<std::vector<control::SessionView>>>;
using MomentGather = std::shared_ptr<Gather<control::Clock::time_point>>;
using CountGather = std::shared_ptr<Gather<std::size_t>>;

class Worker {
  public:
    explicit Worker(Shared& shared);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void start();
    /// Stops the thread; sessions that still live are dropped.
    void stop();

    // --- from any thread
    /// Takes over an accepted, non-blocking socket.
    void adopt(int socket, int family);
    template <class F>
    void post(F f) {
        loop_.post(std::move(f));
    }
    std::size_t load() const { return counters_.clients.load(std::memory_order_relaxed); }
    const WorkerCounters& counters() const { return counters_; }

    // --- on the worker's own thread, for its sessions
    boost::asio::io_context& context() { return context_; }
    Shared& shared() { return shared_; }
    WorkerCounters& counters() { return counters_; }
    /// Most bytes that are taken from one socket before the others have their turn: what a cache holds while it is
    /// read, looked at and sent.
    static constexpr std::size_t kReadSize = std::size_t{64} * 1024;
    /// One read buffer for all, with room for a stash and what is read behind it: valid until the next suspension of
    /// the coroutine that uses it.
    std::vector<char>& buffer() { return buffer_; }
    /// A session leaves its safe point, or reaches one. Logging in counts as busy.
    void became_busy(Session& session) {
        ++busy_;
        stir(session);
        if (lull_) tell_lull();
    }
    void became_safe() {
        if (--busy_ == 0 && (drain_ || pause_)) answer_quiet();
        if (lull_) tell_lull();
    }
    /// A window has to look at this session: it has been busy since the last arming, or has what must be brought, or is
    /// pinned. No effect on one that has been forgotten: what it had under way may end later.
    void stir(Session& session);
    /// The session waits for the gate and wants to be woken when it changes, or when its client has gone.
    void hold(std::shared_ptr<Session> session);
    /// The session has logged in, or lost its armed backend, or may have become pinned: (re)arm it if arming is on.
    void arm_later(const std::shared_ptr<Session>& session);
    /// Its backend on the side that was left is lost: it moves now.
    void move_later(std::shared_ptr<Session> session);
    /// This session is one of the console from now on.
    void console_began(std::uint64_t session);
    void forget(std::uint64_t session);
    control::MoveReport& tally() { return tally_; }
    /// A session goes on that waited for so long. `counted_in` is its own memory of the arming that counted it: however
    /// many attempts a switch needs, a session is counted once.
    void went_on(std::uint64_t& counted_in, control::Microseconds stall) {
        if (std::exchange(counted_in, armings_) != armings_) ++tally_.held;
        tally_.stalls.push_back(stall);
    }
    /// Functions may change session state behind a plain SELECT, as the last arming was told.
    bool hidden_state() const { return hidden_state_; }
    /// Open transactions are ended and statements cancelled: the present attempt asks for it, and its time has come.
    bool cancels() const { return cancels_; }
    /// The same of transactions that are made read-only and left behind.
    bool makes_read_only() const { return makes_read_only_; }

    // --- on the worker's own thread, posted by the data plane
    /// Tells it, as this number, how many sessions are busy, until it is over.
    void look_for(std::shared_ptr<Lull> lull, std::size_t number);
    void gate_closed(const control::CloseRequest& request, control::Clock::time_point at, const DrainGather& gather);
    void interrupt_lock_waiters(std::uint64_t attempt, const std::vector<control::LockWaiter>& waiters);
    /// Answers when all sessions are at a safe point; the caller has paused the gate.
    void paused(const CountGather& gather);
    void gate_changed();
    void opened_to_new_side(const MomentGather& gather);
    void arm(const control::ArmRequest& request, unsigned at_once, const ArmGather& gather);
    /// Has the armed backends plan what their clients use, those of the last speakers first. Answers when that is done,
    /// or given up because the gate closes.
    void warm(unsigned at_once, const CountGather& gather);
    void disarm();
    void finish_moves(unsigned at_once, const MoveGather& gather);
    /// Closes the backends on the side that was left, once all have moved and nobody is left behind.
    void leave_formers();
    void views(const ViewsGather& gather);
    /// Ends everyone but the clients of the console: at their safe points, or `now`.
    void end_sessions(bool now, const CountGather& gather);
    /// Nobody is served any more, as Shared::served says already: ends everyone who has a server, or is about to.
    /// Whoever is still saying who he is goes on, and is told why he is refused where others are.
    void end_served();
    /// Other settings have been published.
    void settings_changed();

  private:
    void tell_lull();
    void answer_quiet();
    void forget_the_still();
    std::vector<std::shared_ptr<Session>> stirred();
    void watch_held();
    void let_go_of_the_gone();
    bool bring_holdings();
    Task<void> look_at_sessions(ViewsGather gather);
    void clear_the_way();
    void press_at(control::Clock::time_point at, std::uint64_t attempt);
    void answer_drain();
    void watch_gate(std::uint64_t attempt, control::Clock::time_point at);
    Task<void> run_armer();
    Task<void> run_warmer();
    Task<void> run_mover();

    Shared& shared_;
    boost::asio::io_context context_{1};
    EventLoop& loop_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::thread thread_;
    std::vector<char> buffer_;
    WorkerCounters counters_;

    std::unordered_map<std::uint64_t, std::shared_ptr<Session>> sessions_;
    /// Of those, the ones of the console: to look for them among thousands would take a millisecond of the window.
    std::unordered_set<std::uint64_t> consoles_;
    std::size_t busy_ = 0;
    LinkedList<Session> stirred_;
    std::vector<std::shared_ptr<Session>> held_;
    std::shared_ptr<Lull> lull_;
    std::size_t number_for_lull_ = 0;

    // The present attempt.
    DrainGather drain_;
    control::CloseRequest close_;
    control::Clock::time_point closed_at_;
    std::uint64_t busy_at_close_ = 0;
    bool brought_ = false;  ///< what has to stand on the standby before the gate opens
    CountGather pause_;
    Timer gate_timer_, idle_timer_, press_timer_, held_timer_;
    bool watching_held_ = false;
    bool cancels_ = false;
    bool makes_read_only_ = false;

    // Arming and moving.
    std::optional<control::ArmRequest> arming_;
    bool hidden_state_ = false;
    unsigned arm_at_once_ = 1;
    std::size_t armers_ = 0;
    std::deque<std::weak_ptr<Session>> to_arm_;
    ArmGather arm_gather_;
    std::size_t warmers_ = 0;
    std::deque<std::weak_ptr<Session>> to_warm_;
    CountGather warm_gather_;
    std::size_t movers_ = 0;
    std::deque<std::weak_ptr<Session>> to_move_;
    MoveGather move_gather_;
    control::MoveReport tally_;
    std::uint64_t armings_ = 1;  ///< counts them
};

}  // namespace turnout::proxy
