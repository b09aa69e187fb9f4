/// \file
/// Which replies a server still owes, and with that the safe point.
///
/// The rules are those of PostgreSQL's main loop, checked against real servers by tests/protocol:
/// - Parse, Bind, Describe, Execute and Close owe one answer each; Query, FunctionCall and Sync owe a ReadyForQuery.
/// - An error while one of the first five is processed makes the server skip everything up to the next Sync, Query and
///   FunctionCall included: none of what is skipped is answered. An error in Query, FunctionCall or a Sync's own commit
///   skips nothing.
/// - Flush owes nothing. CopyData, CopyDone and CopyFail owe nothing and are ignored outside of COPY.
/// - While COPY FROM STDIN lives the server ignores Sync and Flush. If it fails, the server may or may not have read the
///   Syncs inside it: then more ReadyForQuery may come than are certain. The ledger keeps the largest number possible and
///   is `unsure()` until a later reply, or a probe, shows where the server stands.
#pragma once

#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace turnout::protocol {

/// What a message from the server answered.
enum class ReplyTo : std::uint8_t {
  nothing,        ///< asynchronous: notice, notification, parameter, or an error nobody asked for (a FATAL)
  parse,
  bind,
  close,
  describe,
  execute,
  sync,
  query,
  function_call,
  probe,          ///< our own begin_probe(): must not reach the client
  unexpected,     ///< the server must not send this here
};

/// The meaning of one message from the server.
struct Reply {
  ReplyTo to = ReplyTo::nothing;
  bool last = false;           ///< nothing more will come for that message
  bool failed = false;         ///< it is the ErrorResponse of that message
  std::uint64_t position = 0;  ///< number of the client's message, as on_frontend() gave it; 0 if `to` is nothing or unexpected
};

/// Which COPY is under way.
enum class CopyState : std::uint8_t { none, in, out, both };

/// The replies owed by one backend to one session. Pure and cheap: amortised constant time a message, one byte of memory
/// for each message that is not answered, no allocation in steady state.
class ReplyLedger {
 public:
  ReplyLedger() = default;

  /// A client's message is being forwarded; call it when its first byte goes out. `body` may be a prefix; only Describe's
  /// first byte is looked at. Returns the message's position (from 1, rising), or 0 if it owes nothing.
  std::uint64_t on_frontend(FrontendType type, std::string_view body = {});

  /// The server has sent a message. `body` may be a prefix. ReadyForQuery's first byte and an error's SQLSTATE are read.
  Reply on_backend(BackendType type, std::string_view body = {});

  /// The safe point: everything forwarded is covered by a later ReadyForQuery that said `I`; nothing is owed, no COPY.
  [[nodiscard]] bool safe() const noexcept;
  /// Nothing is owed, whatever the transaction's status; an extended batch may still be open.
  [[nodiscard]] bool quiet() const noexcept;
  /// What the last ReadyForQuery said.
  [[nodiscard]] TransactionStatus status() const noexcept { return status_; }
  /// Number of ReadyForQuery owed (while unsure: at most).
  [[nodiscard]] std::size_t ready_owed() const noexcept { return ready_owed_; }
  /// Number of replies owed (while unsure: at most).
  [[nodiscard]] std::size_t owed() const noexcept { return count_; }
  /// The COPY under way, as far as the server has said.
  [[nodiscard]] CopyState copy() const noexcept { return copy_; }
  /// Whether extended messages have been forwarded that no Sync covers yet: an implicit transaction may be open.
  [[nodiscard]] bool batch_open() const noexcept { return batch_open_; }
  /// Whether the server is known to skip everything up to a Sync that the client has not sent yet.
  [[nodiscard]] bool skipping() const noexcept { return skipping_; }

  /// At a closed gate a session that is not safe is let on up to and including such a message: Sync, Query, FunctionCall.
  /// While the server skips, only Sync; while COPY FROM STDIN lives, none.
  [[nodiscard]] bool would_end_batch(FrontendType type) const noexcept;

  /// The number of replies owed is not certain; see the file's comment.
  [[nodiscard]] bool unsure() const noexcept { return unsure_; }
  /// Whether a probe would be harmless and would settle it: nothing but ReadyForQuery can be owed, the server reads
  /// commands, no batch is open, no probe is under way.
  [[nodiscard]] bool can_probe() const noexcept;
  /// To be called when Close (of a statement name nobody uses) and Sync are sent by ourselves; needs can_probe(). Their
  /// replies come back as ReplyTo::probe; the last of them ends unsure().
  void begin_probe();
  /// Whether a probe is on its way.
  [[nodiscard]] bool probing() const noexcept { return probing_; }

  /// A fresh backend has said its first ReadyForQuery: nothing is owed, `status`. Positions go on rising.
  void reset(TransactionStatus status = TransactionStatus::idle) noexcept;

 private:
  enum class Owed : std::uint8_t;

  std::uint64_t push(Owed owed);
  void pop() noexcept;
  void pop_stray_copy_ends() noexcept;
  void insert_doubtful_syncs(bool behind_head);
  [[nodiscard]] Owed& at(std::size_t index) noexcept;
  [[nodiscard]] Owed front() const noexcept;
  [[nodiscard]] std::uint64_t front_position() const noexcept { return next_position_ - count_; }
  [[nodiscard]] bool head_is(Owed owed) const noexcept;
  [[nodiscard]] Reply step(ReplyTo to, bool last) noexcept;
  [[nodiscard]] Reply complete(Owed owed, ReplyTo to);
  [[nodiscard]] bool align(bool (*matches)(Owed)) noexcept;
  Reply on_result(BackendType type);
  Reply on_description(BackendType type);
  Reply on_copy_begins(CopyState copy);
  Reply on_ready(std::string_view body);
  Reply on_error(std::string_view body);
  void enter_copy_in();
  void skip_to_sync() noexcept;

  std::vector<Owed> ring_;            // capacity is a power of two
  std::size_t head_ = 0;
  std::size_t count_ = 0;
  std::size_t ready_owed_ = 0;
  std::uint64_t next_position_ = 1;
  std::uint32_t syncs_in_copy_ = 0;   // Syncs the server may have ignored in the COPY that lives
  TransactionStatus status_ = TransactionStatus::idle;
  CopyState copy_ = CopyState::none;
  bool copy_ended_ = false;           // CopyDone or CopyFail of the COPY that lives has been forwarded
  bool foreign_in_copy_ = false;      // something that has no place in a COPY was forwarded into it
  bool batch_open_ = false;
  bool skipping_ = false;
  bool fresh_after_wait_ = false;     // the head was forwarded while the server waited inside an open batch
  bool unsure_ = false;
  bool ready_since_unsure_ = false;
  bool probing_ = false;
};

}  // namespace turnout::protocol
