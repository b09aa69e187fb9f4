// What a database's catalogs say, for comparing the two sides: every object as canonical text, and a cheap mark that
// changes with any DDL.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/pg_connection.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// Whether the server of `connection` has all of these databases. Asked of the catalog: a refused connection does not
/// tell its SQLSTATE. Before the first copy the standby has none of them.
asio::awaitable<bool> has_databases(PgConnection& connection, const std::vector<std::string>& databases);

/// Objects by name ("table public.a", "index public.a_pkey", "function public.f(integer)"), each with its canonical
/// lines. System schemas, temporary objects, members of extensions and turnout's own are left out.
using Schema = std::map<std::string, std::vector<std::string>>;
asio::awaitable<Schema> read_schema(PgConnection& connection);
/// What no statement's result depends on: storage parameters, statistics targets and objects, comments.
asio::awaitable<Schema> read_details(PgConnection& connection);

struct SchemaDifference {
    std::string object;
    std::string sentence;  ///< "is missing on green", "differs: green lacks `column b integer`"
};
/// Differences between two schemas, named by side. Empty: equal.
std::vector<SchemaDifference> compare(const Schema& blue, const Schema& green);
/// The same of details: an object without any is not missing.
std::vector<SchemaDifference> compare_details(Schema blue, Schema green);

/// Prepared on a connection to a switched database of the active side: column 0 is a mark that changes with every DDL
/// that replication does not carry (tables, columns, constraints, indexes, sequences, types, functions, triggers,
/// policies, schemas), and not with TRUNCATE, temporary tables, or maintenance.
inline constexpr const char* kSchemaMark = "turnout_schema_mark";
asio::awaitable<void> prepare_schema_mark(PgConnection& active);
std::string schema_mark(const PgResult& result);
/// The marks of all switched databases, in their order, over connections of its own. Read before the schemas are
/// compared: then what is changed later shows. Throws PgError.
asio::awaitable<std::vector<std::string>> read_schema_marks(const Cluster& cluster, Side active);

/// A table that is not carried by a stream as it must be.
struct Uncarried {
    std::string database;
    std::string table;
    std::string sentence;  ///< "is not in publication turnout_tables on blue"
    std::string remedy;    ///< the statement, or the verb
};
/// Looks at one direction in one database: every permanent table of the source = listed in its publication, with all
/// operations, without row filter or column list = in the subscriber's pg_subscription_rel in state `r`. A cheap check
/// for preflight and again right before each window.
asio::awaitable<std::vector<Uncarried>> find_uncarried(PgConnection& source, PgConnection& subscriber);

}  // namespace turnout::control
