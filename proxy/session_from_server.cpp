// A session's way from its servers to the client.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/endian/conversion.hpp>
#include <cstring>

#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/writer.hpp"
#include "proxy/session.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {

using protocol::BackendType;
using protocol::Frame;
using protocol::FrameState;

/// A reading that fails is the loss of its backend: whoever waits for what that would have said is told so.
void Session::read_in_background(const std::shared_ptr<Backend>& backend) {
    boost::asio::co_spawn(
        worker_.context(), [self = shared_from_this(), backend] { return self->read_backend(backend); },
        [self = shared_from_this(), backend](const std::exception_ptr& failure) {
            if (!failure) return;
            self->log_internal_error(failure);
            backend->stream->close();
            self->backend_lost(backend);
        });
}

Task<void> Session::read_backend(std::shared_ptr<Backend> backend) {
    Stream& stream = *backend->stream;
    Stream::Status status = Stream::Status::want_read;
    // Back-pressure: nothing more is read from this server until the client has taken what there is.
    const auto client_is_full = [&] { return !to_client_.empty() && backend == current_; };
    const Stream::Reader reader = [&] {
        status = take_from_backend(*backend);
        return status == Stream::Status::want_read && !client_is_full();
    };
    while (!closing_ && stream.open() && status != Stream::Status::closed && status != Stream::Status::failed) {
        bool go_on = true;
        if (client_is_full()) {
            go_on = co_await flush_client();
        } else if (status == Stream::Status::want_write) {
            status = Stream::Status::want_read;
            go_on = co_await stream.wait(Stream::Status::want_write);
        } else {
            go_on = co_await stream.read_by(reader);
        }
        if (!go_on) break;
    }
    stream.close();
    backend_lost(backend);
}

/// One read, sent on. Says what to wait for before the next one.
Stream::Status Session::take_from_backend(Backend& backend) {
    std::vector<char>& buffer = worker_.buffer();
    const std::size_t kept = backend.stash.size();
    const Stream::Io io = backend.stream->read(buffer.data() + kept, Worker::kReadSize);
    if (io.status != Stream::Status::ok) return io.status;
    traffic_->server_bytes.add(io.bytes);
    if (kept > 0) {
        std::memcpy(buffer.data(), backend.stash.data(), kept);
        std::string().swap(backend.stash);
    }
    return relay(backend, buffer.data(), kept + io.bytes) ? Stream::Status::want_read : Stream::Status::failed;
}

/// Takes what a backend has sent, message by message, and forwards runs of them as they stand in the buffer. False: the
/// stream is broken.
bool Session::relay(Backend& backend, char* data, std::size_t size) {
    const char* unsent = data;
    std::string_view rest(data, size);
    const auto send_up_to = [&](const char* end) {
        if (end > unsent) send_to_client({unsent, static_cast<std::size_t>(end - unsent)});
        unsent = end;
    };
    while (!rest.empty()) {
        const Frame frame = backend.scanner.next(rest);
        if (frame.state == FrameState::incomplete) {
            send_up_to(rest.data());
            backend.stash.assign(rest);
            return true;
        }
        if (frame.state == FrameState::broken) {
            send_up_to(rest.data());
            spdlog::error("session {}: {} sends what is not the protocol: {}", id_, name(backend.side), frame.error);
            return false;
        }
        const bool present = &backend == current_.get() && backend.exchange == nullptr;
        bool forward = present;
        if (retell_ && frame.starts() && present && !is_asynchronous(static_cast<BackendType>(frame.type))) {
            send_up_to(rest.data());
            tell_changed_parameters(backend);
        }
        char* body = data + (rest.data() - data) + protocol::header_size;
        if (frame.starts() && !take_frame(backend, frame, body, forward)) return false;
        if (!present && frame.state != FrameState::continuing) watch(backend, frame, body, rest.substr(0, frame.size));
        if (forward && interrupting_) {
            send_up_to(rest.data());
            forward = !take_interrupted(frame, rest.substr(0, frame.size));
        }
        if (forward && (stays_behind_ || made_read_only_) && frame.starts()) {
            send_up_to(rest.data());
            forward = !take_read_only(frame);
        }
        if (!forward) {
            send_up_to(rest.data());
            unsent = rest.data() + frame.size;
        }
        rest.remove_prefix(frame.size);
        // Rows like this one change nothing more.
        const bool plain = forward && frame.finished && !interrupting_ && !stays_behind_ && !made_read_only_;
        if (plain) rest.remove_prefix(backend.scanner.run_of(frame.type, rest));
        // The chunk up to here goes out before anybody is told that the session is quiet.
        if (present && frame.type == static_cast<char>(BackendType::ready_for_query)) {
            send_up_to(rest.data());
            if (interrupting_) {
                interrupt_answered_ = ledger_.replies().ready_owed() == 0;
            } else {
                at_rest();
            }
        }
    }
    send_up_to(rest.data());
    return true;
}

