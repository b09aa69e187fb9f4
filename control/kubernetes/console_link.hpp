// The operator's way to a proxy: its console, by TCP, as the role that `spec.credentials` names. And a look at the old
// server, as the same role, before there is a proxy.
//
// Names are resolved by libpq, which blocks this thread for as long as the resolver takes.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "control/kubernetes/children.hpp"
#include "control/kubernetes/reconciler.hpp"
#include "control/pg_connection.hpp"

namespace turnout::kubernetes {

/// Where a server, or a console, listens.
struct Endpoint {
    std::string host;
    std::uint16_t port = 5432;
    std::string sslmode = "prefer";
};

/// The console of an object's proxy, by its Service.
inline Endpoint console_of(const Owner& owner) { return {proxy_name(owner) + "." + owner.space + ".svc", kPort}; }

/// SHOW STATUS, and what is known of the last switch unless its generation is `known`. Throws control::PgError if the
/// console cannot be reached or refuses, std::runtime_error for an answer that is no status.
boost::asio::awaitable<TurnoutStatus> show_status(Endpoint console, Credentials credentials, std::int64_t known);

/// Has a verb carried out and waits until it is over, however long that takes. Its failure is a result; a connection
/// that is lost meanwhile is one, too: what came of the verb is then to be seen in show_status(). Cancelled (terminal),
/// it cancels the verb and throws.
boost::asio::awaitable<VerbResult> run_verb(Endpoint console, Credentials credentials, Verb verb, std::string command);

/// The result of a verb from what the console answered as JSON. Pure.
VerbResult read_answer(Verb verb, std::string_view json);
/// SHOW STATUS AS JSON, read. Throws std::runtime_error. Pure.
TurnoutStatus read_status(std::string_view json);

/// What stands in the way on the old server, as far as it can be asked: reached, the role's rights, wal_level, its
/// version and the databases.
boost::asio::awaitable<std::vector<SpecProblem>> ask_old_server(Endpoint server, Credentials credentials, Spec spec);

}  // namespace turnout::kubernetes
