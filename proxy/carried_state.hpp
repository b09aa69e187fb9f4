// What a session has set on its backend and must find again on another: which questions tell it, what the answers mean,
// and what to send to the new backend. Pure: bytes in, bytes out.
//
// Everything is said in extended batches with a named statement and portal of our own, inside a transaction of a fixed
// kind: a simple Query would destroy the client's unnamed statement, and a client's default of SERIALIZABLE READ ONLY
// DEFERRABLE would make a catalog query wait for others. Every name and operator is qualified: the client's search_path
// is in force, because changing it would change what is asked for.
//
// What is brought to a backend falls into two parts. Its *state* (settings, role, SQL-level statements) may be brought
// at any time before the session's next statement. Its *holdings* (channels it listens to, session advisory locks) must
// be there before the gate opens: from then on somebody else may notify, or take the lock.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/backend_messages.hpp"
#include "protocol/statements.hpp"
#include "proxy/backend.hpp"

namespace turnout::proxy {

/// The answers.
struct CarriedState {
    /// Settings made in the session, name and value as current_setting() gives them; custom ones too. In order of
    /// reading.
    std::vector<std::pair<std::string, std::string>> settings;
    std::string role;                   ///< of SET ROLE; "none" if there is none
    std::string session_authorization;  ///< empty: that of the login
    Holdings holdings;
    /// SQL-level PREPARE: the whole command as it was sent, one PREPARE each.
    std::vector<std::string> sql_prepared;
    std::vector<std::string> protocol_statements;  ///< names, to reconcile the book with
    /// Why the session cannot be moved; empty: it can.
    std::string pinned;
};

/// Whether the questions are asked under the session's own time-outs, so that it can be told whether it has set them.
enum class Timeouts : std::uint8_t { own, off };

/// A question of one's own with an array of text for $1, as undisturbed as those below; it gives rows of three columns.
std::string question(std::string_view sql, const std::vector<std::string>& values);
/// Calls `take` for each row of three columns. An error sentence if something else was answered.
std::string read_rows(const Exchange& replies, const std::function<void(const protocol::DataRow&)>& take);

/// One batch up to Sync. `setting_names`: custom settings whose names were learned. If it fails with 57014 the
/// session's statement_timeout is too short: ask again with Timeouts::off.
std::string questions(const std::vector<std::string>& setting_names, Timeouts timeouts = Timeouts::own);

/// Reads the replies to questions(); an error sentence if they are not what was asked for. `login_user`: whose session
/// authorization is none.
std::string read_answers(const Exchange& replies, std::string_view login_user, CarriedState& out);

/// Asks only what has to be known before the gate opens: the holdings, and whether the session is pinned.
std::string urgent_questions();
/// Reads the replies to urgent_questions() into `holdings` and `pinned`; the rest of `out` stays.
std::string read_urgent_answers(const Exchange& replies, CarriedState& out);

/// Asks how long the session's statements may take.
std::string statement_timeout_question();
/// Reads the reply; zero: for ever. An error sentence if it is not what was asked for.
std::string read_statement_timeout(const Exchange& replies, control::Milliseconds& out);

/// Messages, and how many ReadyForQuery answer them.
struct Replay {
    std::string bytes;
    unsigned ready = 0;
};
/// Brings the state, without an error in between. `again`: something was replayed there before, so that it is cleaned
/// first; what is held there stays.
Replay replay_state(const CarriedState& state, bool again);
/// Makes a backend that holds `there` hold `wanted`. Locks are all released first, then taken, so that several sessions
/// that do this at once cannot wait for each other in a ring. Empty if there is nothing to do.
Replay replay_holdings(const Holdings& there, const Holdings& wanted);
/// Ends the statements of these names; a batch of their own. Empty if there are none.
Replay close_statements(const std::vector<std::string_view>& names);
/// Makes statements of these names from the bodies of Parse messages, and has each described, each in a batch of its
/// own: one that fails leaves the others alone.
Replay make_statements(const std::vector<std::string>& names, const std::vector<std::string>& bodies);

/// One command without parameters, through a statement and a portal of our own, which are closed again. Without a Sync.
void append_command(std::string& out, std::string_view sql);
/// ROLLBACK, that does not touch the client's unnamed statement.
std::string rollback_batch();
/// A BEGIN with this text.
std::string begin_batch(std::string_view text);
/// A transaction that has failed: its status is `E`.
std::string failed_transaction_batch();

/// What is asked inside of a client's transaction, without touching it: only where it has a snapshot already.
std::string transaction_question();
/// What a transaction has that must not stay on a server that is left.
struct TransactionFacts {
    bool wrote = false;                 ///< it has a transaction id
    bool locked = false;                ///< a lock above AccessShareLock, or an advisory one
    bool advisory = false;              ///< of these: one that outlives a ROLLBACK, perhaps
    std::vector<std::string> portals;   ///< the texts of those that are open
    std::vector<std::string> channels;  ///< it listens to, as of the transaction's beginning
};
/// Reads the reply to transaction_question(). An error sentence if it is not what was asked for.
std::string read_transaction_facts(const Exchange& replies, TransactionFacts& out);
/// SET TRANSACTION READ ONLY, inside of a client's transaction.
std::string read_only_batch();
/// All session advisory locks are given back.
std::string unlock_all_batch();

/// How often each lock was taken is in no view: it is released until the server says that it is not held.
Replay release_and_count(const std::vector<AdvisoryLock>& locks);
/// Reads the replies to release_and_count(); one number for each lock.
std::string read_counts(const Exchange& replies, std::vector<std::uint64_t>& out);
/// Takes each lock as often again as is missing, having been taken once. Empty if there is nothing to do.
Replay take_again(const std::vector<AdvisoryLock>& locks, const std::vector<std::uint64_t>& counts);
/// Takes each lock once, where nobody else has it meanwhile.
Replay take_if_free(const std::vector<AdvisoryLock>& locks);

}  // namespace turnout::proxy
