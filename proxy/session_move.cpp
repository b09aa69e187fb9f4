// How a session gets a backend on the other side, with its state there, and changes over.
//
// Before the window (arm): log in on the standby, read the session's state if it may have set any, replay it there.
// After the window (move): what changed since is read on the old backend and replayed, then one swap. A session that is
// armed and has changed nothing needs the swap only. Questions are put to a backend at a safe point only, while the
// client's next message waits.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

#include "protocol/frontend_messages.hpp"
#include "proxy/session.hpp"
#include "proxy/task_mark.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {

using protocol::Change;

/// Sends `bytes` on our own account and collects the answers into the exchange. Returns what went wrong.
Task<std::string> Session::ask(Backend& backend, std::string_view bytes, Exchange& exchange) {
    // A cancel of the client's that comes late must not hit a question.
    while (&backend == current_.get() && cancels_ > 0 && !closing_) co_await cancel_ended_.wait();
    if (!backend.stream->open()) co_return "the server closed the connection";
    backend.exchange = &exchange;
    const bool sent = co_await backend.stream->write_all(bytes);
    if (!sent) backend.stream->close();
    co_await exchange.finished.wait();
    backend.exchange = nullptr;
    co_return exchange.error();
}

bool Session::holdings_uncertain() const {
    constexpr Change tells = Change::listen | Change::advisory_lock | Change::code | Change::unseen;
    return has(changes_.since_read(), tells) || (spoke_ && worker_.hidden_state());
}

bool Session::needs_reading() const {
    constexpr Change tells = Change::settings | Change::role | Change::sql_prepare | Change::deallocate;
    return may_be_pinned() || holdings_uncertain() || has(changes_.since_read(), tells) ||
           ledger_.statements().doubtful();
}

/// Core settings have no dot, and pg_settings tells them.
std::vector<std::string> Session::names_to_ask() const {
    std::vector<std::string> names;
    for (const std::set<std::string, std::less<>>* known : {&changes_.setting_names(), &names_to_ask_for_}) {
        std::copy_if(known->begin(), known->end(), std::back_inserter(names),
                     [](const std::string& name) { return name.find('.') != std::string::npos; });
    }
    return names;
}

/// A question failed inside its transaction.
Task<void> Session::roll_back_question(Backend& backend) {
    const std::string rollback = rollback_batch();
    Exchange ignored(worker_.context());
    co_await ask(backend, rollback, ignored);
}

/// Reads the state on the session's own backend, at a safe point. Returns what went wrong.
Task<std::string> Session::read_state() {
    auto backend = current_;
    const std::vector<std::string> names = names_to_ask();
    changes_.clear();
    spoke_ = false;
    asking_ = true;
    set_busy(true);
    std::string failure;
    CarriedState state;
    for (const Timeouts timeouts : {Timeouts::own, Timeouts::off}) {
        const std::string batch = questions(names, timeouts);
        Exchange exchange(worker_.context());
        failure = co_await ask(*backend, batch, exchange);
        if (failure.empty()) failure = read_answers(exchange, user_, state);
        if (failure.empty() || exchange.lost) break;
        if (exchange.status != 'I') co_await roll_back_question(*backend);
    }
    asking_ = false;
    if (failure.empty()) {
        ledger_.statements().reconcile(state.protocol_statements);
        state_ = std::move(state);
        unreadable_ = false;
    } else {
        unreadable_ = true;
        state_.pinned = fmt::format("its state could not be read: {}", failure);
    }
    ++state_version_;
    set_busy(false);  // last: a drain that is answered in there looks at what has been read
    wake();
    co_return failure;
}

/// Reads the holdings and what pins the session, in the window. Returns what went wrong.
Task<std::string> Session::read_urgent() {
    auto backend = current_;
    const std::string batch = urgent_questions();
    Exchange exchange(worker_.context());
    asking_ = true;
    std::string failure = co_await ask(*backend, batch, exchange);
    if (failure.empty()) failure = read_urgent_answers(exchange, state_);
    if (!exchange.lost && exchange.status != 'I') co_await roll_back_question(*backend);
    asking_ = false;
    co_return failure;
}

