// A session's way from the client to the server.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>

#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"
#include "protocol/frontend_messages.hpp"
#include "proxy/session.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {

using protocol::Frame;
using protocol::FrameState;
using protocol::FrontendType;

namespace {

void append_cancelled(std::string& out) {
    out += protocol::make_error(protocol::Severity::error, "57014", "canceling statement due to user request");
}

}  // namespace

Task<void> Session::pump_client() {
    Stream::Status status = Stream::Status::want_read;
    const Stream::Reader reader = [&] {
        status = take_from_client();
        return status == Stream::Status::want_read && inbox_.empty() && to_server_.empty();
    };
    while (!closing_ && status != Stream::Status::closed && status != Stream::Status::failed) {
        bool go_on = true;
        if (!inbox_.empty() || !to_server_.empty()) {  // or a statement that was cancelled, to be run again
            go_on = co_await work_off_inbox();
        } else if (status == Stream::Status::want_write) {
            status = Stream::Status::want_read;
            go_on = co_await client_.wait(Stream::Status::want_write);
        } else {
            go_on = co_await client_.read_by(reader);
        }
        if (!go_on) co_return;
    }
    if (status == Stream::Status::failed) client_.close();  // nobody is there to hear an answer
}

/// One read, sent on as far as it may go; what must wait goes into the inbox. Says what to wait for before the next
/// one.
Stream::Status Session::take_from_client() {
    std::vector<char>& buffer = worker_.buffer();
    const Stream::Io io = client_.read(buffer.data() + stash_.size(), Worker::kReadSize);
    if (io.status != Stream::Status::ok) return io.status;
    traffic_->client_bytes.add(io.bytes);
    const std::string_view bytes(buffer.data(), stash_.size() + io.bytes);
    if (!stash_.empty()) {
        std::memcpy(buffer.data(), stash_.data(), stash_.size());
        std::string().swap(stash_);
    }
    const std::string_view rest = forward(bytes);
    if (ended_by_client_ || closing_) return Stream::Status::closed;
    if (!rest.empty()) inbox_.assign(rest);
    return Stream::Status::want_read;
}

/// Forwards what had to wait, and what a full socket did not take. False: the session is over.
Task<bool> Session::work_off_inbox() {
    while (!closing_) {
        if (!to_server_.empty()) {
            const bool ok = co_await flush_server();
            if (!ok) co_return false;
            continue;
        }
        if (inbox_.empty()) break;
        const Hold hold = from_client_.mid_message() ? Hold::no : hold_back(inbox_.front());
        if (hold == Hold::gate) {
            const bool may = co_await wait_for_permission();
            if (!may) co_return false;
        } else if (hold == Hold::reply) {
            waiting_for_reply_ = true;
            co_await replied_.wait();
            waiting_for_reply_ = false;
        } else {
            unnamed_passed_over_ = false;
            const std::string_view rest = forward(inbox_);
            if (ended_by_client_) co_return false;
            inbox_.erase(0, inbox_.size() - rest.size());
        }
    }
    std::string().swap(inbox_);
    co_return !closing_;
}

/// Whether a message of this type, the next one, may not go on now.
Session::Hold Session::hold_back(char type) const {
    const auto frontend = static_cast<FrontendType>(type);
    if (frontend == FrontendType::terminate || skip_to_sync_ || streams_replication()) return Hold::no;
    if (interrupting_ || looking_) return Hold::gate;
    const Gate::View gate = worker_.shared().gate.view();
    const protocol::ReplyLedger& replies = ledger_.replies();
    if (!busy_ || asking_) {
        return gate.lets_pass() && gate.side == current_->side && !asking_ ? Hold::no : Hold::gate;
    }
    if (stays_behind_) return replies.ready_owed() > 0 && !replies.wants_copy_data() ? Hold::reply : Hold::no;
    if (gate.lets_pass()) return Hold::no;
    // Closed, and not at a safe point: on to the next ReadyForQuery, then decide anew. A living COPY must be fed.
    return replies.ready_owed() > 0 && !replies.wants_copy_data() ? Hold::reply : Hold::no;
}

