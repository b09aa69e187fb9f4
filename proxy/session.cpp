#include "proxy/session.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>

#include "protocol/errors.hpp"
#include "protocol/frontend_messages.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {

Session::Session(Worker& worker, int socket, int family, std::uint64_t id)
    : worker_(worker),
      id_(id),
      client_(worker.context(), socket, family),
      address_(peer_name(client_.socket())),
      local_(peer_is_local(client_.socket())),
      runtime_(worker.shared().runtime()),
      login_timer_(worker.context()),
      may_go_on_(worker.context()),
      replied_(worker.context()),
      task_ended_(worker.context()),
      cancel_ended_(worker.context()) {
    tune_socket(client_.socket(), family, runtime_->settings.tcp);
    worker_.counters().phases[static_cast<std::size_t>(phase_)].add();
}

Session::~Session() { worker_.counters().phases[static_cast<std::size_t>(phase_)].subtract(); }

void Session::start() {
    boost::asio::co_spawn(
        worker_.context(), [self = shared_from_this()] { return self->run(); },
        [self = shared_from_this()](std::exception_ptr failure) {
            if (!failure) return;
            self->log_internal_error(failure);
            self->close();
            self->finish();
        });
}

/// Nothing in a session throws but allocation and a broken invariant: the session goes, the others stay.
void Session::log_internal_error(const std::exception_ptr& failure) const {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        spdlog::error("session {} of user \"{}\" ended by an internal error: {}", id_, user_, error.what());
    }
}

Task<void> Session::run() {
    // Only the time before the first ReadyForQuery is bounded.
    bound_login(runtime_->settings.login_timeout);
    const bool in = co_await log_in();
    login_timer_.cancel();
    if (in && wants_console()) {
        worker_.counters().logins.add();
        co_await carry_console();
    } else if (in) {
        worker_.counters().logins.add();
        co_await pump_client();
        co_await outlive_client();
    }
    close();
    finish();
}

/// The client has said its last: Terminate, or the end of what it sends. What it has asked for before is done and
/// answered, as by a server; one that has gone altogether shows when it is written to. The server may still commit: as
/// long as it works, this session is busy, so that no barrier is read over it. Terminate makes the server end when it
/// is done.
Task<void> Session::outlive_client() {
    if (busy_ && current_ && current_->stream->open()) {
        ended_by_client_ = true;
        auto backend = current_;
        std::string last = to_server_.take();
        if (!from_client_.mid_message()) protocol::append_terminate(last);
        const bool sent = co_await backend->stream->write_all(last);
        // A message that was cut off can only be ended by closing the direction.
        if (!sent || from_client_.mid_message()) ::shutdown(backend->stream->socket(), SHUT_WR);
        while (backend->stream->open()) {
            waiting_for_reply_ = true;
            co_await replied_.wait();
        }
    }
    co_await flush_client();
}

void Session::close() {
    if (closing_) return;
    closing_ = true;
    login_timer_.cancel();
    client_.close();
    if (console_) console_->close();
    for (auto& backend : {current_, armed_, former_}) {
        if (!backend || !backend->stream->open()) continue;
        if (!busy_ || backend != current_) {
            std::string bye;
            protocol::append_terminate(bye);
            backend->stream->write(bye.data(), bye.size());
        }
        backend->stream->close();
        if (backend->exchange != nullptr) {
            backend->exchange->lost = true;
            backend->exchange->finished.notify();
        }
    }
    replied_.notify();
    cancel_ended_.notify();
    task_ended();
}

/// The last thing run() does: from here on nobody finds the session.
void Session::finish() {
    if (finished_) return;
    finished_ = true;
    if (!handed_out_secret_.empty()) worker_.shared().cancels.remove(handed_out_pid_, handed_out_secret_);
    set_busy(false);
    no_longer_behind();
    worker_.forget(id_);
}

void Session::end(std::string_view sqlstate, std::string_view message, std::string_view hint) {
    send_fatal(sqlstate, message, hint);
    close();
}

void Session::send_fatal(std::string_view sqlstate, std::string_view message, std::string_view hint) {
    const bool torn = !to_client_.empty() || (current_ && current_->scanner.mid_message());
    if (torn || !client_.open()) return;
    const std::string error = protocol::make_error(protocol::Severity::fatal, sqlstate, message, {}, hint);
    client_.write(error.data(), error.size());
}

void Session::set_busy(bool busy) {
    if (busy == busy_) return;
    busy_ = busy;
    if (busy) {
        worker_.became_busy(*this);
    } else {
        worker_.became_safe();
    }
}

