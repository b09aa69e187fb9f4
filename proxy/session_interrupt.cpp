// Statements that are cancelled because the server changes. One that waits for an advisory lock always is; others under
// the policy `cancel`. A statement is run again, unnoticed, only if the server has certainly undone it and the client
// has heard nothing of it (can_run_again() has the conditions); else its client gets 40001.
//
// From the first cancel request on, what the server says is kept back until ReadyForQuery and until the cancel
// request's connection has ended: a late cancel would hit the next statement.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "protocol/errors.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/sql_words.hpp"
#include "proxy/session.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {

using protocol::BackendType;
using protocol::Change;
using protocol::TransactionStatus;

namespace {

constexpr std::size_t kMostKeptBack = 64 * 1024;
/// A cancel request that overtakes its statement cancels nothing: it is sent again.
constexpr control::Milliseconds kNextCancel{20};

constexpr std::string_view kSwitched = "canceling statement because the database is being switched to another server";
constexpr std::string_view kRetry = "Run the transaction again.";

bool is_repeated(char type) {
    switch (static_cast<BackendType>(type)) {
        case BackendType::parameter_status:
        case BackendType::notification_response: return false;
        default: return true;
    }
}

AdvisoryLock as_lock(const protocol::LockCall& call) {
    AdvisoryLock lock;
    lock.shared = call.shared;
    lock.two_keys = call.keys.size() == 2;
    const auto key = static_cast<std::uint64_t>(call.keys.front());
    lock.classid = static_cast<std::uint32_t>(lock.two_keys ? key : key >> 32U);
    lock.objid = static_cast<std::uint32_t>(call.keys.back());
    return lock;
}

std::string switched_error() { return protocol::make_error(protocol::Severity::error, "40001", kSwitched, {}, kRetry); }

}  // namespace

/// Whether the batch may be cancelled and run again. HAZARDS: each condition is there because something was seen to go
/// wrong without it. `locks`: how many advisory locks the server saw it hold while it waited for another one.
Session::Again Session::can_run_again(std::optional<std::uint64_t> locks) const {
    const protocol::ReplyLedger& replies = ledger_.replies();
    const bool alone = batch_from_idle_ && !batch_answered_ && replies.status() == TransactionStatus::idle &&
                       replies.ready_owed() == 1 && !replies.batch_open() && !replies.unsure() &&
                       replies.copy() == protocol::CopyState::none && !from_client_.mid_message();
    if (!alone) return {};
    const protocol::OneCommand command = protocol::read_one_command(batch_.bytes(), ledger_.statements());
    if (!leaves_nothing_when_cancelled(command)) return {};
    const std::vector<AdvisoryLock>& held = state_.holdings.locks;
    if (has(protocol::what_it_may_change(command.text).changes, Change::advisory_lock)) {
        const auto call = lock_it_waits_for(command);
        if (!call) return {};
        const AdvisoryLock lock = as_lock(*call);
        // Whoever waits for a lock does not hold it. Otherwise it must be known what was held before.
        const bool new_to_it = batch_locks_certain_ && std::find(held.begin(), held.end(), lock) == held.end();
        return {locks.has_value() || new_to_it, lock, std::nullopt};
    }
    if (!worker_.hidden_state()) return {true, std::nullopt, std::nullopt};
    // What a function locked before it was cancelled stays locked: whether one did is looked up afterwards.
    if (!locks && batch_locks_certain_) locks = held.size();
    return {locks.has_value(), std::nullopt, locks};
}

/// After a cancelled batch: whether nothing of it is left, and it was our cancel that ended it.
Task<bool> Session::undone(const Again& again) {
    const auto ran = control::Clock::now() - asked_;
    auto backend = current_;
    if (again.waits_for || again.locks) {
        const std::string failure = co_await read_urgent();
        if (!failure.empty()) co_return false;
    }
    std::vector<AdvisoryLock>& held = state_.holdings.locks;
    if (again.locks && held.size() != *again.locks) co_return false;
    if (again.waits_for) {
        // It was granted in the moment of the cancel, and is held although the statement failed.
        const auto granted = std::find(held.begin(), held.end(), *again.waits_for);
        if (granted != held.end()) {
            const Replay release = release_and_count({*granted});
            Exchange released(worker_.context());
            asking_ = true;
            const std::string failure = co_await ask(*backend, release.bytes, released);
            asking_ = false;
            if (!failure.empty()) co_return false;
            held.erase(std::remove(held.begin(), held.end(), *again.waits_for), held.end());
        }
    }
    // A time-out of the session's own has the same SQLSTATE.
    const std::string question = statement_timeout_question();
    Exchange answer(worker_.context());
    control::Milliseconds timeout{0};
    asking_ = true;
    std::string failure = co_await ask(*backend, question, answer);
    if (failure.empty()) failure = read_statement_timeout(answer, timeout);
    if (!answer.lost && answer.status != 'I') co_await roll_back_question(*backend);
    asking_ = false;
    co_return failure.empty() && (timeout.count() == 0 || ran < timeout);
}

