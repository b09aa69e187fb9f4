#include "protocol/replies.hpp"

#include <cassert>

namespace turnout::protocol {

bool ReplyLedger::ends_with_ready(Owed owed) noexcept {
    return owed == Owed::sync || owed == Owed::query || owed == Owed::function_call || owed == Owed::probe_sync;
}

bool ReplyLedger::is_extended(Owed owed) noexcept {
    switch (owed) {
        case Owed::parse:
        case Owed::bind:
        case Owed::describe_statement:
        case Owed::describe:
        case Owed::execute:
        case Owed::close:
        case Owed::probe_close: return true;
        default: return false;
    }
}

bool ReplyLedger::runs_commands(Owed owed) noexcept { return owed == Owed::execute || owed == Owed::query; }

bool ReplyLedger::is_sync(Owed owed) noexcept { return owed == Owed::sync || owed == Owed::probe_sync; }

ReplyTo ReplyLedger::meaning(Owed owed) noexcept {
    switch (owed) {
        case Owed::parse: return ReplyTo::parse;
        case Owed::bind: return ReplyTo::bind;
        case Owed::describe_statement:
        case Owed::describe: return ReplyTo::describe;
        case Owed::execute: return ReplyTo::execute;
        case Owed::close: return ReplyTo::close;
        case Owed::sync: return ReplyTo::sync;
        case Owed::query: return ReplyTo::query;
        case Owed::function_call: return ReplyTo::function_call;
        case Owed::probe_close:
        case Owed::probe_sync: return ReplyTo::probe;
        case Owed::copy_end:
        case Owed::struck: break;
    }
    return ReplyTo::nothing;
}

// ---- the ring

void ReplyLedger::grow() {
    constexpr std::size_t first_size = 16;
    std::vector<Owed> larger(ring_.empty() ? first_size : ring_.size() * 2);
    for (std::size_t i = 0; i < count_; ++i) larger[i] = at(i);
    ring_.swap(larger);
    head_ = 0;
}

std::uint64_t ReplyLedger::push(Owed owed) {
    if (count_ == ring_.size()) grow();
    at(count_++) = owed;
    if (ends_with_ready(owed)) ++ready_owed_;
    return next_position_++;
}

void ReplyLedger::pop() noexcept {
    if (ends_with_ready(at(0))) --ready_owed_;
    head_ = (head_ + 1) & (ring_.size() - 1);
    --count_;
}

void ReplyLedger::drop_ignored() noexcept {
    while (count_ > 0 && (at(0) == Owed::copy_end || at(0) == Owed::struck)) pop();
}

template <class Matching>
bool ReplyLedger::align(Matching matches) noexcept {
    const bool head_is_next = doubtful_syncs_ == 0 || doubtful_behind_head_;
    if (count_ > 0 && head_is_next && matches(at(0))) return true;
    return unsure_ && skip_to(matches);
}

bool ReplyLedger::skip_to(Matches matches) noexcept {
    std::size_t found = 0;
    while (found < count_ && !matches(at(found))) ++found;
    if (found == count_) return false;
    // The server has gone on to this answer: what stood before it will not be answered any more.
    doubtful_syncs_ = 0;
    doubtful_behind_head_ = false;
    while (found-- > 0) pop();
    return true;
}

Reply ReplyLedger::intermediate() const noexcept { return {.to = meaning(at(0)), .position = next_position_ - count_}; }

Reply ReplyLedger::finished() noexcept {
    Reply reply = intermediate();
    reply.last = true;
    pop();
    drop_ignored();
    settle();
    return reply;
}

Reply ReplyLedger::derail() noexcept {
    derailed_ = true;
    return {.to = ReplyTo::unexpected};
}

void ReplyLedger::settle() noexcept {
    // What is counted while unsure is the most that can come. If that is nothing, there is no doubt any more.
    if (unsure_ && count_ == 0 && doubtful_syncs_ == 0) unsure_ = false;
}

// ---- from the client

bool ReplyLedger::copy_swallows_syncs() const noexcept {
    return (copy_ == CopyState::in || copy_ == CopyState::both) && !copy_ended_ && !foreign_in_copy_;
}

void ReplyLedger::note_copy_end() {
    if (copy_swallows_syncs()) {
        copy_ended_ = true;
    } else if (count_ > 0) {
        // It may end a COPY whose CopyInResponse has not come yet.
        push(Owed::copy_end);
    }
}

std::uint64_t ReplyLedger::push_boundary(FrontendType type) {
    const bool sync = type == FrontendType::sync;
    if (sync && copy_swallows_syncs()) {
        ++syncs_in_copy_;
        return 0;
    }
    if (copy_swallows_syncs()) foreign_in_copy_ = true;
    if (skipping_ && !sync) return 0;
    skipping_ = false;
    batch_open_ = false;
    open_behind_copy_ = false;
    return push(sync ? Owed::sync : type == FrontendType::query ? Owed::query : Owed::function_call);
}

std::uint64_t ReplyLedger::on_frontend(FrontendType type, std::string_view body) {
    Owed owed = Owed::parse;
    switch (type) {
        case FrontendType::sync:
        case FrontendType::query:
        case FrontendType::function_call: return push_boundary(type);
        case FrontendType::copy_done:
        case FrontendType::copy_fail: note_copy_end(); return 0;
        case FrontendType::parse: break;
        case FrontendType::bind: owed = Owed::bind; break;
        case FrontendType::execute: owed = Owed::execute; break;
        case FrontendType::close: owed = Owed::close; break;
        case FrontendType::describe: owed = body.starts_with('S') ? Owed::describe_statement : Owed::describe; break;
        case FrontendType::copy_data:
        case FrontendType::flush:
        case FrontendType::terminate:
        case FrontendType::password: return 0;
    }
    if (copy_swallows_syncs()) foreign_in_copy_ = true;
    batch_open_ = true;
    open_behind_copy_ = true;
    return skipping_ ? 0 : push(owed);
}

// ---- from the server

template <class Matching>
Reply ReplyLedger::answer(Matching matches, bool last) {
    if (!align(matches)) return derail();
    return last ? finished() : intermediate();
}

Reply ReplyLedger::on_command_end() {
    if (!align(runs_commands)) return derail();
    end_copy(false);
    return at(0) == Owed::execute ? finished() : intermediate();
}

Reply ReplyLedger::on_backend(BackendType type, std::string_view body) {
    switch (type) {
        case BackendType::notice_response:
        case BackendType::parameter_status:
        case BackendType::notification_response: return {};
        case BackendType::parse_complete: return answer([](Owed owed) noexcept { return owed == Owed::parse; }, true);
        case BackendType::bind_complete: return answer([](Owed owed) noexcept { return owed == Owed::bind; }, true);
        case BackendType::close_complete:
            return answer([](Owed owed) noexcept { return owed == Owed::close || owed == Owed::probe_close; }, true);
        case BackendType::parameter_description: {
            const Reply reply = answer([](Owed owed) noexcept { return owed == Owed::describe_statement; }, false);
            if (reply.to == ReplyTo::describe) at(0) = Owed::describe;
            return reply;
        }
        case BackendType::no_data: return answer([](Owed owed) noexcept { return owed == Owed::describe; }, true);
        case BackendType::row_description: {
            const auto describes = [](Owed owed) noexcept { return owed == Owed::describe || owed == Owed::query; };
            if (!align(describes)) return derail();
            return at(0) == Owed::describe ? finished() : intermediate();
        }
        case BackendType::data_row:
        case BackendType::copy_data:
        case BackendType::copy_done: return answer(runs_commands, false);
        case BackendType::command_complete:
        case BackendType::empty_query_response:
        case BackendType::portal_suspended: return on_command_end();
        case BackendType::copy_in_response: return begin_copy(CopyState::in);
        case BackendType::copy_out_response: return begin_copy(CopyState::out);
        case BackendType::copy_both_response: return begin_copy(CopyState::both);
        case BackendType::function_call_response:
            return answer([](Owed owed) noexcept { return owed == Owed::function_call; }, false);
        case BackendType::ready_for_query: return on_ready(body);
        case BackendType::error_response: return on_error();
        case BackendType::authentication:
        case BackendType::backend_key_data:
        case BackendType::negotiate_protocol_version: return derail();
    }
    // A message of a newer server. It is carried; if it answered something, that answer is missed below and derails.
    return {};
}

Reply ReplyLedger::on_ready(std::string_view body) {
    const auto status = static_cast<TransactionStatus>(body.empty() ? '\0' : body.front());
    const bool known = status == TransactionStatus::idle || status == TransactionStatus::in_transaction ||
                       status == TransactionStatus::failed;
    if (!known) return derail();
    status_ = status;
    end_copy(false);
    ready_since_unsure_ = true;
    if (doubtful_syncs_ > 0 && !doubtful_behind_head_) {
        --doubtful_syncs_;
        settle();
        return {.to = ReplyTo::sync, .last = true};
    }
    if (count_ == 0) {
        // A message that owes nothing (CopyData outside of COPY) ran into a timeout: the server aborted and is ready.
        skipping_ = false;
        batch_open_ = false;
        return {};
    }
    if (at(0) == Owed::probe_sync) {
        probing_ = false;
        unsure_ = false;
        return finished();
    }
    const auto clients = [](Owed owed) noexcept { return ends_with_ready(owed) && owed != Owed::probe_sync; };
    if (!align(clients)) return derail();
    doubtful_behind_head_ = false;
    return finished();
}

bool ReplyLedger::only_head_is_owed() const noexcept {
    std::size_t i = 1;
    while (i < count_ && (at(i) == Owed::copy_end || at(i) == Owed::struck)) ++i;
    return count_ > 0 && i == count_ && doubtful_syncs_ == 0;
}

Reply ReplyLedger::on_error() {
    // While unsure the error may be a later message's than the first one here, and may or may not begin a skipping that
    // only a ReadyForQuery will show to be over. So nothing else is taken off then.
    const bool waits_for_doubtful = doubtful_syncs_ > 0 && !doubtful_behind_head_;
    const bool sure = !unsure_ || (!waits_for_doubtful && only_head_is_owed());
    if (!sure) ready_since_unsure_ = false;
    if (count_ == 0 || waits_for_doubtful) {
        // Inside an open batch a timeout can hit a Flush; the server then skips, as after any extended message.
        if (count_ == 0 && batch_open_ && sure) skipping_ = true;
        return {.failed = true};
    }
    const bool extended = is_extended(at(0));
    end_copy(true);
    Reply reply = intermediate();
    reply.failed = true;
    if (!extended) {
        doubtful_behind_head_ = doubtful_syncs_ > 0;
        return reply;
    }
    reply.last = true;
    pop();
    // With Syncs inside the failed COPY one of them may already have ended the skipping.
    if (sure && doubtful_syncs_ == 0) skip_to_sync();
    drop_ignored();
    settle();
    return reply;
}

void ReplyLedger::skip_to_sync() noexcept {
    while (count_ > 0 && !is_sync(at(0))) pop();
    if (count_ == 0) {
        skipping_ = true;
        batch_open_ = true;
    }
}

// ---- COPY

Reply ReplyLedger::begin_copy(CopyState copy) {
    if (!align(runs_commands)) return derail();
    copy_ = copy;
    copy_ended_ = false;
    foreign_in_copy_ = false;
    syncs_in_copy_ = 0;
    if (copy != CopyState::out) {
        enter_copy_in();
        // Sync that seemed to cover the batch is ignored by the COPY; only a later one can.
        open_behind_copy_ = (copy_ended_ || foreign_in_copy_) && batch_open_;
        if (at(0) == Owed::execute && ready_owed_ == 0) batch_open_ = true;
    }
    return intermediate();
}

void ReplyLedger::enter_copy_in() noexcept {
    // What was forwarded behind the command before the server said that it is a COPY is now read by the COPY.
    for (std::size_t i = 1; i < count_; ++i) {
        Owed& owed = at(i);
        if (owed == Owed::struck) continue;
        if (owed == Owed::sync) {
            ++syncs_in_copy_;
            --ready_owed_;
            owed = Owed::struck;
        } else if (owed == Owed::copy_end) {
            copy_ended_ = true;
            owed = Owed::struck;
            return;
        } else {
            foreign_in_copy_ = true;
            return;
        }
    }
}

void ReplyLedger::end_copy(bool failed) noexcept {
    if (copy_ == CopyState::none) return;
    // A message that has no place in a COPY ends it. Servers before 14 then read on behind it, later ones end the
    // session.
    const bool foreign_eaten = foreign_in_copy_ && at(0) == Owed::query;
    if (failed && copy_ != CopyState::out && (syncs_in_copy_ > 0 || foreign_eaten)) {
        unsure_ = true;
        ready_since_unsure_ = false;
        doubtful_syncs_ += syncs_in_copy_;
        // Whether or not the Syncs inside were read: a ReadyForQuery will close the batch that held the COPY.
        if (syncs_in_copy_ > 0) batch_open_ = open_behind_copy_;
    }
    copy_ = CopyState::none;
    copy_ended_ = false;
    foreign_in_copy_ = false;
    syncs_in_copy_ = 0;
}

// ---- what the relay asks

bool ReplyLedger::quiet() const noexcept {
    return count_ == 0 && doubtful_syncs_ == 0 && copy_ == CopyState::none && !unsure_ && !derailed_;
}

bool ReplyLedger::safe() const noexcept {
    return quiet() && status_ == TransactionStatus::idle && !batch_open_ && !skipping_;
}

bool ReplyLedger::would_end_batch(FrontendType type) const noexcept {
    if (copy_swallows_syncs()) return false;
    if (type == FrontendType::sync) return true;
    if (skipping_ || (unsure_ && !ready_since_unsure_)) return false;
    return type == FrontendType::query || type == FrontendType::function_call;
}

bool ReplyLedger::can_probe() const noexcept {
    if (!unsure_ || derailed_ || probing_ || !ready_since_unsure_) return false;
    if (batch_open_ || skipping_ || copy_ != CopyState::none) return false;
    for (std::size_t i = 0; i < count_; ++i) {
        const Owed owed = at(i);
        if (owed != Owed::sync && owed != Owed::struck && owed != Owed::copy_end) return false;
    }
    return true;
}

void ReplyLedger::begin_probe() {
    assert(can_probe());
    probing_ = true;
    push(Owed::probe_close);
    push(Owed::probe_sync);
}

void ReplyLedger::reset(TransactionStatus status) noexcept {
    const std::uint64_t next_position = next_position_;
    std::vector<Owed> ring = std::move(ring_);
    *this = ReplyLedger{};
    ring_ = std::move(ring);
    next_position_ = next_position;
    status_ = status;
}

}  // namespace turnout::protocol
