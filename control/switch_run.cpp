#include "control/switch_run.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <limits>
#include <utility>

#include "control/awaited.hpp"
#include "control/fence.hpp"
#include "control/own_sessions.hpp"
#include "control/settle_driver.hpp"

namespace turnout::control {

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
/// How long the backends of earlier statements may take to end.
constexpr Milliseconds kQuiesce{5000};
/// Before a switch begins, what an earlier one left is settled for so long.
constexpr Milliseconds kSettleFirst{10000};
/// The standby may take so long to plan what the sessions use; the gate may close without it.
constexpr Milliseconds kPlanning{3000};
/// Between two rounds of what keeps the window's connections warm: the gate should close between them, since the window
/// has to wait for the answers of one that is under way.
constexpr Microseconds kWarmEvery{3000};

/// A drain that lasts so long is looked at for statements that wait for an advisory lock and were not seen before the
/// gate closed; then in twice the time, and so on.
constexpr Microseconds kLookAfter{10000};

bool in_window(SwitchPhase phase) { return phase >= SwitchPhase::draining && phase <= SwitchPhase::opening; }

reply::Failed failed(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const PgError& error) {
        return {error.outcome(), error.what()};
    } catch (const std::exception& error) {
        return {Outcome::unknown, error.what()};
    }
}

std::vector<std::string> texts(const std::vector<Outsider>& outsiders) {
    std::vector<std::string> all;
    for (const Outsider& outsider : outsiders) all.push_back(outsider.text());
    return all;
}

}  // namespace

SwitchRun::SwitchRun(const Cluster& cluster, DataPlane& data_plane, StateFile& state, asio::thread_pool& disk,
                     DoubtfulBackends& doubtful, SwitchOptions options, SwitchRequest request, SwitchProgress progress,
                     const StepWatch& watch, asio::any_io_executor executor)
    : cluster_(cluster),
      data_plane_(data_plane),
      state_(state),
      disk_(disk),
      doubtful_(doubtful),
      options_(std::move(options)),
      progress_(std::move(progress)),
      watch_(watch),
      executor_(executor),
      machine_(request),
      servers_(cluster, request.from, doubtful, options_.schema_marks),
      alarm_(executor),
      changed_(executor, Clock::time_point::max()),
      here_(std::make_shared<bool>(true)) {}

asio::awaitable<SwitchReport> SwitchRun::run() {
    co_await asio::this_coro::throw_if_cancelled(false);
    data_plane_.hurry(true);
    feed(event::Start{});
    while (!machine_.finished()) {
        co_await changed_.async_wait(kTuple);
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() == asio::cancellation_type::none) continue;
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        feed(event::Cancel{});
    }
    alarm_.cancel();
    co_await end_older(std::numeric_limits<Ticket>::max());
    *here_ = false;
    data_plane_.hurry(false);
    co_return machine_.report();
}

// ------------------------------------------------------------------------------------------------ events and commands

/// Commands that answer at once feed again: their events wait until this one's commands have all been started.
void SwitchRun::feed(SwitchEvent event) {
    events_.push_back(std::move(event));
    if (feeding_) return;
    feeding_ = true;
    while (!events_.empty()) {
        const SwitchEvent next = std::move(events_.front());
        events_.pop_front();
        for (SwitchCommand& command : machine_.on(next, Clock::now())) carry_out(std::move(command));
        if (machine_.phase() == told_) continue;
        const bool was_in_window = in_window(std::exchange(told_, machine_.phase()));
        if (in_window(told_) || !progress_) continue;
        progress_(std::string(name(told_)), was_in_window ? machine_.report().phases : std::vector<TimedPhase>());
    }
    feeding_ = false;
    set_alarm();
    if (machine_.finished()) changed_.cancel();
}