/// Cancels what runs, at a closed gate.
Task<void> Session::interrupt(std::optional<std::uint64_t> locks, bool only_to_run_again) {
    const auto self = shared_from_this();
    auto backend = current_;
    const bool can = !closing_ && busy_ && backend && !interrupting_ && !asking_ && !looking_ && !ended_by_client_ &&
                     !backend->key.empty() && ledger_.replies().ready_owed() > 0;
    if (!can) co_return;
    const Again again = can_run_again(locks);
    // A wait for a lock of which it is not known whether it was held before: the next look at the server tells.
    if (!again.possible && (only_to_run_again || again.waits_for)) co_return;
    interrupting_ = true;
    interrupt_answered_ = kept_back_cancelled_ = client_cancelled_ = false;
    keeping_back_ = again.possible;
    const std::string batch(again.possible ? batch_.bytes() : std::string_view());
    Signal paused(worker_.context());
    Timer pause(worker_.context());
    while (!interrupt_answered_ && !closing_ && backend == current_ && backend->stream->open()) {
        if (worker_.shared().gate.view().state != Gate::State::open) {
            co_await send_cancel(worker_.context(), backend->side, runtime_, backend->peer, backend->stream->tls(),
                                 backend->pid, backend->key);
        }
        if (interrupt_answered_) break;
        pause.after(kNextCancel, [&paused] { paused.notify(); });
        co_await paused.wait();
    }
    if (closing_ || backend != current_ || !backend->stream->open()) {
        interrupting_ = keeping_back_ = false;
        co_return;
    }
    bool repeat = again.possible && keeping_back_ && kept_back_cancelled_ && ledger_.replies().safe();
    if (repeat) repeat = co_await undone(again);
    repeat = repeat && !client_cancelled_ && !closing_;
    finish_interrupt(repeat ? batch : std::string_view());
}

/// The answer and the cancel request's end have come. `again`: what to say once more; empty: the client is told.
void Session::finish_interrupt(std::string_view again) {
    interrupting_ = keeping_back_ = false;
    const std::string kept = std::exchange(kept_back_, {});
    std::string_view rest = kept;
    protocol::FrameScanner scanner(protocol::Stream::backend, static_cast<std::uint32_t>(2 * kMostKeptBack));
    while (!rest.empty()) {
        const protocol::Frame frame = scanner.next(rest);
        if (frame.size == 0) break;
        const std::string_view whole = rest.substr(0, frame.size);
        rest.remove_prefix(frame.size);
        if (!again.empty() && is_repeated(frame.type)) continue;
        const bool ours = frame.type == static_cast<char>(BackendType::error_response) && !client_cancelled_ &&
                          protocol::sqlstate_of(frame.body) == "57014";
        const std::string error = ours ? switched_error() : std::string();
        send_to_client(ours ? std::string_view(error) : whole);
    }
    flush_client_later();
    if (!again.empty()) {
        inbox_.insert(0, again);
        client_.interrupt();
        count_recovered();
    }
    at_rest();
}

/// Part of the server's answer during an interruption. True: the client does not get it now.
bool Session::take_interrupted(const protocol::Frame& frame, std::string_view bytes) {
    const bool cancelled = frame.state == protocol::FrameState::whole &&
                           frame.type == static_cast<char>(BackendType::error_response) &&
                           protocol::sqlstate_of(frame.body) == "57014";
    if (!keeping_back_) {
        if (!cancelled || client_cancelled_) return false;
        savepoint_ = false;  // the whole transaction is to be run again
        const std::string error = switched_error();
        send_to_client(error);
        return true;
    }
    if (frame.state != protocol::FrameState::whole || kept_back_.size() + bytes.size() > kMostKeptBack) {
        keeping_back_ = false;
        send_to_client(std::exchange(kept_back_, {}));
        return false;
    }
    kept_back_cancelled_ = kept_back_cancelled_ || cancelled;
    kept_back_ += bytes;
    return true;
}

