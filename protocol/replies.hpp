/// \file
/// Which replies a server still owes, and with that the safe point.
///
/// The rules are those of PostgreSQL's main loop, checked against real servers by tests/protocol:
/// - Parse, Bind, Describe, Execute and Close owe one answer each; Query, FunctionCall and Sync owe a ReadyForQuery.
/// - An error while one of the first five is processed makes the server skip everything up to the next Sync, Query and
///   FunctionCall included: none of what is skipped is answered. An error in Query, FunctionCall or a Sync's own commit
///   skips nothing.
/// - Flush owes nothing. CopyData, CopyDone and CopyFail owe nothing and are ignored outside of COPY.
/// - While COPY FROM STDIN lives the server ignores Sync and Flush. If it fails, the server may or may not have read
/// the
///   Syncs inside it: then more ReadyForQuery may come than are certain. The ledger keeps the largest number possible
///   and is `unsure()` until a later reply, or a probe, shows where the server stands.
#pragma once

#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace turnout::protocol {

/// What a message from the server answered.
enum class ReplyTo : std::uint8_t {
    nothing,  ///< asynchronous: notice, notification, parameter, or an error that answers no message (a FATAL)
    parse,
    bind,
    close,
    describe,
    execute,
    sync,
    query,
    function_call,
    probe,       ///< our own begin_probe(): must not reach the client
    unexpected,  ///< the server must not send this here
};

/// The meaning of one message from the server.
struct Reply {
    ReplyTo to = ReplyTo::nothing;
    bool last = false;    ///< nothing more will come for that message
    bool failed = false;  ///< it is the ErrorResponse of that message
    std::uint64_t position =
        0;  ///< number of the client's message, as on_frontend() gave it; 0 if `to` is nothing or unexpected
};

/// Which COPY is under way.
enum class CopyState : std::uint8_t { none, in, out, both };

/// The replies owed by one backend to one session. Pure and cheap: amortised constant time a message, one byte of
/// memory for each message that is not answered, no allocation in steady state.
class ReplyLedger {
  public:
    ReplyLedger() = default;

    /// A client's message is being forwarded; call it when its first byte goes out. `body` may be a prefix; only
    /// Describe's first byte is looked at. Returns the message's position (from 1, rising), or 0 if it owes nothing.
    std::uint64_t on_frontend(FrontendType type, std::string_view body = {});

    /// The server has sent a message. Only ReadyForQuery's body is read.
    Reply on_backend(BackendType type, std::string_view body = {});

    /// The safe point: everything forwarded is covered by a later ReadyForQuery that said `I`; nothing is owed, no
    /// COPY.
    [[nodiscard]] bool safe() const noexcept;
    /// Nothing is owed, whatever the transaction's status; an extended batch may still be open.
    [[nodiscard]] bool quiet() const noexcept;
    /// What the last ReadyForQuery said.
    [[nodiscard]] TransactionStatus status() const noexcept { return status_; }
    /// Number of ReadyForQuery owed (while unsure: at most).
    [[nodiscard]] std::size_t ready_owed() const noexcept { return ready_owed_ + doubtful_syncs_; }
    /// The COPY under way, as far as the server has said.
    [[nodiscard]] CopyState copy() const noexcept { return copy_; }
    /// A COPY from the client lives and its end has not been forwarded yet: it must be fed.
    [[nodiscard]] bool wants_copy_data() const noexcept { return copy_swallows_syncs(); }
    /// Whether extended messages have been forwarded that no Sync covers yet: an implicit transaction may be open.
    [[nodiscard]] bool batch_open() const noexcept { return batch_open_; }
    /// Whether the server is known to skip everything up to a Sync that the client has not sent yet.
    [[nodiscard]] bool skipping() const noexcept { return skipping_; }

    /// At a closed gate a session that is not safe is let on up to and including such a message: Sync, Query,
    /// FunctionCall. While the server skips, only Sync; while COPY FROM STDIN lives, none.
    [[nodiscard]] bool would_end_batch(FrontendType type) const noexcept;