/// Sends on as many messages as may go now; what is returned may not, or not yet. The tail of an incomplete message
/// goes into the stash.
std::string_view Session::forward(std::string_view bytes) {
    const auto refused = static_cast<std::size_t>(std::min<std::uint64_t>(drop_, bytes.size()));
    drop_ -= refused;
    bytes.remove_prefix(refused);
    std::string_view rest = bytes;
    const char* unsent = bytes.data();
    const auto send_up_to = [&](const char* end) {
        if (end > unsent) send_to_server({unsent, static_cast<std::size_t>(end - unsent)});
        unsent = end;
    };
    while (!rest.empty()) {
        if (!from_client_.mid_message() && hold_back(rest.front()) != Hold::no) break;
        const Frame frame = from_client_.next(rest);
        if (frame.state == FrameState::incomplete) {
            send_up_to(rest.data());
            stash_.assign(rest);
            return {};
        }
        if (frame.state == FrameState::broken) {
            spdlog::warn("session {} from {}: {}", id_, address_, frame.error);
            send_up_to(rest.data());
            // What was forwarded before may still commit: the session ends, and its backend is heard out.
            send_fatal("08P01", frame.error, "The client and the proxy do not agree on the protocol: connect again.");
            client_.close();
            ended_by_client_ = true;
            return {};
        }
        const auto type = static_cast<FrontendType>(frame.type);
        if (type == FrontendType::terminate) {
            send_up_to(rest.data());
            ended_by_client_ = true;
            return {};
        }
        if (skip_to_sync_) {
            // The proxy has answered for this batch itself.
            send_up_to(rest.data());
            rest.remove_prefix(frame.size);
            unsent = rest.data();
            if (type == FrontendType::sync && frame.finished) {
                skip_to_sync_ = false;
                std::string ready;
                protocol::append(ready, protocol::ReadyForQuery{ledger_.replies().status()});
                send_to_client(ready);
                flush_client_later();
            }
            continue;
        }
        if (drop_message_ || (owes_failure_ && frame.starts() && refuse_in_ended_transaction(frame))) {
            drop_message_ = drop_message_ && !frame.finished;
            send_up_to(rest.data());
            rest.remove_prefix(frame.size);
            unsent = rest.data();
            continue;
        }
        if (stays_behind_ && frame.starts() && !may_go_behind(frame)) {
            send_up_to(rest.data());
            rest.remove_prefix(frame.size);
            unsent = rest.data();
            refuse_behind(frame);
            continue;
        }
        if (frame.starts()) note_frontend(frame);
        std::size_t size = frame.size;
        // Data like this changes nothing more.
        if (frame.finished && !owes_failure_ && !stays_behind_)
            size += from_client_.run_of(frame.type, rest.substr(size));
        if (frame.starts() && frame.finished) {
            batch_.add(rest.substr(0, size));
        } else {
            batch_.lose();
        }
        rest.remove_prefix(size);
    }
    send_up_to(rest.data());
    return rest;
}

void Session::note_frontend(const Frame& frame) {
    const protocol::ReplyLedger& replies = ledger_.replies();
    const bool was_quiet = replies.ready_owed() == 0;
    if (replies.quiet() && !replies.batch_open()) {
        if (armed_) note_used();
        batch_.clear();
        batch_from_idle_ = replies.safe();
        batch_answered_ = false;
        batch_locks_certain_ = !holdings_uncertain();
        aside_ = Aside::none;
    }
    if (frame.type == static_cast<char>(FrontendType::parse)) traffic_->parses.add();
    if (frame.type == static_cast<char>(FrontendType::bind)) traffic_->binds.add();
    changes_.on_frontend(static_cast<FrontendType>(frame.type), frame.body, frame.state == FrameState::whole);
    ledger_.on_frontend(frame);
    spoke_ = true;
    if (busy_ || replies.safe() || streams_replication()) return;
    set_busy(true);
    set_phase(Phase::active);
    const auto now = control::Clock::now();
    transaction_ = began_ = now;
    if (was_quiet) asked_ = now;
}

void Session::send_to_server(std::string_view bytes) {
    if (to_server_.empty()) {
        const Stream::Io io = current_->stream->write(bytes.data(), bytes.size());
        if (io.status == Stream::Status::ok) bytes.remove_prefix(io.bytes);
    }
    to_server_.append(bytes);
}

