// What a session has set on its backend and must find again on another: which questions tell it, what the answers mean,
// and what to send to the new backend. Pure: bytes in, bytes out.
//
// The questions are one extended batch with a named statement and portal of our own, inside a transaction of a fixed
// kind: a simple Query would destroy the client's unnamed statement, and a client's default of SERIALIZABLE READ ONLY
// DEFERRABLE would make a catalog query wait for others. Every name and operator is qualified: the client's search_path
// is in force, because changing it would change what is asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
    std::vector<std::string> channels;  ///< LISTEN
    /// SQL-level PREPARE: the whole command as it was sent, one PREPARE each.
    std::vector<std::string> sql_prepared;
    std::vector<std::string> protocol_statements;  ///< names, to reconcile the book with
    /// Why the session cannot be moved; empty: it can.
    std::string pinned;
};

/// One batch up to Sync. `setting_names`: custom settings whose names were learned.
std::string questions(const std::vector<std::string>& setting_names);

/// Reads the replies to questions(); an error sentence if they are not what was asked for. `login_user`: whose session
/// authorization is none.
std::string read_answers(const Exchange& replies, std::string_view login_user, CarriedState& out);

/// What brings a backend to that state. Settings and prepared statements go in a batch of their own, which is to be
/// answered by `ready` ReadyForQuery without an error in between.
struct Replay {
    std::string bytes;
    unsigned ready = 0;
};
/// `again`: something was replayed there before, so that it is cleaned first.
Replay replay_state(const CarriedState& state, bool again);
/// Adds the Parse messages; empty if there is nothing to do.
Replay replay_statements(const protocol::StatementDifference& difference);

}  // namespace turnout::proxy
