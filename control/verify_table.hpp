// A table as `verify` reads it: SQL made from its catalog entry, the same for both sides.
//
// A row is compared as text, in a session whose settings make that exact and equal on every major (kExactText): floats
// with all their digits, bytea as hex, times in UTC. What is summed are 64-bit hashes of that text.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "control/pg_connection.hpp"

namespace turnout::control {

/// Settings for a session (or, with SET LOCAL, a transaction) in which equal values have equal text.
inline constexpr const char* kExactText =
    "SET extra_float_digits = 3; SET bytea_output = 'hex'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; "
    "SET timezone = 'UTC'; SET lc_monetary = 'C'; SET quote_all_identifiers = off; SET search_path = pg_catalog";

/// Part of a table: rows between two keys, or all of them. Its sums are kept by bucket of the key's hash.
struct VerifyChunk {
    std::size_t table = 0;
    std::string condition;  ///< SQL over `t`
    int buckets = 1;
};

struct VerifyTable {
    std::string name;      ///< "public.accounts"
    std::string relation;  ///< as written in FROM, without the alias
    std::int64_t estimated_rows = 0;
    std::int64_t bytes = 0;
    std::vector<std::string> columns;    ///< their names
    std::string values;                  ///< "t.id, t.name"
    std::string hash_of_each;            ///< one hash a column, separated by commas
    std::vector<std::string> key;        ///< "t.id"; empty: it has no key, and rows are known by their contents
    std::vector<std::string> key_types;  ///< "bigint"
    std::string key_text;                ///< "id = '42'" in SQL
    bool ranges = false;                 ///< the key's order is the same on both sides: chunks are ranges

    /// What names a row: its key, else its whole text.
    std::string row_name() const;
    /// The rows after `after` (nothing: from the first) up to the one that this query finds, which ends the chunk; no
    /// row: the rest is the last chunk.
    std::string bound_query(const std::string& after, std::int64_t rows) const;
    /// The row of bound_query() as the SQL that `after` is.
    std::string bound(const PgResult& row) const;
    /// Both may be empty: open.
    std::string condition(const std::string& after, const std::string& until) const;
    /// bucket, rows, sums: one row for each bucket that has rows.
    std::string sum_query(const VerifyChunk& chunk) const;
    /// name, hash of each row in these buckets.
    std::string rows_query(const VerifyChunk& chunk, const std::string& buckets) const;
    /// The hashes of the columns of one row, separated by blanks; $1: its name.
    std::string columns_query(const VerifyChunk& chunk) const;

  private:
    std::string row_hash(int seed) const;
    std::string bucket(int buckets) const;
    std::string from() const { return " FROM " + relation + " AS t WHERE "; }
    std::string key_tuple() const;
};

/// The published tables of a database, by name. `source`: a connection to the active side.
boost::asio::awaitable<std::vector<VerifyTable>> list_verify_tables(PgConnection& source);

}  // namespace turnout::control
