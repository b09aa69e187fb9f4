// The statements of the ledger load, and the ways in which a connection may say them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/ledger_book.hpp"
#include "bench/pq.hpp"
#include "bench/waits.hpp"

namespace turnout::bench {

/// How a connection speaks.
enum class Mode {
    simple,     ///< Query; some transactions as one Query of several statements
    extended,   ///< Parse, Bind, Execute with the unnamed statement
    prepared,   ///< named statements, parsed once per connection
    pipelined,  ///< named statements, several Sync groups sent before the first answer is read
};
std::string_view name(Mode mode);

enum class Statement {
    begin,
    commit,
    rollback,
    insert,         ///< writer, entry; returns id and ticket, both from sequences
    insert_silent,  ///< the same without RETURNING
    revise,         ///< writer, entry
    remove,         ///< writer, entry
    bump,           ///< writer
    balance,        ///< id, amount
    account,        ///< aid, amount
    read_entry,     ///< writer, entry; returns its revision
    read_counter,   ///< writer; returns n
    draw,           ///< returns a ticket
    count
};

/// A statement with its arguments and what it changes.
struct Call {
    Statement statement = Statement::begin;
    std::array<std::int64_t, 2> arguments{};
    Effect effect;
};

/// One transaction: a single call in autocommit, or calls between BEGIN and COMMIT or ROLLBACK, or (`joined`) several
/// statements sent as one Query, which the server runs in one implicit transaction.
struct Script {
    std::vector<Call> calls;
    bool joined = false;
};

/// What came back for one call.
struct Reply {
    enum class Kind {
        done,     ///< CommandComplete
        refused,  ///< an ErrorResponse, and the connection lives
        skipped,  ///< not sent, or skipped by the server after an error before it
        lost      ///< the connection ended before the answer
    };
    Kind kind = Kind::skipped;
    std::int64_t affected = 0;                       ///< rows, from the command tag
    std::optional<std::array<std::int64_t, 2>> row;  ///< the first row's first two columns; nullopt: no row
    bool rolled_back = false;                        ///< a COMMIT that was answered ROLLBACK
    bool sent = false;                               ///< it may have reached the server
    std::string error;                               ///< SQLSTATE and message
};

/// Says scripts over one connection. Every wait for an answer goes to the log.
class Speaker {
  public:
    /// The connection must outlive the speaker.
    Speaker(PGconn* connection, Mode mode, WaitLog& log) : connection_(connection), mode_(mode), log_(log) {}

    /// The replies, one per call, of scripts said one after the other (pipelined: all are sent before the first answer
    /// is read). A transaction that failed has been rolled back on return, if the connection lives.
    std::vector<std::vector<Reply>> say(const std::vector<Script>& scripts);

    /// False once the connection is lost.
    bool alive() const { return PQstatus(connection_) == CONNECTION_OK; }

  private:
    std::vector<Reply> say_one_by_one(const Script& script);
    std::vector<Reply> say_joined(const Script& script);
    std::vector<std::vector<Reply>> say_pipelined(const std::vector<Script>& scripts);
    Reply say_call(const Call& call);
    bool prepare(Statement statement, Reply& failure);
    Reply read(const Call& call, const PGresult* result) const;
    void read_sync(const Call& last, Reply& reply);
    void leave_failed_transaction();

    PGconn* connection_;
    Mode mode_;
    WaitLog& log_;
    std::array<bool, static_cast<std::size_t>(Statement::count)> prepared_{};
};

/// How a transaction ended, as far as its replies tell.
Outcome outcome_of(const Script& script, const std::vector<Reply>& replies);

}  // namespace turnout::bench
