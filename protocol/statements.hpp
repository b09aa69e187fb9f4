/// \file
/// The protocol-level prepared statements that a session has on its backend: what must be parsed again when it moves.
#pragma once

#include "protocol/replies.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::protocol {

/// Whether a server that is in no error ends the unnamed statement for this message first of all, whatever becomes of
/// the message: a Query, or a Parse of the unnamed statement (postgres.c, exec_simple_query and exec_parse_message). A
/// malformed one ends nothing. `body` is whole.
[[nodiscard]] bool ends_unnamed(FrontendType type, std::string_view body) noexcept;

/// A statement that lives on the backend.
struct LiveStatement {
    std::string parse;       ///< the body of its Parse message; empty if it was too large to be kept
    bool keepable = true;    ///< false: too large, or made by nobody we saw; the session cannot carry it
    std::uint64_t born = 0;  ///< epoch of its making
};

/// What has to be done on a backend that knows the statements of an earlier epoch.
struct StatementDifference {
    std::vector<std::string_view> close;  ///< names to close first; views of the book
    std::vector<std::string_view>
        parse;                           ///< Parse bodies to send then, in the order of their making; views of the book
    std::vector<std::string_view> lost;  ///< names of live statements that were not kept
};

/// Follows the prepared statements of one session by what is forwarded and what is answered. Named statements do not
/// follow transactions: a ROLLBACK keeps them. Statements made by SQL (PREPARE) are not here; the server lists those.
///
/// Rules: ParseComplete makes a statement live; a failed Parse of the unnamed statement ends the unnamed one, unless
/// the message itself was malformed; CloseComplete and DEALLOCATE ALL / DISCARD ALL end statements, the latter two not
/// the unnamed one; a Query that the server has looked at ends the unnamed one; what the server skips does nothing.
class StatementBook {
  public:
    /// Larger Parse messages are not kept, in bytes.
    static constexpr std::size_t default_statement_limit = 64 * 1024;
    /// All kept Parse bodies together may not be larger than this, in bytes.
    static constexpr std::size_t default_total_limit = 16 * 1024 * 1024;

    explicit StatementBook(std::size_t statement_limit = default_statement_limit,
                           std::size_t total_limit = default_total_limit) noexcept;

    /// A Parse, Close or Query has been forwarded and got this position. `whole` is false if `body` is only a prefix.
    void on_frontend(FrontendType type, std::string_view body, bool whole, std::uint64_t position);
    /// A reply came. `certain` is false if the ledger was unsure: then the server must be asked.
    void on_reply(const Reply& reply, BackendType type, std::string_view body, bool certain);

    /// Whether the names are not certain: a DEALLOCATE was seen, or replies were unsure. Ask the server for the names
    /// in pg_prepared_statements where not from_sql, and reconcile().
    [[nodiscard]] bool doubtful() const noexcept { return doubtful_; }
    /// The server has told all names that were prepared by the protocol. Others end; unknown ones become unkeepable.
    void reconcile(const std::vector<std::string>& names);

    /// Rises with every change of the live statements.
    [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
    /// From now on differences to this epoch can be asked; an earlier promise is dropped. Returns epoch().
    std::uint64_t remember();
    /// No differences will be asked; frees what was remembered for them.
    void forget() noexcept;
    /// What to do on a backend that was brought to `epoch`: 0 (a fresh backend), or what remember() gave last.
    /// Views are valid until the next change.
    [[nodiscard]] StatementDifference since(std::uint64_t epoch) const;

    /// What the client says next ends the unnamed statement (ends_unnamed()): nobody has to bring it to a backend, nor
    /// to close it on one that has it from before.
    void pass_over_unnamed();

    /// Live statements by name; "" is the unnamed one.
    [[nodiscard]] const std::map<std::string, LiveStatement, std::less<>>& live() const noexcept { return live_; }
    /// The live statement of that name, or null.
    [[nodiscard]] const LiveStatement* find(std::string_view name) const noexcept;
    /// Whether a live statement could not be kept; such a session is pinned.
    [[nodiscard]] bool has_unkeepable() const noexcept { return unkeepable_ > 0; }
    /// Bytes of Parse bodies kept.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    /// Bytes of Parse bodies that are forwarded and not answered; bounded by the total limit as well, so that a client
    /// that pipelines without reading cannot make us remember without end.
    [[nodiscard]] std::size_t pending_bytes() const noexcept { return pending_bytes_; }

  private:
    enum class Action : std::uint8_t { parse, close, query };
    struct Pending {
        std::uint64_t position = 0;
        Action action = Action::query;
        bool keepable = true;
        std::string name;
        std::string body;
    };

    using Live = std::map<std::string, LiveStatement, std::less<>>;

    Pending& push(std::uint64_t position, Action action);
    void drop_before(std::uint64_t position) noexcept;
    void drop_first() noexcept;
    void settle_first(const Reply& reply);
    void on_tag(std::string_view tag);
    void make_live(Pending& pending);
    void end(std::string_view name);
    void end_named();

    std::size_t statement_limit_;
    std::size_t total_limit_;
    Live live_;
    Live::node_type spare_;         // the unnamed statement's node while it is not live: keeps its memory
    std::vector<Pending> pending_;  // a ring whose slots keep their memory, unless it is much
    std::size_t pending_head_ = 0;
    std::size_t pending_count_ = 0;
    std::set<std::string, std::less<>> buried_;  // names that lived at remembered_ and ended since
    std::uint64_t epoch_ = 0;
    std::uint64_t remembered_ = 0;
    std::size_t bytes_ = 0;
    std::size_t pending_bytes_ = 0;
    std::size_t unkeepable_ = 0;
    bool remembering_ = false;
    bool doubtful_ = false;
};

}  // namespace turnout::protocol