/// Brings a backend to the state last read, to the holdings and to the statements that live now. Returns what went
/// wrong. Locks are taken in the window only: before it, somebody else may get them.
Task<std::string> Session::replay(Backend& backend, Locks locks) {
    if (backend.replayed_state != state_version_) {
        const bool again = backend.replayed_state != 0 || backend.replayed_statements != 0;
        if (again) backend.replayed_statements = 0;
        const Replay state = replay_state(state_, again);
        if (state.ready > 0) {
            Exchange exchange(worker_.context());
            exchange.ready_expected = state.ready;
            const std::string failure = co_await ask(backend, state.bytes, exchange);
            if (!failure.empty())
                co_return fmt::format("its settings could not be restored on {}: {}", name(backend.side), failure);
        }
        backend.replayed_state = state_version_;
    }
    Holdings wanted = state_.holdings;
    if (locks == Locks::later) wanted.locks = backend.holdings.locks;
    const Replay holdings = replay_holdings(backend.holdings, wanted);
    if (holdings.ready > 0) {
        Exchange exchange(worker_.context());
        const std::string failure = co_await ask(backend, holdings.bytes, exchange);
        if (!failure.empty())
            co_return fmt::format("what it listens to or has locked could not be brought to {}: {}", name(backend.side),
                                  failure);
        backend.holdings = std::move(wanted);
    }
    co_return co_await replay_statements(backend);
}

/// After the activation: how often each lock was taken is found by releasing it on the old backend, and the new one,
/// which has it already, takes it as often again as is missing. Returns what went wrong.
Task<std::string> Session::carry_lock_counts(Backend& to) {
    const std::vector<AdvisoryLock>& locks = state_.holdings.locks;
    if (locks.empty() || !current_->stream->open()) co_return std::string();
    const Replay release = release_and_count(locks);
    Exchange counted(worker_.context());
    std::string failure = co_await ask(*current_, release.bytes, counted);
    std::vector<std::uint64_t> counts;
    if (failure.empty()) failure = read_counts(counted, counts);
    if (!failure.empty()) co_return failure;
    if (worker_.shared().left_behind.load() > 0) {
        // Whoever is left behind must not get them there.
        const Replay hold = take_if_free(locks);
        Exchange held(worker_.context());
        failure = co_await ask(*current_, hold.bytes, held);
        if (!failure.empty()) co_return failure;
    }
    const Replay again = take_again(locks, counts);
    if (again.ready == 0) co_return std::string();
    Exchange taken(worker_.context());
    co_return co_await ask(to, again.bytes, taken);
}

/// Logs in on a side and keeps the backend read. Returns what went wrong.
Task<std::string> Session::open_armed(Side side) {
    BackendResult result = co_await open_unfenced(side);
    if (auto* failure = std::get_if<LoginFailure>(&result)) co_return failure->reason;
    if (closing_) co_return "the client has gone";
    armed_ = std::get<std::shared_ptr<Backend>>(result);
    read_in_background(armed_);
    co_return std::string();
}

/// Never fails: what cannot be done now is told by view(), and done again by the move.
Task<void> Session::arm(control::ArmRequest request) {
    if (task_ || closing_ || !current_ || ends_with_switch() || current_->side == request.standby) co_return;
    const auto self = shared_from_this();
    const TaskMark mark(task_, *this);
    arm_failure_.clear();
    replay_refusal_.clear();
    for (const std::string& name : request.setting_names) names_to_ask_for_.insert(name);
    if (armed_ && armed_->side != request.standby) {
        armed_->stream->close();
        armed_.reset();
    }
    if (!armed_) {
        const std::string failure = co_await open_armed(request.standby);
        cannot_log_in_ = !failure.empty() && !closing_;
        if (!failure.empty()) {
            arm_failure_ = fmt::format("cannot be armed: {}", failure);
            worker_.stir(*this);
            co_return;
        }
    }
    if (closing_) co_return;
    if (can_be_asked() && needs_reading()) co_await read_state();
    if (can_be_asked()) co_await learn_statements();
    // A statement that is being made, or a reading that had to be put off, is brought after the gate has opened.
    auto armed = armed_;
    if (closing_ || !armed || pinned()) co_return;
    const std::string failure = co_await replay(*armed, Locks::later);
    if (failure.empty() || closing_) co_return;
    // A server that is there and refuses it would refuse it behind the gate, too.
    if (armed->stream->open()) replay_refusal_ = failure;
    worker_.stir(*this);
    arm_failure_ = fmt::format("cannot be armed: {}", failure);
    armed->stream->close();
    if (armed_ == armed) armed_.reset();
}

/// Nothing is under way, the gate is open, and the client has nothing to say that would have to wait.
bool Session::can_be_asked() const {
    return !busy_ && !asking_ && !closing_ && aside_ == Aside::none && inbox_.empty() &&
           worker_.shared().gate.view().lets_pass();
}

