#include "control/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "control/catalog_readings.hpp"
#include "control/names.hpp"

namespace turnout::control {

namespace {

std::string_view other_name(bool blue) { return blue ? "green" : "blue"; }

void compare_lines(const std::string& object, const std::vector<std::string>& blue,
                   const std::vector<std::string>& green, std::vector<SchemaDifference>& differences) {
    for (const bool from_blue : {true, false}) {
        const auto& has = from_blue ? blue : green;
        const auto& lacks = from_blue ? green : blue;
        std::vector<std::string> missing;
        std::set_difference(has.begin(), has.end(), lacks.begin(), lacks.end(), std::back_inserter(missing));
        for (const std::string& line : missing) {
            differences.push_back({object, fmt::format("differs: {} lacks `{}`", other_name(from_blue), line)});
        }
    }
}

/// What changes with DDL and with nothing else, each a number or a text per catalog. xmin stands for rows that nothing
/// but DDL touches; pg_class and pg_index are also touched by maintenance and TRUNCATE, so of them only what DDL means.
/// Objects of users begin at OID 16384; temporary ones come and go with sessions.
constexpr const char* kSchemaMarkSql = R"(
WITH relations AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.relnatts, c.relpersistence, c.relreplident, c.relrowsecurity,
         c.relforcerowsecurity, c.relispartition, c.relowner, c.relacl, c.reloptions
  FROM pg_class c
  WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'i', 'I', 'S', 'v', 'm', 'f')
    AND c.relnamespace <> coalesce(to_regnamespace('turnout')::oid, 0))
SELECT concat_ws(' ',
  (SELECT concat(count(*), ':', sum(hashtextextended(relations::text, 0))) FROM relations),
  (SELECT concat(count(*), ':', sum(hashtextextended(concat(a.xmin, ' ', a.attrelid, ' ', a.attnum), 0)))
     FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid WHERE r.relkind IN ('r', 'p') AND a.attnum > 0),
  (SELECT concat(count(*), ':', sum(d.xmin::text::bigint)) FROM pg_attrdef d JOIN relations r ON r.oid = d.adrelid),
  (SELECT concat(count(*), ':', sum(oid::bigint)) FROM pg_constraint WHERE oid >= 16384 AND contype <> 'n'
     AND connamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_temp')),
  (SELECT concat(count(*), ':', sum(hashtextextended(concat(g.oid, g.tgenabled), 0))) FROM pg_trigger g
     JOIN relations r ON r.oid = g.tgrelid WHERE NOT g.tgisinternal),
  (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_proc WHERE oid >= 16384
     AND pronamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^(pg_temp|turnout$)')),
  (SELECT concat(count(*), ':', sum(oid::bigint)) FROM pg_enum),
  (SELECT concat(count(*), ':', sum(oid::bigint)) FROM pg_type WHERE oid >= 16384 AND typtype IN ('d', 'e', 'r')),
  (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_policy),
  (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_rewrite WHERE oid >= 16384),
  (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_namespace WHERE nspname !~ '^pg_'),
  (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_default_acl),
  (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_event_trigger
     WHERE evtname !~ '^turnout_'),
  (SELECT concat(count(*), ':', sum(s.xmin::text::bigint)) FROM pg_sequence s JOIN relations r ON r.oid = s.seqrelid)))";

/// Tables that must be carried, with what their publication says of them.
constexpr const char* kPublished = R"(
SELECT format('%I.%I', n.nspname, c.relname), {published}, {whole}
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_publication p ON p.pubname = 'turnout_tables'
LEFT JOIN pg_publication_rel pr ON pr.prpubid = p.oid AND pr.prrelid = c.oid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' AND {users} AND {free})";

constexpr const char* kSubscribed = R"(
SELECT format('%I.%I', n.nspname, c.relname), sr.srsubstate
FROM pg_subscription s JOIN pg_subscription_rel sr ON sr.srsubid = s.oid JOIN pg_class c ON c.oid = sr.srrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE s.subname = $1 AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()))";

std::string table_of_state(std::string_view state) {
    if (state == "i") return "waits to be copied";
    if (state == "d") return "is still being copied";
    if (state == "f" || state == "s") return "has been copied and is catching up";
    return fmt::format("is in state {}", state);
}

asio::awaitable<Schema> read_all(PgConnection& connection, std::vector<std::string> readings) {
    Schema schema;
    for (const std::string& sql : readings) {
        const PgResult result = co_await connection.query(sql);
        for (int i = 0; i < result.rows(); ++i) {
            schema[result.as<std::string>(i, 0)].push_back(result.as<std::string>(i, 1));
        }
    }
    for (auto& [object, lines] : schema) std::sort(lines.begin(), lines.end());
    co_return schema;
}

}  // namespace