/// A ReadyForQuery has gone to the client.
void Session::at_rest() {
    if (!late_notifications_.empty()) send_to_client(std::exchange(late_notifications_, {}));
    if (stays_behind_) return at_rest_behind();
    const protocol::ReplyLedger& replies = ledger_.replies();
    if (replies.safe()) {
        transaction_over();
        set_phase(Phase::idle);
        set_busy(false);
    } else if (worker_.shared().gate.view().state != Gate::State::open) {
        step_aside();
    }
}

/// A message begins. Of the present backend it is accounted for; `forward` becomes false if the client must not see it.
bool Session::take_frame(Backend& backend, const Frame& frame, char* body, bool& forward) {
    const auto type = static_cast<BackendType>(frame.type);
    if (type == BackendType::parameter_status) {
        protocol::ParameterStatus status;
        if (protocol::parse(frame.body, status)) return true;
        if (!set_parameter(backend.parameters, status.name, status.value)) {
            spdlog::error("session {}: {} reports settings without end", id_, name(backend.side));
            return false;
        }
        if (&backend == current_.get()) note_parameter(status.name, status.value);
        if (forward) {
            set_parameter(told_, status.name, status.value);
        } else if (&backend == current_.get()) {
            retell_ = true;
        }
        return true;
    }
    if (backend.exchange != nullptr && !is_asynchronous(type)) {
        collect(backend, frame);
        return true;
    }
    if (!forward) return true;
    if (type == BackendType::notification_response && frame.state == FrameState::whole) readdress(backend, frame, body);
    if (type == BackendType::command_complete) {
        changes_.on_command_complete(frame.body);
        note_tag(frame.body);
    }
    if (type == BackendType::error_response && ledger_.replies().safe() && can_move_without(backend)) {
        forward = false;  // a server that was left says why it ends the session, which goes on without it
        return true;
    }
    if (type == BackendType::error_response) {
        protocol::ErrorFields fields;
        backend.said_fatal = !protocol::parse(frame.body, fields) && fields.fatal();
        // The answer to a cancel of the proxy's own is not the client's.
        if (!interrupting_) worker_.counters().query_errors[index(backend.side)].add();
    }
    if (type == BackendType::notice_response || !is_asynchronous(type))
        batch_answered_ = batch_answered_ || !keeping_back_;
    const protocol::Reply reply = ledger_.on_backend(frame);
    if (reply.to == protocol::ReplyTo::probe) forward = false;
    answered(reply, type);
    if (type == BackendType::copy_both_response && streams_replication()) set_busy(false);
    return true;
}

/// What of a transaction decides where it can go on.
void Session::note_tag(std::string_view tag) {
    const auto begins = [tag](std::string_view with) { return tag.starts_with(with); };
    if (begins("SELECT ")) {
        snapshot_ = true;
    } else if (begins("SAVEPOINT")) {
        savepoint_ = true;
    } else if (begins("NOTIFY") || begins("LISTEN") || begins("UNLISTEN")) {
        notifies_ = true;
    } else if (begins("BEGIN") || begins("START") || begins("COMMIT") || begins("ROLLBACK")) {
        snapshot_ = false;
    }
}