Task<void> Session::look_again() {
    if (!current_ || task_ || ends_with_switch() || !can_be_asked() || !may_be_pinned()) co_return;
    const auto self = shared_from_this();
    const TaskMark mark(task_, *this);
    co_await read_state();
}

// -------------------------------------------------------------------------------------------------------- the window

bool Session::has_to_bring(Side standby) const {
    if (!logged_in() || ends_with_switch() || current_->side == standby) return false;
    const bool stale = armed_ && armed_->side == standby && !armed_->holdings.empty();
    return aside_ == Aside::cancelled || aside_ == Aside::read_only || stale || !state_.holdings.empty() ||
           holdings_uncertain() || may_be_pinned();
}

Task<void> Session::bring_holdings(Side standby) {
    const auto self = shared_from_this();
    bringing_ = true;
    bring_failure_.clear();
    while (task_ && !closing_) co_await task_ended_.wait();
    if (!closing_) {
        const TaskMark mark(task_, *this);
        bring_failure_ = co_await try_to_bring(standby);
        if (closing_ || worker_.shared().gate.view().lets_pass()) bring_failure_.clear();
    }
    bringing_ = false;
    worker_.became_safe();
}

/// Questions cannot be put to a transaction that stepped aside: it is left for them, and entered again.
Task<std::string> Session::look_in_window() {
    if (aside_ == Aside::read_only) co_return co_await make_read_only();
    const bool uncertain = may_be_pinned() || holdings_uncertain();
    if (!uncertain && aside_ != Aside::cancelled) co_return std::string();
    const Aside aside = aside_;
    auto backend = current_;
    std::string failure;
    if (aside != Aside::none) failure = co_await leave_transaction(*backend);
    if (failure.empty() && uncertain) failure = co_await read_urgent();
    if (failure.empty() && aside != Aside::none) failure = co_await enter_transaction(*backend, aside);
    if (!failure.empty()) co_return fmt::format("its state could not be read: {}", failure);
    if (aside == Aside::cancelled) {
        owes_failure_ = true;
        ledger_.replies().reset(protocol::TransactionStatus::failed);
        if (aside_ == aside) aside_ = Aside::failed;
    }
    co_return std::string();
}

Task<std::string> Session::try_to_bring(Side standby) {
    {
        std::string failure = co_await look_in_window();
        if (!failure.empty()) co_return failure;
    }
    const bool wrong_side = armed_ && armed_->side != standby;
    if (!state_.pinned.empty() || closing_ || wrong_side) co_return std::string();
    if (state_.holdings.empty() && (!armed_ || armed_->holdings.empty())) co_return std::string();
    if (!armed_) {
        std::string failure = co_await open_armed(standby);
        if (!failure.empty()) co_return failure;
    }
    auto target = armed_;
    const Replay holdings = replay_holdings(target->holdings, state_.holdings);
    if (holdings.ready == 0) co_return std::string();
    target->holdings = state_.holdings;
    Exchange exchange(worker_.context());
    std::string failure = co_await ask(*target, holdings.bytes, exchange);
    // Half done is not known: that backend is not used.
    if (!failure.empty()) target->stream->close();
    co_return failure;
}

void Session::stop_bringing() {
    if (bringing_ && armed_ && armed_->exchange != nullptr) armed_->stream->close();
}

void Session::disarm() {
    arm_failure_.clear();
    replay_refusal_.clear();
    cannot_log_in_ = false;
    used_.clear();
    if (!armed_ || task_) return;
    std::string bye;
    protocol::append_terminate(bye);
    armed_->stream->write(bye.data(), bye.size());
    armed_->stream->close();
    armed_.reset();
    ledger_.statements().forget();
}