Task<bool> Session::flush_server() {
    auto backend = current_;
    while (!to_server_.empty()) {
        const Stream::Io io = backend->stream->write(to_server_.front().data(), to_server_.size());
        if (io.status == Stream::Status::ok) {
            to_server_.pop(io.bytes);
            continue;
        }
        if (io.status == Stream::Status::closed || io.status == Stream::Status::failed) co_return false;
        const bool ready = co_await backend->stream->wait(io.status);
        if (!ready) co_return false;
    }
    co_return true;
}

/// Waits until a transaction may begin, on the side that is active then, moving there if need be. False: the session is
/// over.
Task<bool> Session::wait_for_permission() {
    const auto since = control::Clock::now();
    const Phase before = phase_;
    bool stalled = false;
    bool waited = false;
    while (!closing_ && !hung_up_) {
        if (current_ && (inbox_.empty() || skip_to_sync_)) break;  // what was held has been cancelled
        const Gate::View gate = worker_.shared().gate.view();
        // Its worker may not have been told yet.
        if (gate.lets_pass() && current_ && current_->side != gate.side) stay_behind();
        waited |= !stays_behind_ && (!gate.lets_pass() || (current_ && current_->side != gate.side));
        if (stays_behind_) {
            if (!asking_ && !looking_ && !interrupting_) break;
            co_await may_go_on_.wait();
        } else if (!gate.lets_pass()) {
            stalled |= gate.state != Gate::State::open;
            set_phase(before == Phase::login ? before : Phase::held);
            worker_.hold(shared_from_this());
            co_await may_go_on_.wait();
        } else if (asking_ || looking_ || interrupting_ || (task_ && current_ && current_->side != gate.side)) {
            co_await may_go_on_.wait();
        } else if (current_ && current_->side != gate.side) {
            stalled = true;
            const bool moved = co_await move_or_end(gate.side);
            if (!moved) break;
        } else {
            break;
        }
    }
    const auto wait = std::chrono::duration_cast<control::Microseconds>(control::Clock::now() - since);
    if (stalled && !closing_) {
        worker_.went_on(held_in_, wait);
    }
    if (waited && traffic_ != nullptr) traffic_->wait_microseconds.add(static_cast<std::uint64_t>(wait.count()));
    set_phase(before);
    co_return !closing_ && !hung_up_;
}

/// The client waits with a message that ends the unnamed statement, so that this need not be carried.
bool Session::next_ends_unnamed() const {
    if (aside_ != Aside::none || skip_to_sync_ || from_client_.mid_message()) return false;
    protocol::FrameScanner scanner(protocol::Stream::frontend);
    const Frame frame = scanner.next(inbox_);
    return frame.state == FrameState::whole && ends_unnamed(static_cast<FrontendType>(frame.type), frame.body);
}

/// The client cancels a statement that is held: the proxy answers, the server never hears of it. True: done.
bool Session::refuse_held_statement() {
    const bool not_held = (busy_ && !asking_) || aside_ != Aside::none || interrupting_ || unnamed_passed_over_;
    if (not_held || from_client_.mid_message()) return false;
    std::string answer;
    bool found = false;
    while (!found && !inbox_.empty()) {
        // The statement may be larger than what has come of it: its header suffices.
        protocol::FrameScanner scanner(protocol::Stream::frontend, protocol::header_size);
        const Frame frame = scanner.next(inbox_);
        if (!frame.starts()) break;
        switch (static_cast<FrontendType>(frame.type)) {
            case FrontendType::query:
            case FrontendType::function_call:
                append_cancelled(answer);
                protocol::append(answer, protocol::ReadyForQuery{protocol::TransactionStatus::idle});
                found = true;
                break;
            case FrontendType::parse:
            case FrontendType::bind:
            case FrontendType::describe:
            case FrontendType::execute:
            case FrontendType::close:
                append_cancelled(answer);
                skip_to_sync_ = true;
                found = true;
                break;
            // At a safe point a server would do no more than this.
            case FrontendType::sync:
                protocol::append(answer, protocol::ReadyForQuery{protocol::TransactionStatus::idle});
                break;
            default: break;
        }
        const std::uint64_t here = std::min<std::uint64_t>(frame.message, inbox_.size());
        inbox_.erase(0, static_cast<std::size_t>(here));
        drop_ = frame.message - here;
    }
    if (answer.empty()) return false;
    send_to_client(answer);
    flush_client_later();
    if (inbox_.empty()) set_phase(Phase::idle);
    wake();
    return found;
}

}  // namespace turnout::proxy