void Session::transaction_over() { savepoint_ = snapshot_ = notifies_ = owes_failure_ = made_read_only_ = false; }

void Session::answered(const protocol::Reply& reply, BackendType type) {
    const protocol::ReplyLedger& replies = ledger_.replies();
    if (type == BackendType::ready_for_query && reply.to != protocol::ReplyTo::probe) {
        ++queries_;
        const auto now = control::Clock::now();
        const auto took = std::chrono::duration_cast<control::Microseconds>(now - asked_);
        worker_.counters().query_took(current_->side, took);
        traffic_->queries.add();
        traffic_->query_microseconds.add(static_cast<std::uint64_t>(took.count()));
        asked_ = now;
        if (replies.status() == protocol::TransactionStatus::idle) transaction_ended(now);
        if (!replies.safe() && replies.ready_owed() == 0) set_phase(Phase::in_transaction);
    }
    if (replies.unsure()) probe_if_unsure();
    if (waiting_for_reply_ && (type == BackendType::ready_for_query || type == BackendType::copy_in_response ||
                               type == BackendType::copy_both_response)) {
        replied_.notify();
    }
}

/// Another one that was pipelined behind it begins now.
void Session::transaction_ended(control::Clock::time_point now) {
    const auto took = std::chrono::duration_cast<control::Microseconds>(now - std::exchange(began_, now));
    traffic_->transactions.add();
    traffic_->transaction_microseconds.add(static_cast<std::uint64_t>(took.count()));
}

/// A COPY failed after a Sync was forwarded inside it: how many ReadyForQuery will come is a matter of timing. Closing
/// a name that nobody uses, and a Sync, mark the end of the client's own replies.
void Session::probe_if_unsure() {
    protocol::ReplyLedger& replies = ledger_.replies();
    if (!replies.can_probe() || from_client_.mid_message()) return;
    replies.begin_probe();
    std::string probe;
    protocol::append(probe, protocol::Close{protocol::Target::statement, "turnout_probe"});
    protocol::append_sync(probe);
    send_to_server(probe);
    if (to_server_.empty()) return;
    boost::asio::co_spawn(
        worker_.context(), [self = shared_from_this()] { return self->flush_server(); }, boost::asio::detached);
}

void Session::collect(Backend& backend, const Frame& frame) {
    if (!backend.exchange->take(frame.type, frame.body)) return;
    std::exchange(backend.exchange, nullptr)->finished.notify();
}

/// A client tells its own notifications by the pid it was given. If somebody else on this server has that pid, the two
/// change places. `body` is a NotificationResponse's, which a hostile server may have cut short.
void Session::readdress(const Backend& backend, const Frame& frame, char* body) const {
    if (backend.pid == handed_out_pid_ || frame.body.size() < sizeof backend.pid) return;
    auto* pid = reinterpret_cast<unsigned char*>(body);
    const std::int32_t sender = boost::endian::load_big_s32(pid);
    if (sender == backend.pid) boost::endian::store_big_s32(pid, handed_out_pid_);
    if (sender == handed_out_pid_) boost::endian::store_big_s32(pid, backend.pid);
}

/// A message from a backend that is not (or not yet) the client's, or during a question: only notifications matter, and
/// on the armed one only those from after the gate's opening, which wait for the change-over.
void Session::watch(Backend& backend, const Frame& frame, char* body, std::string_view whole) {
    if (frame.type != static_cast<char>(BackendType::notification_response)) return;
    if (frame.state != FrameState::whole) return;
    readdress(backend, frame, body);
    if (&backend == armed_.get()) {
        const bool wanted = worker_.shared().gate.view().side == backend.side;
        if (wanted && may_keep(backend.kept_notifications.size(), whole)) backend.kept_notifications += whole;
    } else if (current_->scanner.mid_message()) {
        // never into the middle of a message
        if (may_keep(late_notifications_.size(), whole)) late_notifications_ += whole;
    } else if (!to_client_.empty()) {
        if (may_keep(to_client_.size(), whole)) to_client_.append(whole);
    } else {
        send_to_client(whole);
        flush_client_later();
    }
}

