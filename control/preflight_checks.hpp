// Inside of preflight: the context a check looks at, and the two kinds of check. preflight.cpp runs them in the order
// of the table there.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "control/pg_connection.hpp"
#include "control/preflight.hpp"

namespace turnout::control::checks {

/// The connections of one run. Those to a database are null where it does not exist (yet).
struct Context {
    struct Database {
        std::string name;
        PgConnection::Ptr source;
        PgConnection::Ptr target;
    };

    const Cluster& cluster;
    const PreflightInput& input;
    PreflightReport& report;
    std::array<PgConnection::Ptr, 2> servers;  ///< to the journal databases
    std::vector<Database> databases;

    Side active() const { return input.active; }
    Side standby() const { return other(input.active); }
    PgConnection& server(Side side) const { return *servers[index(side)]; }
    bool before_switch() const { return input.stage == PreflightStage::before_switch; }
};

using Findings = std::vector<Finding>;

/// A question in SQL: its rows are the objects that it finds (column 0), each with the statement that mends it (column
/// 1, NULL if there is none). No row: passed.
struct Query {
    enum class Where {
        active,  ///< the server of the active side
        standby,
        servers,    ///< both
        sources,    ///< every database of the active side
        databases,  ///< every database of both sides
    };
    Where where;
    Severity severity;
    int from_major;  ///< older servers do not have it
    std::string_view sql;
    std::string_view sentence;  ///< what it means that there are some
};

/// A check that compares or counts.
using Procedure = asio::awaitable<Findings> (*)(Context&);

struct Check {
    std::string_view name;
    bool before_sync;    ///< done then
    bool before_switch;  ///< done then
    const Query* query;  ///< or
    Procedure procedure;
};

/// All, in order. Reachability comes before them: it makes the context.
const std::vector<Check>& table();

// Procedures that need more room: preflight_servers.cpp and preflight_databases.cpp.
asio::awaitable<Findings> identity(Context& context);
asio::awaitable<Findings> versions(Context& context);
asio::awaitable<Findings> room_for_replication(Context& context);
asio::awaitable<Findings> room_for_sessions(Context& context);
asio::awaitable<Findings> pinned_sessions(Context& context);
asio::awaitable<Findings> dump_program(Context& context);
asio::awaitable<Findings> roles(Context& context);
asio::awaitable<Findings> settings(Context& context);
asio::awaitable<Findings> database_limits(Context& context);
asio::awaitable<Findings> bypassing(Context& context);
asio::awaitable<Findings> synchronous_standbys(Context& context);
asio::awaitable<Findings> long_transactions(Context& context);
asio::awaitable<Findings> extensions(Context& context);
asio::awaitable<Findings> extension_versions(Context& context);
asio::awaitable<Findings> schema(Context& context);
asio::awaitable<Findings> details(Context& context);
asio::awaitable<Findings> streams(Context& context);
asio::awaitable<Findings> markers(Context& context);
asio::awaitable<Findings> gaps(Context& context);
asio::awaitable<Findings> way_back(Context& context);
asio::awaitable<Findings> carried(Context& context);
asio::awaitable<Findings> type_oids(Context& context);
asio::awaitable<Findings> hidden_state(Context& context);

/// A finding with its objects cut to twenty.
Finding finding(Severity severity, std::string database, std::vector<std::string> objects, std::string sentence,
                std::string remedy);

}  // namespace turnout::control::checks