void Session::set_phase(Phase phase) {
    if (phase == phase_) return;
    worker_.counters().phases[static_cast<std::size_t>(phase_)].subtract();
    worker_.counters().phases[static_cast<std::size_t>(phase)].add();
    phase_ = phase;
}

/// In COPY BOTH nothing of this session's can commit: it need not, and often will not, come to an end.
bool Session::streams_replication() const {
    return ends_with_switch() && ledger_.replies().copy() == protocol::CopyState::both;
}

void Session::end_if_idle(control::Milliseconds timeout) {
    if (!logged_in() || busy_ || task_ || phase_ != Phase::idle || control::Clock::now() - asked_ < timeout) return;
    end("57P05", "terminating connection due to idle-session timeout", "");
}

std::string Session::pin_reason() const {
    using protocol::Change;
    if (ends_with_switch()) return "is a replication connection: it is ended by a switch";
    if (has(changes_.ever(), Change::opaque))
        return "has used currval, lastval, setseed, LOAD or dblink, which no server can be asked about: reconnect";
    if (changes_.names_lost()) return "has set more settings by name than can be followed: reconnect";
    if (!state_.pinned.empty()) return state_.pinned;
    if (ledger_.statements().has_unkeepable())
        return "has a prepared statement that is too large to be kept: DEALLOCATE it";
    if (cannot_log_in_) return arm_failure_;
    return replay_refusal_.empty() ? bring_failure_ : replay_refusal_;
}

bool Session::may_be_pinned() const {
    using protocol::Change;
    constexpr Change suspicious = Change::prepare_among_others | Change::temporary_object | Change::holdable_cursor |
                                  Change::code | Change::unseen;
    return unreadable_ || has(changes_.since_read(), suspicious) || (spoke_ && !state_.pinned.empty());
}

/// What goes with it, for people. Settings and holdings as of the last reading.
std::string Session::carries() const {
    std::string text;
    const auto add = [&](std::size_t count, std::string_view what) {
        if (count == 0) return;
        text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", count, what, count == 1 ? "" : "s");
    };
    add(state_.settings.size(), "setting");
    if (!state_.session_authorization.empty()) text += (text.empty() ? "" : ", ") + std::string("authorization");
    if (!state_.role.empty() && state_.role != "none") text += (text.empty() ? "" : ", ") + std::string("role");
    add(ledger_.statements().live().size() + state_.sql_prepared.size(), "prepared statement");
    add(state_.holdings.channels.size(), "channel");
    add(state_.holdings.locks.size(), "advisory lock");
    return text;
}

control::SessionView Session::view() const {
    control::SessionView view;
    view.id = id_;
    view.user = user_;
    view.database = database_;
    view.application = told_.find("application_name").value_or("");
    view.address = address_;
    const auto now = control::Clock::now();
    switch (phase_) {
        case Phase::login: view.state = "login"; break;
        case Phase::idle: view.state = "idle"; break;
        case Phase::active: view.state = "active"; break;
        case Phase::in_transaction:
            view.state = ledger_.replies().status() == protocol::TransactionStatus::failed ? "failed transaction"
                                                                                           : "idle in transaction";
            break;
        case Phase::held: view.state = "held"; break;
    }
    if (task_ && !busy_) view.state = "moving";
    view.movable = busy_ ? control::Movable::boundary : control::Movable::now;
    if (busy_)
        view.reason =
            ended_by_client_ ? "its client has gone; the server still works" : "moves when its transaction ends";
    if (stays_behind_)
        view.reason = fmt::format("finishes a read-only transaction on {}, then moves", name(current_->side));
    if (bringing_) view.reason = "its advisory locks and channels are being brought to the standby";
    if (!arm_failure_.empty()) view.reason = arm_failure_;
    if (std::string why = pin_reason(); !why.empty()) {
        view.movable = control::Movable::pinned;
        view.reason = why;
    }
    view.side = current_ ? current_->side : worker_.shared().gate.view().side;
    view.tls = client_.tls();
    view.armed = armed();
    view.client_pid = handed_out_pid_;
    view.server_pid = current_ ? current_->pid : 0;
    view.connected = std::chrono::duration_cast<control::Microseconds>(now - connected_);
    if (busy_ && transaction_ != control::Clock::time_point{}) {
        view.transaction = std::chrono::duration_cast<control::Microseconds>(now - transaction_);
    }
    view.carries = carries();
    view.prepared_statements = ledger_.statements().live().size();
    view.queries = queries_;
    return view;
}

}  // namespace turnout::proxy