/// At a safe point, the gate open towards `side`: everything the session has is brought there. Returns what went wrong.
Task<std::string> Session::move(Side side) {
    const Aside aside = aside_;
    if (aside == Aside::read_only) co_return "its transaction could not be made read-only";
    if (aside != Aside::none && current_->stream->open()) {
        std::string failure = co_await leave_transaction(*current_);
        if (!failure.empty() && current_->stream->open()) co_return failure;
    }
    if (needs_reading()) {
        if (!current_->stream->open())
            co_return fmt::format("its state has changed since it was read last, and {} is lost", name(current_->side));
        const std::string failure = co_await read_state();
        if (!failure.empty()) co_return state_.pinned;
    }
    if (std::string why = pin_reason(); !why.empty()) co_return why;
    if (armed_ && armed_->side != side) {
        armed_->stream->close();
        armed_.reset();
    }
    if (!armed_) {
        const std::string failure = co_await open_armed(side);
        if (!failure.empty()) co_return failure;
    }
    auto target = armed_;
    std::string failure;
    if (next_ends_unnamed()) {
        ledger_.statements().pass_over_unnamed();
        unnamed_passed_over_ = true;
    }
    if (current_->stream->open()) failure = co_await learn_statements();
    // A server that is lost is not asked any more: what it has not told is missed on the new one, where it is used.
    if (!current_->stream->open()) failure.clear();
    if (failure.empty()) failure = co_await replay(*target, Locks::too);
    if (failure.empty()) failure = co_await drop_statements_that_differ(*target);
    if (failure.empty()) failure = co_await carry_lock_counts(*target);
    if (!failure.empty() && (current_->stream->open() || !target->stream->open())) co_return failure;
    if (!state_.holdings.channels.empty() && current_->stream->open()) {
        // A Sync on the old backend brings every notification that was sent there before; they go first.
        std::string sync;
        protocol::append_sync(sync);
        Exchange exchange(worker_.context());
        co_await ask(*current_, sync, exchange);
    }
    if (aside != Aside::none && target->stream->open()) {
        failure = co_await enter_transaction(*target, aside);
        if (!failure.empty()) co_return failure;
    }
    if (closing_ || target != armed_ || !target->stream->open()) co_return "the new server closed the connection";
    change_over();
    if (aside == Aside::none) co_return std::string();
    aside_ = Aside::none;
    ledger_.replies().reset(aside == Aside::begun ? protocol::TransactionStatus::in_transaction
                                                  : protocol::TransactionStatus::failed);
    set_busy(true);
    set_phase(Phase::in_transaction);
    count_recovered();
    co_return std::string();
}

void Session::count_recovered() {
    worker_.counters().moves_recovered.add();
    ++worker_.tally().recovered;
}

/// The gate is open towards the other side, and all that is needed of this one stands there, or was read.
bool Session::can_move_without(const Backend& lost) const {
    const Gate::View gate = worker_.shared().gate.view();
    const bool left = gate.lets_pass() && gate.side != lost.side;
    return left && !stays_behind_ && !ends_with_switch() && (task_ || !busy_);
}

/// The one swap.
void Session::change_over() {
    leave_former();
    former_ = std::move(current_);
    current_ = std::move(armed_);
    armed_.reset();
    used_.clear();
    arm_failure_.clear();
    for (const auto& [name, value] : current_->parameters) note_parameter(name, value);
    ledger_.replies().reset(protocol::TransactionStatus::idle);
    retell_ = true;
    std::string notifications = std::exchange(current_->kept_notifications, {});
    if (!notifications.empty()) send_to_client(notifications);
    worker_.counters().moves.add();
    traffic_->assignments.add();
    ++worker_.tally().moved;
}

Task<bool> Session::move_or_end(Side side) {
    const auto self = shared_from_this();
    const TaskMark mark(task_, *this);
    const auto began = control::Clock::now();
    const std::string failure = co_await move(side);
    if (failure.empty()) {
        worker_.counters().move_took(std::chrono::duration_cast<control::Microseconds>(control::Clock::now() - began));
        co_return true;
    }
    if (closing_) co_return false;
    spdlog::error("session {} of user \"{}\" could not be moved to {}: {}", id_, user_, name(side), failure);
    worker_.counters().moves_failed.add();
    ++worker_.tally().failed;
    end("57P01",
        fmt::format("terminating connection because the session could not be moved to {}: {}", name(side), failure),
        "The database has been switched to another server; connect again.");
    co_return false;
}

/// After the window, for sessions that have not spoken yet. One that is not at a safe point cannot be: the gate was
/// only opened after all were.
Task<void> Session::move_in_background() {
    const auto self = shared_from_this();
    while (task_ && !closing_) co_await task_ended_.wait();
    const Gate::View gate = worker_.shared().gate.view();
    if (closing_ || !current_ || busy_ || interrupting_ || !gate.lets_pass() || current_->side == gate.side) co_return;
    if (ends_with_switch()) {
        ++worker_.tally().ended;
        worker_.counters().ended.add();
        end("57P01", "terminating replication connection because the database was switched to another server",
            "Connect again.");
        co_return;
    }
    co_await move_or_end(gate.side);
}

void Session::leave_former() {
    if (!former_) return;
    std::string bye;
    protocol::append_terminate(bye);
    former_->stream->write(bye.data(), bye.size());
    former_->stream->close();
    former_.reset();
}

}  // namespace turnout::proxy
