/// \file
/// Conversations written down as a DBA would: messages by their type bytes, the client's and the server's turns by `|`.
///
///     P B E S [owes 1] | 1 2 C Z(I) [safe]
///
/// Client: P B Ds Dp E Cs Cp S H Q F d c f X. Server: 1 2 3 t T n D C C(tag) I s V G H W d c E N A S Z(I) Z(T) Z(E).
/// Brackets hold what the ledger says at that point, see describe(). `probe` in the client's turn is
/// ReplyLedger::begin_probe().
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/session_ledger.hpp"

namespace turnout::test {

/// The ledger's state: `safe`, or `quiet` or `owes N` (N: ReadyForQuery owed), then what else holds of: `T` `E`
/// (status), `open` (batch), `skips`, `copy-in` `copy-out` `copy-both`, `unsure`, `probing`, `derailed`.
std::string describe(const protocol::ReplyLedger& ledger);

/// Plays a conversation. Returns one line for each bracket that does not hold, and for each reply that is unexpected.
std::vector<std::string> play(std::string_view script, protocol::SessionLedger& ledger);

/// Splits at blanks; a bracket or a parenthesis keeps its blanks.
std::vector<std::string> tokens_of(std::string_view script);

/// Feeds one client's message, by its token.
void from_client(std::string_view token, protocol::SessionLedger& ledger);
/// Feeds one server's message, by its token.
protocol::Reply from_server(std::string_view token, protocol::SessionLedger& ledger);

}  // namespace turnout::test
