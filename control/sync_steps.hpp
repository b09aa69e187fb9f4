// The parts of `sync` that make the standby alike: roles, databases, schema. Each may be repeated.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "control/pg_connection.hpp"
#include "control/pg_tools.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// What was done otherwise than on the source, as sentences for the report.
using Notices = std::vector<std::string>;

/// Roles, their attributes, verifiers, settings and memberships, from `source` to `target` (any database of each).
/// Never drops one; the role that control itself uses on the target keeps its own password there.
asio::awaitable<void> sync_roles(PgConnection& source, PgConnection& target, Notices& notices);

/// A database as on the source: encoding, locale, owner, connection limit. Existing ones must have the same encoding
/// (SyncRefused). Its settings follow (default_transaction_read_only excepted: that is the fence's).
asio::awaitable<void> sync_database(PgConnection& source, PgConnection& target, const std::string& database,
                                    Notices& notices);

/// A database's schema, written down by pg_dump, in two parts.
class SchemaCopy {
  public:
    /// Dumps the source's. Throws PgToolsError.
    static asio::awaitable<std::unique_ptr<SchemaCopy>> dump(const Cluster& cluster, Side source, std::string database,
                                                             PgTools tools);

    /// Everything that must be there before rows are: all but indexes, constraints, triggers, rules and policies, and
    /// of the indexes the primary keys and replica identities, in one transaction. `source`: a connection to the
    /// database.
    asio::awaitable<void> restore_before(const Cluster& cluster, PgConnection& source);
    /// The rest, statement by statement; what is there already is left.
    asio::awaitable<void> restore_after(const Cluster& cluster, PgConnection& source);

  private:
    SchemaCopy(std::string database, PgTools tools, Side target)
        : database_(std::move(database)), tools_(std::move(tools)), target_(target) {}
    asio::awaitable<std::vector<std::string>> contents(std::string section);
    asio::awaitable<std::string> script(std::vector<std::string> entries);

    std::string database_;
    PgTools tools_;
    Side target_;
    PrivateFile archive_;
};

/// For the tests: a script of pg_restore without what only psql understands and what older servers do not know.
std::string without_client_lines(std::string_view script);
/// For the tests: a script's head and then its entries, each with its comment.
std::vector<std::string> split_entries(std::string_view script);

}  // namespace turnout::control