/// A session with an open transaction leaves its safe-point rules at a closed gate if it can go on elsewhere. True: it
/// no longer holds up the drain.
bool Session::step_aside() {
    const protocol::ReplyLedger& replies = ledger_.replies();
    const bool still = busy_ && current_ && !closing_ && !ends_with_switch() && !ended_by_client_ && !interrupting_ &&
                       !asking_ && !looking_ && !stays_behind_ && !bringing_ && aside_ == Aside::none &&
                       replies.quiet() && !replies.batch_open() && !replies.skipping() && !from_client_.mid_message() &&
                       !skip_to_sync_;
    if (!still) return false;
    if (replies.status() == TransactionStatus::failed && (!savepoint_ || owes_failure_)) {
        aside_ = Aside::failed;
    } else if (replies.status() == TransactionStatus::in_transaction && !begin_text().empty()) {
        aside_ = Aside::begun;
    } else if (replies.status() == TransactionStatus::in_transaction && worker_.cancels()) {
        aside_ = Aside::cancelled;
    } else if (replies.status() == TransactionStatus::in_transaction && worker_.makes_read_only() &&
               may_become_read_only()) {
        looking_ = true;
        boost::asio::co_spawn(
            worker_.context(), [self = shared_from_this()] { return self->ask_whether_read_only(); },
            boost::asio::detached);
        return false;
    } else {
        return false;
    }
    set_busy(false);
    return true;
}

/// The text of the BEGIN, if nothing else was said in this transaction.
std::string Session::begin_text() const {
    if (!batch_from_idle_) return {};
    protocol::OneCommand command = protocol::read_one_command(batch_.bytes(), ledger_.statements());
    if (command.first_word != "begin" && command.first_word != "start") return {};
    return std::move(command.text);
}

/// The gate has opened to the old side: the transaction goes on there.
void Session::step_back() {
    if (aside_ == Aside::none) return;
    aside_ = Aside::none;
    if (!ledger_.replies().safe()) set_busy(true);
}

/// ROLLBACK on the backend that a transaction leaves, so that questions can be put there. Returns what went wrong.
Task<std::string> Session::leave_transaction(Backend& backend) {
    const std::string rollback = rollback_batch();
    Exchange exchange(worker_.context());
    asking_ = true;
    std::string failure = co_await ask(backend, rollback, exchange);
    asking_ = false;
    if (failure.empty() && exchange.status != 'I') failure = "its transaction could not be left";
    co_return failure;
}

/// Brings a backend where this one's transaction stands for its client: begun, or failed. Returns what went wrong.
Task<std::string> Session::enter_transaction(Backend& backend, Aside aside) {
    const std::string text = aside == Aside::begun ? begin_text() : std::string();
    const std::string batch = aside == Aside::begun ? begin_batch(text) : failed_transaction_batch();
    Exchange exchange(worker_.context());
    asking_ = true;
    std::string failure = co_await ask(backend, batch, exchange);
    asking_ = false;
    const char wanted = aside == Aside::begun ? 'T' : 'E';
    if (exchange.status == wanted) co_return std::string();
    if (failure.empty()) failure = "its transaction could not be taken over";
    co_return failure;
}

/// The client's next command in a transaction that the switch has ended fails with 40001, here: nothing of it reaches
/// the server, whatever a COMMIT would have done there. A ROLLBACK goes on. True: the message is answered or dropped.
bool Session::refuse_in_ended_transaction(const protocol::Frame& frame) {
    using protocol::FrontendType;
    const auto type = static_cast<FrontendType>(frame.type);
    std::string word;
    if (type == FrontendType::query) {
        word = protocol::first_word(frame.body.substr(0, frame.body.find('\0')));
    } else if (type == FrontendType::parse) {
        const std::size_t name = frame.body.find('\0');
        if (name != std::string_view::npos) word = protocol::first_word(frame.body.substr(name + 1));
    } else if (type == FrontendType::bind) {
        protocol::Bind bind;
        const protocol::LiveStatement* statement =
            protocol::parse(frame.body, bind) ? nullptr : ledger_.statements().find(bind.statement);
        if (statement != nullptr) {
            const std::string_view body = statement->parse;
            word = protocol::first_word(body.substr(std::min(body.find('\0'), body.size() - 1) + 1));
        }
    } else if (type != FrontendType::function_call) {
        return false;  // Sync, Close, Describe: they run nothing
    }
    owes_failure_ = false;
    if (word == "rollback" || word == "abort") return false;
    std::string answer = switched_error();
    if (type == FrontendType::query || type == FrontendType::function_call) {
        protocol::append(answer, protocol::ReadyForQuery{TransactionStatus::failed});
        drop_message_ = !frame.finished;
    } else {
        skip_to_sync_ = true;
    }
    send_to_client(answer);
    flush_client_later();
    return true;
}

}  // namespace turnout::proxy