    /// The number of replies owed is not certain; see the file's comment.
    [[nodiscard]] bool unsure() const noexcept { return unsure_; }
    /// Whether a probe would be harmless and would settle it: nothing but ReadyForQuery can be owed, the server reads
    /// commands, no batch is open, no probe is under way.
    [[nodiscard]] bool can_probe() const noexcept;
    /// To be called when Close (of a statement name nobody uses) and Sync are sent by ourselves; needs can_probe().
    /// Their replies come back as ReplyTo::probe; the last of them ends unsure().
    void begin_probe();
    /// Whether a probe is on its way.
    [[nodiscard]] bool probing() const noexcept { return probing_; }
    /// The server has sent what it must not send here: nothing can be known any more, the session is never safe.
    [[nodiscard]] bool derailed() const noexcept { return derailed_; }

    /// A fresh backend has said its first ReadyForQuery: nothing is owed, `status`. Positions go on rising.
    void reset(TransactionStatus status = TransactionStatus::idle) noexcept;

  private:
    enum class Owed : std::uint8_t {
        parse,
        bind,
        describe_statement,  // its ParameterDescription is still to come
        describe,            // a portal, or a statement whose ParameterDescription has come
        execute,
        close,
        sync,
        query,
        function_call,
        copy_end,  // CopyDone or CopyFail that may belong to a COPY or be ignored
        struck,    // was owed, is not any more
        probe_close,
        probe_sync,
    };
    using Matches = bool (*)(Owed) noexcept;

    static bool ends_with_ready(Owed owed) noexcept;
    static bool is_extended(Owed owed) noexcept;
    static bool runs_commands(Owed owed) noexcept;
    static bool is_sync(Owed owed) noexcept;
    static ReplyTo meaning(Owed owed) noexcept;

    std::uint64_t push(Owed owed);
    void pop() noexcept;
    void drop_ignored() noexcept;
    void grow();
    [[nodiscard]] Owed& at(std::size_t index) noexcept { return ring_[(head_ + index) & (ring_.size() - 1)]; }
    [[nodiscard]] Owed at(std::size_t index) const noexcept { return ring_[(head_ + index) & (ring_.size() - 1)]; }
    template <class Matching>
    [[nodiscard]] bool align(Matching matches) noexcept;
    [[nodiscard]] bool skip_to(Matches matches) noexcept;
    [[nodiscard]] Reply intermediate() const noexcept;
    [[nodiscard]] Reply finished() noexcept;
    [[nodiscard]] Reply derail() noexcept;

    [[nodiscard]] bool copy_swallows_syncs() const noexcept;
    std::uint64_t push_boundary(FrontendType type);
    void note_copy_end();
    template <class Matching>
    Reply answer(Matching matches, bool last);
    Reply on_command_end();
    Reply on_ready(std::string_view body);
    Reply on_error();
    Reply begin_copy(CopyState copy);
    void enter_copy_in() noexcept;
    void end_copy(bool failed) noexcept;
    [[nodiscard]] bool only_head_is_owed() const noexcept;
    void skip_to_sync() noexcept;
    void settle() noexcept;

    std::vector<Owed> ring_;  // its size is a power of two
    std::size_t head_ = 0;
    std::size_t count_ = 0;
    std::size_t ready_owed_ = 0;  // entries of the ring that end with a ReadyForQuery
    std::uint64_t next_position_ = 1;
    std::size_t syncs_in_copy_ = 0;   // Syncs that the living COPY will ignore, if it does not fail first
    std::size_t doubtful_syncs_ = 0;  // ReadyForQuery that may come before (or, by the next flag, behind) the head's
    bool doubtful_behind_head_ = false;
    TransactionStatus status_ = TransactionStatus::idle;
    CopyState copy_ = CopyState::none;
    bool copy_ended_ = false;       // CopyDone or CopyFail of the living COPY has been forwarded
    bool foreign_in_copy_ = false;  // something that has no place in a COPY was forwarded into it
    bool batch_open_ = false;
    bool open_behind_copy_ = false;  // the same, of what was forwarded behind the COPY's end only
    bool skipping_ = false;
    bool unsure_ = false;
    bool ready_since_unsure_ = false;
    bool probing_ = false;
    bool derailed_ = false;
};

}  // namespace turnout::protocol