asio::awaitable<bool> has_databases(PgConnection& connection, const std::vector<std::string>& databases) {
    const PgResult there =
        co_await connection.query("SELECT count(*) FROM pg_catalog.pg_database WHERE datname = ANY ($1)", databases);
    co_return there.as<std::size_t>(0, 0) == databases.size();
}

asio::awaitable<Schema> read_schema(PgConnection& connection) {
    std::vector<std::string> readings = readings::of_objects();
    for (std::string& sql : readings::of_privileges()) readings.push_back(std::move(sql));
    return read_all(connection, std::move(readings));
}

asio::awaitable<Schema> read_details(PgConnection& connection) { return read_all(connection, readings::of_details()); }

std::vector<SchemaDifference> compare(const Schema& blue, const Schema& green) {
    std::vector<SchemaDifference> differences;
    for (const auto& [object, lines] : blue) {
        const auto twin = green.find(object);
        if (twin == green.end()) {
            differences.push_back({object, "is missing on green"});
        } else {
            compare_lines(object, lines, twin->second, differences);
        }
    }
    for (const auto& [object, lines] : green) {
        if (!blue.contains(object)) differences.push_back({object, "is missing on blue"});
    }
    return differences;
}

std::vector<SchemaDifference> compare_details(Schema blue, Schema green) {
    for (const auto& [object, lines] : blue) green[object];
    for (const auto& [object, lines] : green) blue[object];
    return compare(blue, green);
}

asio::awaitable<void> prepare_schema_mark(PgConnection& active) {
    co_await active.prepare(kSchemaMark, kSchemaMarkSql);
    co_await active.exec_prepared(kSchemaMark);
}

std::string schema_mark(const PgResult& result) { return result.as<std::string>(0, 0); }

asio::awaitable<std::vector<std::string>> read_schema_marks(const Cluster& cluster, Side active) {
    std::vector<std::string> marks;
    for (const std::string& database : cluster.databases()) {
        const PgConnection::Ptr connection = co_await cluster.connect(active, database);
        const PgResult result = co_await connection->query(kSchemaMarkSql);
        marks.push_back(schema_mark(result));
    }
    co_return marks;
}

asio::awaitable<std::vector<Uncarried>> find_uncarried(PgConnection& source, PgConnection& subscriber) {
    const bool lists = source.server_version() >= 150000;  // row filters and column lists
    const PgResult published = co_await source.query(
        fmt::format(fmt::runtime(kPublished),
                    fmt::arg("published",
                             "pr.oid IS NOT NULL AND p.pubinsert AND p.pubupdate AND "
                             "p.pubdelete AND p.pubtruncate AND p.pubviaroot"),
                    fmt::arg("whole", lists ? "pr.prqual IS NULL AND pr.prattrs IS NULL" : "true"),
                    fmt::arg("users", readings::kUsers), fmt::arg("free", readings::free("pg_class", "c.oid"))));
    const PgResult subscribed = co_await subscriber.query(kSubscribed, names::subscription(subscriber.side()));
    std::map<std::string, std::string> states;
    for (int i = 0; i < subscribed.rows(); ++i) {
        states[subscribed.as<std::string>(i, 0)] = subscribed.as<std::string>(i, 1);
    }
    std::vector<Uncarried> found;
    const auto report = [&](int row, std::string sentence, std::string remedy) {
        found.push_back({source.database(), published.as<std::string>(row, 0), std::move(sentence), std::move(remedy)});
    };
    for (int i = 0; i < published.rows(); ++i) {
        const auto state = states.find(published.as<std::string>(i, 0));
        if (!published.as<bool>(i, 1)) {
            report(i, fmt::format("is not (wholly) published by {}", turnout::name(source.side())), "turnout sync");
        } else if (!published.as<bool>(i, 2)) {
            report(i,
                   fmt::format("is published by {} with a row filter or a column list", turnout::name(source.side())),
                   fmt::format("ALTER PUBLICATION {} SET TABLE …", names::kTablesPublication));
        } else if (state == states.end()) {
            report(i, fmt::format("is not subscribed to by {}", turnout::name(subscriber.side())), "turnout sync");
        } else if (state->second != "r") {
            report(i, fmt::format("{} on {}", table_of_state(state->second), turnout::name(subscriber.side())),
                   "wait, and see the server's log if it does not end");
        }
    }
    co_return found;
}

}  // namespace turnout::control
