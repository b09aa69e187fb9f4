/// \file
/// What a client has said between two ReadyForQuery, as far as it matters for saying it again elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/statements.hpp"

namespace turnout::protocol {

/// The messages forwarded since the server last owed nothing, byte by byte, up to a limit: whoever says more in one
/// batch is not understood.
class Batch {
  public:
    /// More than this is not kept, in bytes.
    static constexpr std::size_t limit = 64 * 1024;

    /// A new batch begins.
    void clear() noexcept;
    /// A whole message goes on.
    void add(std::string_view message);
    /// Something goes on that was not kept.
    void lose() noexcept { whole_ = false; }

    /// The messages, or nothing if not all of them were kept.
    [[nodiscard]] std::string_view bytes() const noexcept {
        return whole_ ? std::string_view(bytes_) : std::string_view();
    }

  private:
    std::string bytes_;
    bool whole_ = true;
};

/// A batch that is one command.
struct OneCommand {
    std::string text;        ///< SQL; empty if the batch is not one command, or its text is not known
    std::string first_word;  ///< of the text, in lower case
    /// The values of $1, $2, …: nothing for one that is no integer.
    std::vector<std::optional<std::int64_t>> integers;
};

/// Reads a batch that is complete: one Query, or [Parse of the unnamed statement] Bind, [Describe], Execute without a
/// limit, [Close], Sync. The text of a statement made earlier is looked up in `book`.
[[nodiscard]] OneCommand read_one_command(std::string_view bytes, const StatementBook& book);

/// Whether a command that failed as a whole (an ErrorResponse came for it, outside of a transaction block) has
/// certainly left nothing behind: SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE or WITH. CALL and DO may commit
/// inside; CREATE INDEX CONCURRENTLY and its like leave something.
[[nodiscard]] bool leaves_nothing_when_cancelled(const OneCommand& command) noexcept;

/// A call of pg_advisory_lock or pg_advisory_lock_shared.
struct LockCall {
    std::vector<std::int64_t> keys;  ///< one bigint, or two int
    bool shared = false;
};

/// The lock for which a command waits, if it is `SELECT pg_advisory_lock(…)` or its shared form and nothing else, with
/// integers and parameters for arguments: then it takes at most that one. Nothing for all others.
[[nodiscard]] std::optional<LockCall> lock_it_waits_for(const OneCommand& command);

}  // namespace turnout::protocol
