/// \file
/// What a client has lately had planned by its server, so that another server can plan it before it is asked there.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/statements.hpp"

namespace turnout::protocol {

/// A statement with the values of one of its uses: a Parse without its name, and a Bind without its names.
struct UsedStatement {
    std::string name;         ///< of a prepared statement; empty: `parse` has its text
    std::string parse;        ///< a Parse's body from the zero behind the name on; empty if there is a name
    std::string values;       ///< a Bind's body from behind the statement's name on
    bool locks_rows = false;  ///< FOR UPDATE and its like: refused in a read-only transaction
};

/// A short list of the different statements that one client has used. Statements that differ by nothing but numbers and
/// strings are one; of several commands in one Query each is one. Only commands that are planned are kept: SELECT,
/// INSERT, UPDATE, DELETE, MERGE, WITH, VALUES, TABLE. New ones are put behind the others; when it is full, no more
/// are.
class RecentStatements {
  public:
    /// Most statements that are kept.
    static constexpr std::size_t most = 16;
    /// Most bytes that are kept of all, names, texts and values; a statement for which there is no room is left out.
    static constexpr std::size_t most_bytes = std::size_t{8} * 1024;

    /// Adds what is used in these messages, which a client has sent one behind the other. Statements that were prepared
    /// before are looked up in `book`, those prepared by name in these messages only if it knows them already.
    void note(std::string_view messages, const StatementBook& book);
    /// In the order of their coming. Valid until the next note() or clear().
    [[nodiscard]] const std::vector<UsedStatement>& all() const noexcept { return used_; }
    /// Forgets all and frees its memory.
    void clear() noexcept;

  private:
    void note_query(std::string_view text);
    void note_bind(std::string_view body, std::string_view unnamed, const StatementBook& book);
    [[nodiscard]] bool has_room(std::size_t size, std::size_t shape) const noexcept;
    void keep(UsedStatement statement, std::size_t shape);

    std::vector<UsedStatement> used_;
    std::vector<std::size_t> shapes_;  // hashes of the texts without literals, in the same order
    std::size_t bytes_ = 0;
};

/// The body of a Parse from the zero behind the name on; empty if it has no name's end.
[[nodiscard]] std::string_view parse_behind_name(std::string_view body) noexcept;

}  // namespace turnout::protocol