void SwitchRun::carry_out(SwitchCommand command) {
    if (watch_) {
        watch_(command.step, StepMoment::before);
        if (command.ticket != 0) watched_.emplace(command.ticket, command.step);
        // Behind the coroutine that is about to be spawned: by then it has sent what it sends first.
        asio::post(executor_, [this, step = command.step, here = here_] {
            if (*here) watch_(step, StepMoment::within);
        });
    }
    std::visit([&](const auto& it) { perform(command.ticket, it); }, command.step);
}

void SwitchRun::answer(Ticket ticket, SwitchReply reply) {
    if (const auto step = watched_.extract(ticket)) watch_(step.mapped(), StepMoment::after);
    feed(event::Answered{ticket, std::move(reply)});
}

void SwitchRun::set_alarm() {
    if (!machine_.alarm()) {
        alarm_.cancel();
        return;
    }
    if (alarm_.expiry() == *machine_.alarm() && alarm_set_) return;
    alarm_set_ = true;
    alarm_.expires_at(*machine_.alarm());
    alarm_.async_wait([this, here = here_](boost::system::error_code error) {
        if (error || !*here) return;
        alarm_set_ = false;
        feed(event::Alarm{});
    });
}

void SwitchRun::start(Ticket ticket, Reply work) {
    auto signal = std::make_unique<asio::cancellation_signal>();
    const auto slot = signal->slot();
    working_.emplace(ticket, std::move(signal));
    asio::co_spawn(executor_, std::move(work),
                   asio::bind_cancellation_slot(slot, [this, ticket](std::exception_ptr failure, SwitchReply reply) {
                       finished(ticket, failure, std::move(reply));
                   }));
}

void SwitchRun::finished(Ticket ticket, std::exception_ptr failure, SwitchReply reply) {
    working_.erase(ticket);
    answer(ticket, failure ? SwitchReply(failed(failure)) : std::move(reply));
    changed_.cancel();
}

/// Cancels every coroutine that was started before that one, and waits until they are gone. Later ones go on: while a
/// side cannot be quieted, the other undos are not to be kept from theirs.
asio::awaitable<void> SwitchRun::end_older(Ticket ticket) {
    const auto end = working_.lower_bound(ticket);
    for (auto it = working_.begin(); it != end; ++it) it->second->emit(asio::cancellation_type::terminal);
    while (!working_.empty() && working_.begin()->first < ticket) co_await changed_.async_wait(kTuple);
}

// --------------------------------------------------------------------------------------------- steps of the data plane

template <class Result, class Make>
std::function<void(Result)> SwitchRun::answers(Ticket ticket, Make make) {
    return [this, ticket, make, here = here_](Result result) {
        if (*here) answer(ticket, make(std::move(result)));
    };
}

void SwitchRun::perform(Ticket ticket, const step::ArmSessions&) {
    ArmRequest request;
    request.standby = machine_.request().to();
    request.simultaneous_logins = options_.simultaneous_logins;
    request.hidden_state = options_.hidden_state;
    request.setting_names = options_.setting_names;
    data_plane_.arm(request, answers<ArmReport>(ticket, [](ArmReport it) { return reply::Armed{std::move(it)}; }));
}

void SwitchRun::perform(Ticket ticket, const step::Claim& it) {
    answer(ticket, reply::Claimed{data_plane_.claim(it.attempt)});
}

void SwitchRun::perform(Ticket, const step::ClaimAlive& it) { data_plane_.claim_alive(it.attempt); }

void SwitchRun::perform(Ticket ticket, const step::OpenGate& it) {
    data_plane_.open_to(it.attempt, it.side, static_cast<std::uint64_t>(it.generation),
                        answers<Clock::time_point>(ticket, [](Clock::time_point at) { return reply::Opened{at}; }));
}

void SwitchRun::perform(Ticket ticket, const step::FinishMoves&) {
    data_plane_.finish_moves(answers<MoveReport>(ticket, [](MoveReport r) { return reply::Moved{std::move(r)}; }));
}

void SwitchRun::perform(Ticket, const step::GiveUpGate& it) { data_plane_.give_up(it.attempt); }

