#include "control/verify_table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/names.hpp"

namespace turnout::control {

namespace {

/// ONLY for those that are no partitioned root. A key is the primary key, else the replica identity's index; its order
/// is the same on both sides if none of its columns is sorted by the operating system's or ICU's collations.
constexpr const char* kTables = R"(
SELECT pg_catalog.concat(n.nspname, '.', c.relname),
       pg_catalog.concat(CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END,
                         pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)),
       greatest(c.reltuples, 0)::bigint,
       (SELECT coalesce(sum(pg_catalog.pg_table_size(tree.relid)), 0)::bigint FROM pg_catalog.pg_partition_tree(c.oid) tree)
         + CASE WHEN c.relispartition OR c.relkind = 'p' THEN 0 ELSE pg_catalog.pg_table_size(c.oid) END,
       columns.names, columns.expressions, columns.hashes,
       key.expressions, key.types, key.words, key.ranges
FROM pg_catalog.pg_publication_tables p
JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
LEFT JOIN LATERAL (
  SELECT i.indkey FROM pg_catalog.pg_index i
  WHERE i.indrelid = c.oid AND i.indisvalid AND (i.indisprimary OR i.indisreplident)
  ORDER BY i.indisprimary DESC LIMIT 1) i ON true
CROSS JOIN LATERAL (
  SELECT pg_catalog.string_agg(a.attname, E'\n' ORDER BY a.attnum) AS names,
         pg_catalog.string_agg(pg_catalog.format('t.%I', a.attname), ', ' ORDER BY a.attnum) AS expressions,
         pg_catalog.string_agg(pg_catalog.format('pg_catalog.hashtextextended(ROW(t.%I)::text COLLATE "C", 0)', a.attname),
                               ', ' ORDER BY a.attnum) AS hashes
  FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) columns
CROSS JOIN LATERAL (
  SELECT pg_catalog.string_agg(pg_catalog.format('t.%I', a.attname), E'\n' ORDER BY k.place) AS expressions,
         pg_catalog.string_agg(pg_catalog.format_type(a.atttypid, a.atttypmod), E'\n' ORDER BY k.place) AS types,
         pg_catalog.string_agg(pg_catalog.format('%L || pg_catalog.quote_nullable(t.%I::text)', a.attname || ' = ', a.attname),
                               ' || '', '' || ' ORDER BY k.place) AS words,
         coalesce(pg_catalog.bool_and(a.attcollation = 0 OR co.collcollate IN ('C', 'POSIX')), false) AS ranges
  FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY k(number, place)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
  LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation) key
WHERE p.pubname = $1 ORDER BY 1)";

std::vector<std::string> lines(std::string_view text) {
    std::vector<std::string> all;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        all.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return all;
}

}  // namespace

std::string VerifyTable::key_tuple() const {
    return key.size() == 1 ? key.front() : fmt::format("({})", fmt::join(key, ", "));
}

std::string VerifyTable::row_name() const {
    return key.empty() ? fmt::format("(ROW({})::text COLLATE \"C\")", values) : "(" + key_text + ")";
}

std::string VerifyTable::row_hash(int seed) const {
    return fmt::format("pg_catalog.hashtextextended(ROW({})::text COLLATE \"C\", {})", values, seed);
}

std::string VerifyTable::bucket(int buckets) const {
    if (buckets == 1) return "0";
    return fmt::format("(pg_catalog.hashtextextended({} COLLATE \"C\", 7) & {})", row_name(), buckets - 1);
}

std::string VerifyTable::condition(const std::string& after, const std::string& until) const {
    std::string text;
    if (!after.empty()) text = fmt::format("{} > {}", key_tuple(), after);
    if (!until.empty()) text += fmt::format("{}{} <= {}", text.empty() ? "" : " AND ", key_tuple(), until);
    return text.empty() ? "true" : text;
}

std::string VerifyTable::bound_query(const std::string& after, std::int64_t rows) const {
    std::string texts;
    for (const std::string& column : key) texts += (texts.empty() ? "" : ", ") + column + "::text";
    return fmt::format("SELECT {}{}{} ORDER BY {} OFFSET {} LIMIT 1", texts, from(), condition(after, ""),
                       fmt::join(key, ", "), rows - 1);
}

std::string VerifyTable::bound(const PgResult& row) const {
    std::string values_of_key;
    for (std::size_t i = 0; i < key.size(); ++i) {
        values_of_key += fmt::format("{}{}::{}", i == 0 ? "" : ", ",
                                     PgConnection::literal(row.get(0, static_cast<int>(i))), key_types[i]);
    }
    return key.size() == 1 ? values_of_key : "(" + values_of_key + ")";
}

std::string VerifyTable::sum_query(const VerifyChunk& chunk) const {
    return fmt::format("SELECT {}, count(*), pg_catalog.concat(sum({}), '/', sum({})){}{} GROUP BY 1",
                       bucket(chunk.buckets), row_hash(0), row_hash(42), from(), chunk.condition);
}

std::string VerifyTable::rows_query(const VerifyChunk& chunk, const std::string& buckets) const {
    return fmt::format("SELECT {}, pg_catalog.concat({}, '/', {}){}{} AND {} IN ({})", row_name(), row_hash(0),
                       row_hash(42), from(), chunk.condition, bucket(chunk.buckets), buckets);
}

std::string VerifyTable::columns_query(const VerifyChunk& chunk) const {
    return fmt::format("SELECT pg_catalog.array_to_string(ARRAY[{}], ' '){}{} AND {} = $1", hash_of_each, from(),
                       chunk.condition, row_name());
}

boost::asio::awaitable<std::vector<VerifyTable>> list_verify_tables(PgConnection& source) {
    const PgResult result = co_await source.query(kTables, names::kTablesPublication);
    std::vector<VerifyTable> tables;
    for (int row = 0; row < result.rows(); ++row) {
        VerifyTable table;
        table.name = result.as<std::string>(row, 0);
        table.relation = result.as<std::string>(row, 1);
        table.estimated_rows = result.as<std::int64_t>(row, 2);
        table.bytes = result.as<std::int64_t>(row, 3);
        table.columns = lines(result.get(row, 4));
        table.values = result.as<std::string>(row, 5);
        table.hash_of_each = result.as<std::string>(row, 6);
        table.key = lines(result.get(row, 7));
        table.key_types = lines(result.get(row, 8));
        table.key_text = result.as<std::string>(row, 9);
        table.ranges = result.as<bool>(row, 10);
        tables.push_back(std::move(table));
    }
    co_return tables;
}

}  // namespace turnout::control
