/// \file
/// The relay's one view of a session's conversation: replies owed and statements kept, in step.
#pragma once

#include "protocol/framing.hpp"
#include "protocol/replies.hpp"
#include "protocol/statements.hpp"

#include <string_view>

namespace turnout::protocol {

/// Owns the ReplyLedger and the StatementBook of one session and feeds both from one place. Call it once for every
/// message (Frame::starts()), in the order of forwarding. What the proxy sends to a backend on its own account, at a
/// safe point and with the answers swallowed, is not told to it; a probe is (ReplyLedger::begin_probe).
class SessionLedger {
  public:
    /// A client's message goes to the backend. `body` may be a prefix: then `whole` is false.
    void on_frontend(FrontendType type, std::string_view body, bool whole = true);
    /// The same for a frame that starts().
    void on_frontend(const Frame& frame);

    /// The backend has sent a message; tells what it answers.
    Reply on_backend(BackendType type, std::string_view body);
    /// The same for a frame that starts().
    Reply on_backend(const Frame& frame);

    [[nodiscard]] const ReplyLedger& replies() const noexcept { return replies_; }
    /// For begin_probe() and for reset() after a move.
    [[nodiscard]] ReplyLedger& replies() noexcept { return replies_; }
    [[nodiscard]] const StatementBook& statements() const noexcept { return statements_; }
    /// For reconcile(), remember() and forget().
    [[nodiscard]] StatementBook& statements() noexcept { return statements_; }

  private:
    ReplyLedger replies_;
    StatementBook statements_;
};

}  // namespace turnout::protocol