void SwitchRun::perform(Ticket, const step::Disarm&) { data_plane_.disarm(); }

// ------------------------------------------------------------------------------------------------ steps of the servers

SwitchRun::Reply SwitchRun::work(Ticket, step::Recheck it) {
    const SwitchRequest& request = machine_.request();
    if (it.settled) {
        const auto settled =
            co_await settle(cluster_, request.from, request.served, Clock::now() + kSettleFirst, doubtful_);
        if (!settled.left.empty()) co_return reply::Rechecked{settled.left};
    }
    auto problems = co_await servers_.find_uncarried_tables(options_.no_way_back);
    require_charge();
    if (!it.settled && problems.empty()) servers_.check_parked();
    co_return reply::Rechecked{std::move(problems)};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::ParkReverse) {
    co_await servers_.park_reverse(Clock::now() + machine_.request().deadline);
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::RaiseFence) {
    co_await servers_.raise_fence();
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::OutwaitTransactions it) {
    PgConnection* active = co_await servers_.active();
    const auto own = co_await own_pids(data_plane_, machine_.request().from);
    co_return reply::Outwaited{texts(co_await wait_out_transactions(*active, cluster_.databases(), own, it.deadline))};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::LookForBypassing it) {
    PgConnection* active = co_await servers_.active();
    const OwnPids own = [this] { return own_pids(data_plane_, machine_.request().from); };
    std::vector<Outsider> seen;
    for (;;) {
        seen = co_await find_bypassing(*active, cluster_.databases(), own);
        if (seen.empty() || !it.end || Clock::now() >= it.deadline) break;
        std::string pids;
        for (const Outsider& outsider : seen) pids += fmt::format("{}{}", pids.empty() ? "" : ",", outsider.pid);
        co_await active->query("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", "{" + pids + "}");
    }
    co_return reply::Bypassing{texts(seen)};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::WarmUp) {
    require_charge();
    co_await servers_.warm_up(!machine_.request().rehearsal());
    co_await warm_sessions();
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::LookAtMoment) {
    data_plane_.warm([] {});  // for what has been said since; nobody waits for it
    co_return co_await servers_.look_at_moment(machine_.request().max_pause);
}

SwitchRun::Reply SwitchRun::work(Ticket, step::NoteAttempt it) {
    co_await store({machine_.request().served, it.generation});
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::NoteServed it) {
    co_await store({it.generation, std::nullopt});
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::WriteIntent it) {
    co_await servers_.write_intent(it.id);
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::Register it) {
    const bool armed = co_await servers_.register_attempt(it.id);
    co_return reply::Registered{armed};
}

/// While a lull is waited for, what the window will do is done again and again: what has not run for a while takes
/// three times as long. And while a stream has much to carry (its worker may be waiting for a processor) no lull is
/// wanted: all would wait for that. Behind the gate, whoever waits for an advisory lock of a session that waits there
/// would do so until the deadline.
SwitchRun::Reply SwitchRun::work(Ticket, step::CloseGate it) {
    struct Drain {
        explicit Drain(const asio::any_io_executor& executor) : next_round(executor) {}
        std::optional<DrainReport> report;
        asio::steady_timer next_round;
    };
    const auto drain = std::make_shared<Drain>(executor_);
    std::optional<AttemptId> registered;
    if (!machine_.request().rehearsal()) registered = machine_.attempt();
    const auto began = Clock::now();
    Clock::time_point until = it.request.deadline + machine_.request().patience.lull;
    const bool little_to_carry = co_await servers_.stay_warm(registered, until);
    const auto took = Clock::now() - began;
    until += took;
    it.request.move(took);
    data_plane_.close_gate(it.request, [drain](DrainReport report) {
        drain->report = std::move(report);
        drain->next_round.cancel();
    });
    data_plane_.want_lull(little_to_carry);
    Microseconds look_after = kLookAfter;
    while (!drain->report) {
        const bool open = data_plane_.is_gate_open();
        drain->next_round.expires_after(open ? kWarmEvery : std::exchange(look_after, 2 * look_after));
        co_await drain->next_round.async_wait(kTuple);
        if (drain->report) break;
        if (data_plane_.is_gate_open()) {
            data_plane_.want_lull(false);
            const bool little_now = co_await servers_.stay_warm(registered, until);
            data_plane_.want_lull(little_now);
        } else if (!open) {
            const std::vector<LockWaiter> waiters = co_await servers_.find_lock_waiters();
            if (!waiters.empty()) data_plane_.interrupt_lock_waiters(it.request.attempt, waiters);
        }
    }
    co_return reply::Drained{std::move(*drain->report)};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::ReadFacts) { co_return co_await servers_.read_facts(); }