/// No notification is lost, but no server fills our memory with them either.
bool Session::may_keep(std::size_t waiting, std::string_view notification) {
    constexpr std::size_t kMost = std::size_t{16} * 1024 * 1024;
    if (waiting + notification.size() <= kMost) return true;
    end("54000", "too many notifications wait for this client", "Read them sooner, or connect again.");
    return false;
}

void Session::note_parameter(std::string_view name, std::string_view value) {
    if (name == "standard_conforming_strings") changes_.conforming_strings(value == "on");
}

void Session::backend_lost(const std::shared_ptr<Backend>& backend) {
    if (backend->exchange != nullptr) {
        backend->exchange->lost = true;
        std::exchange(backend->exchange, nullptr)->finished.notify();
    }
    if (backend == former_) former_.reset();
    if (backend == armed_) {
        armed_.reset();
        if (!closing_) worker_.arm_later(shared_from_this());
    }
    if (backend != current_ || closing_) return;
    replied_.notify();
    if (ended_by_client_) return;
    if (can_move_without(*backend)) return worker_.move_later(shared_from_this());
    // What was kept back because of a cancel is not run again after this: the client hears it.
    keeping_back_ = false;
    if (!kept_back_.empty()) send_to_client(std::exchange(kept_back_, {}));
    // A FATAL of the server's own has been forwarded as it was; where it said nothing, the proxy does.
    if (backend->said_fatal) return close();
    worker_.counters().query_errors[index(backend->side)].add();
    end("08006", fmt::format("the connection to the database server ({}) was lost", name(backend->side)),
        "What was under way may or may not have been committed. Connect again.");
}

// ------------------------------------------------------------------------------------------------------- to the client

/// Takes all of it; what the socket does not is sent when the client reads on, by read_backend(), which then reads no
/// more from the server, or by a flush of its own.
void Session::send_to_client(std::string_view bytes) {
    if (to_client_.empty()) {
        const Stream::Io io = client_.write(bytes.data(), bytes.size());
        if (io.status == Stream::Status::ok) bytes.remove_prefix(io.bytes);
        if (io.status == Stream::Status::closed || io.status == Stream::Status::failed) return;
    }
    to_client_.append(bytes);
}

/// Behind something that the proxy itself said: no more bytes of a server need come that would bring a flush.
void Session::flush_client_later() {
    if (to_client_.empty()) return;
    boost::asio::co_spawn(
        worker_.context(), [self = shared_from_this()] { return self->flush_client(); }, boost::asio::detached);
}

Task<bool> Session::flush_client() {
    while (!to_client_.empty()) {
        const Stream::Io io = client_.write(to_client_.front().data(), to_client_.size());
        if (io.status == Stream::Status::ok) {
            to_client_.pop(io.bytes);
            continue;
        }
        // A client that has gone: its server is still heard out, see outlive_client().
        if (io.status == Stream::Status::closed || io.status == Stream::Status::failed) break;
        const bool ready = co_await client_.wait(io.status);
        if (!ready) break;
    }
    to_client_.clear();
    co_return client_.open() || ended_by_client_;
}

/// Just before an answer, so that a pool that looks at idle sockets is not surprised.
void Session::tell_changed_parameters(const Backend& backend) {
    std::string changes;
    for (const auto& [name, value] : backend.parameters) {
        if (!told_.has(name, value)) protocol::append(changes, protocol::ParameterStatus{name, value});
    }
    told_ = backend.parameters;
    retell_ = false;
    if (!changes.empty()) send_to_client(changes);
}

}  // namespace turnout::proxy