SwitchRun::Reply SwitchRun::work(Ticket, step::CatchUp it) {
    co_await servers_.catch_up(it.database, it.written_to);
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::CarrySequences it) {
    co_await servers_.carry_sequences(it.database, it.set);
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::DisableForward) {
    co_await servers_.disable_forward();
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::Activate it) {
    co_return reply::Activated{co_await servers_.activate(it.id, it.deadline)};
}

/// A fresh connection: the one that sent the activation may be waiting for it still.
SwitchRun::Reply SwitchRun::work(Ticket, step::ClearUp it) {
    using namespace asio::experimental::awaitable_operators;
    const auto ask = [](const Cluster& cluster, Side side, step::ClearUp question) -> asio::awaitable<Verdict> {
        const auto journal = co_await Journal::open(cluster, side);
        co_return co_await journal->void_or_obey(question.generation, question.deadline);
    };
    asio::steady_timer late(executor_, it.deadline);
    auto first = co_await (ask(cluster_, machine_.request().to(), it) || late.async_wait(kTuple));
    if (first.index() == 0) co_return reply::Decided{std::get<0>(first)};
    co_return reply::Failed{Outcome::unknown, "no answer in time"};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::Settle it) {
    servers_.release();
    co_return co_await settle(cluster_, it.active, it.generation, it.deadline, doubtful_);
}

SwitchRun::Reply SwitchRun::work(Ticket ticket, step::Quiesce) {
    co_await end_older(ticket);
    co_await servers_.quiesce(Clock::now() + kQuiesce);
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::EnableForward) {
    co_await servers_.enable_forward();
    co_return reply::Done{};
}

SwitchRun::Reply SwitchRun::work(Ticket, step::WithdrawIntent it) {
    co_await servers_.withdraw_intent(it.id);
    co_return reply::Done{};
}

// --------------------------------------------------------------------------------------------------------------- helps

/// The loss of a lock is noticed in the round trips before: its connection was ended by whoever took it.
void SwitchRun::require_charge() const {
    if (!options_.in_charge || options_.in_charge()) return;
    throw std::runtime_error(
        fmt::format("the lock on {} is not held any more", turnout::name(machine_.request().from)));
}

/// Behind the servers' part, which takes a while in which the sessions say what they use.
asio::awaitable<void> SwitchRun::warm_sessions() {
    using namespace asio::experimental::awaitable_operators;
    const auto plan = [this](std::function<void(bool)> then) {
        data_plane_.warm([then = std::move(then)] { then(true); });
    };
    asio::steady_timer late(executor_, kPlanning);
    const auto first = co_await (called_back<bool>(plan) || late.async_wait(kTuple));
    if (first.index() != 0)
        spdlog::info("{} takes long to plan what the sessions use: some of their first statements will, too",
                     turnout::name(machine_.request().to()));
}

asio::awaitable<void> SwitchRun::store(ServedState state) {
    StateFile& file = state_;
    co_await asio::co_spawn(
        disk_,
        [&file, state]() -> asio::awaitable<void> {
            file.store(state);
            co_return;
        },
        asio::use_awaitable);
}

}  // namespace turnout::control
