#include "control/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "control/names.hpp"

namespace turnout::control {

namespace {

/// Schemas of users, over the alias `n`.
constexpr std::string_view kUsers = "n.nspname NOT IN ('information_schema', 'turnout') AND n.nspname !~ '^pg_'";

/// The object is no member of an extension; arguments: its catalog, its OID.
constexpr std::string_view kFree =
    "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{}'::regclass AND e.objid = {} AND e.deptype = 'e')";

/// Who may do what, the owner's own rights left out. MAINTAIN exists from 17 on and comes with ownership.
constexpr std::string_view kGrants =
    "SELECT {kind} || ' ' || {name}, 'grant ' || a.privilege_type || ' to ' || "
    "coalesce((SELECT rolname FROM pg_roles WHERE oid = a.grantee), 'public') "
    "|| CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END "
    "FROM {from}, aclexplode({acl}) a WHERE {where} AND a.grantee <> {owner} AND a.privilege_type <> 'MAINTAIN'";

// Each reading is a question about one kind of object; its rows are an object's name and one line about it. A line must
// read the same on every major version: nothing here depends on how one of them prints a query.

constexpr std::string_view kRelationName = "format('%I.%I', n.nspname, c.relname)";

std::vector<std::string> relation_readings() {
    const std::string free = fmt::format(fmt::runtime(kFree), "pg_class", "c.oid");
    const std::string kind =
        "CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN "
        "'materialized view' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' END";
    const std::string from = fmt::format(
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','v','m','f','c') "
        "AND c.relpersistence <> 't' AND {} AND {}",
        kUsers, free);
    const std::string name = fmt::format("{} || ' ' || {}", kind, kRelationName);
    std::vector<std::string> all;
    all.push_back(fmt::format(
        "SELECT {}, 'kind ' || c.relkind::text || ' persistence ' || c.relpersistence::text || ' replica identity ' || "
        "c.relreplident::text "
        "|| ' row security ' || c.relrowsecurity || ' forced ' || c.relforcerowsecurity || ' owner ' || "
        "pg_get_userbyid(c.relowner) || coalesce(' partition by ' || CASE WHEN c.relkind = 'p' THEN "
        "pg_get_partkeydef(c.oid) END, '') || coalesce(' ' || pg_get_expr(c.relpartbound, c.oid), '') {}",
        name, from));
    all.push_back(
        fmt::format("SELECT o.name, 'inherits ' || i.inhparent::regclass FROM (SELECT {} AS name, c.oid {}) o "
                    "JOIN pg_inherits i ON i.inhrelid = o.oid",
                    name, from));
    all.push_back(fmt::format(
        "SELECT o.name, 'column ' || quote_ident(t.attname) || ' ' || format_type(t.atttypid, t.atttypmod) "
        "|| CASE WHEN t.attnotnull THEN ' not null' ELSE '' END "
        "|| CASE t.attidentity WHEN 'a' THEN ' identity always' WHEN 'd' THEN ' identity by default' ELSE '' END "
        "|| CASE t.attgenerated WHEN 's' THEN ' generated stored' WHEN 'v' THEN ' generated virtual' ELSE '' END "
        "|| coalesce(' collate ' || (SELECT quote_ident(l.collname) FROM pg_collation l, pg_type y WHERE l.oid = "
        "t.attcollation AND y.oid = t.atttypid AND t.attcollation <> y.typcollation), '') "
        "|| coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') "
        "FROM (SELECT {} AS name, c.oid {}) o JOIN pg_attribute t ON t.attrelid = o.oid AND t.attnum > 0 "
        "AND NOT t.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid = t.attrelid AND d.adnum = t.attnum",
        name, from));
    all.push_back(
        fmt::format("SELECT o.name, 'constraint ' || quote_ident(k.conname) || ' ' || "
                    "pg_get_constraintdef(k.oid) FROM (SELECT {} AS name, c.oid {}) o "
                    "JOIN pg_constraint k ON k.conrelid = o.oid AND k.contype IN ('c','f','p','u','x')",
                    name, from));
    all.push_back(
        fmt::format("SELECT o.name, 'trigger ' || g.tgenabled::text || ' ' || pg_get_triggerdef(g.oid) "
                    "FROM (SELECT {} AS name, c.oid {}) o JOIN pg_trigger g ON g.tgrelid = o.oid "
                    "AND NOT g.tgisinternal",
                    name, from));
    all.push_back(
        fmt::format("SELECT o.name, 'policy ' || quote_ident(p.polname) || ' ' || p.polcmd::text || ' ' || "
                    "p.polpermissive || ' to ' || "
                    "(SELECT string_agg(CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r) END, ',' ORDER BY 1) FROM "
                    "unnest(p.polroles) r) || coalesce(' using ' || pg_get_expr(p.polqual, p.polrelid), '') "
                    "|| coalesce(' check ' || pg_get_expr(p.polwithcheck, p.polrelid), '') "
                    "FROM (SELECT {} AS name, c.oid {}) o JOIN pg_policy p ON p.polrelid = o.oid",
                    name, from));
    all.push_back(
        fmt::format(fmt::runtime(kGrants), fmt::arg("kind", kind), fmt::arg("name", kRelationName),
                    fmt::arg("from", "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"),
                    fmt::arg("acl", "c.relacl"), fmt::arg("owner", "c.relowner"),
                    fmt::arg("where", fmt::format("c.relkind IN ('r','p','v','m','f') AND c.relpersistence <> "
                                                  "'t' AND {} AND {}",
                                                  kUsers, free))));
    return all;
}

/// Operators, casts, aggregates, and what text is sorted and searched by.
std::vector<std::string> operator_readings() {
    const auto free = [](std::string_view catalog, std::string_view oid) {
        return fmt::format(fmt::runtime(kFree), catalog, oid);
    };
    return {
        fmt::format("SELECT 'operator ' || format('%I.%s(%s,%s)', n.nspname, o.oprname, format_type(o.oprleft, NULL), "
                    "format_type(o.oprright, NULL)), format('%s returns %s commutator %s negator %s hashes %s merges "
                    "%s owner %s', o.oprcode, format_type(o.oprresult, NULL), o.oprcom::regoper, o.oprnegate::regoper, "
                    "o.oprcanhash, o.oprcanmerge, pg_get_userbyid(o.oprowner)) FROM pg_operator o JOIN pg_namespace n "
                    "ON n.oid = o.oprnamespace WHERE {} AND {}",
                    kUsers, free("pg_operator", "o.oid")),
        fmt::format("SELECT 'cast ' || format('(%s as %s)', format_type(k.castsource, NULL), "
                    "format_type(k.casttarget, NULL)), format('by %s %s %s', k.castmethod, CASE k.castfunc WHEN 0 THEN "
                    "'nothing' ELSE k.castfunc::regprocedure::text END, k.castcontext) FROM pg_cast k WHERE k.oid >= "
                    "16384 AND {}",
                    free("pg_cast", "k.oid")),
        fmt::format("SELECT 'aggregate ' || format('%I.%I(%s)', n.nspname, p.proname, "
                    "pg_get_function_identity_arguments(p.oid)), format('transition %s final %s state %s initial %s', "
                    "a.aggtransfn, a.aggfinalfn, format_type(a.aggtranstype, NULL), a.agginitval) FROM pg_aggregate a "
                    "JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {} AND "
                    "{}",
                    kUsers, free("pg_proc", "p.oid")),
        fmt::format("SELECT 'operator class ' || format('%I.%I using %I', n.nspname, c.opcname, m.amname), format('for "
                    "%s default %s', format_type(c.opcintype, NULL), c.opcdefault) FROM pg_opclass c JOIN pg_namespace "
                    "n ON n.oid = c.opcnamespace JOIN pg_am m ON m.oid = c.opcmethod WHERE {} AND {}",
                    kUsers, free("pg_opclass", "c.oid")),
        fmt::format("SELECT 'collation ' || format('%I.%I', n.nspname, c.collname), format('provider %s deterministic "
                    "%s', c.collprovider, c.collisdeterministic) FROM pg_collation c JOIN pg_namespace n ON n.oid = "
                    "c.collnamespace WHERE {} AND {}",
                    kUsers, free("pg_collation", "c.oid")),
        fmt::format("SELECT 'text search configuration ' || format('%I.%I', n.nspname, c.cfgname), format('parser %I', "
                    "(SELECT prsname FROM pg_ts_parser WHERE oid = c.cfgparser)) FROM pg_ts_config c JOIN pg_namespace "
                    "n ON n.oid = c.cfgnamespace WHERE {} AND {}",
                    kUsers, free("pg_ts_config", "c.oid"))};
}

std::vector<std::string> other_readings() {
    const std::string free_class = fmt::format(fmt::runtime(kFree), "pg_class", "c.oid");
    const std::string free_function = fmt::format(fmt::runtime(kFree), "pg_proc", "p.oid");
    const std::string free_type = fmt::format(fmt::runtime(kFree), "pg_type", "t.oid");
    const std::string type = "'type ' || format('%I.%I', n.nspname, t.typname)";
    std::vector<std::string> all;
    all.push_back(fmt::format(
        "SELECT 'index ' || {}, pg_get_indexdef(i.indexrelid) || ' valid ' || i.indisvalid || ' replica identity ' || "
        "i.indisreplident FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = "
        "c.relnamespace WHERE c.relpersistence <> 't' AND {} AND {}",
        kRelationName, kUsers, free_class));
    all.push_back(fmt::format(
        "SELECT 'sequence ' || {}, format('%s start %s increment %s min %s max %s cache %s cycle %s persistence %s', "
        "format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle, "
        "c.relpersistence) FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = "
        "c.relnamespace WHERE c.relpersistence <> 't' AND {} AND {}",
        kRelationName, kUsers, free_class));
    all.push_back(fmt::format(
        "SELECT 'function ' || format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), "
        "format('%s returns %s language %s %s strict %s secdef %s parallel %s owner %s config %s source %s', "
        "p.prokind, "
        "pg_get_function_result(p.oid), l.lanname, p.provolatile, p.proisstrict, p.prosecdef, p.proparallel, "
        "pg_get_userbyid(p.proowner), p.proconfig, md5(p.prosrc)) "
        "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang "
        "WHERE {} AND {}",
        kUsers, free_function));
    all.push_back(
        fmt::format("SELECT {}, 'label ' || row_number() OVER (PARTITION BY t.oid ORDER BY e.enumsortorder) || ' ' "
                    "|| e.enumlabel FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
                    "JOIN pg_enum e ON e.enumtypid = t.oid WHERE {} AND {}",
                    type, kUsers, free_type));
    all.push_back(fmt::format(
        "SELECT {}, 'domain over ' || format_type(t.typbasetype, t.typtypmod) || CASE WHEN t.typnotnull THEN ' not "
        "null' "
        "ELSE '' END || coalesce(' default ' || t.typdefault, '') FROM pg_type t JOIN pg_namespace n ON n.oid = "
        "t.typnamespace WHERE t.typtype = 'd' AND {} AND {}",
        type, kUsers, free_type));
    all.push_back(
        fmt::format("SELECT {}, 'constraint ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid) "
                    "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
                    "JOIN pg_constraint k ON k.contypid = t.oid AND k.contype = 'c' WHERE {} AND {}",
                    type, kUsers, free_type));
    all.push_back(
        fmt::format("SELECT {}, 'range of ' || format_type(r.rngsubtype, NULL) FROM pg_type t "
                    "JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_range r ON r.rngtypid = t.oid "
                    "WHERE {} AND {}",
                    type, kUsers, free_type));
    for (std::string& sql : operator_readings()) all.push_back(std::move(sql));
    all.push_back("SELECT 'extension ' || quote_ident(extname), 'installed' FROM pg_extension");
    // From 15 on `public` belongs to a role that stands for whoever owns the database.
    all.push_back(
        fmt::format("SELECT 'schema ' || quote_ident(n.nspname), 'owner ' || CASE WHEN pg_get_userbyid(n.nspowner) = "
                    "'pg_database_owner' OR (n.nspname = 'public' AND n.nspowner = d.datdba) THEN 'of the database' "
                    "ELSE pg_get_userbyid(n.nspowner) END FROM pg_namespace n JOIN pg_database d ON d.datname = "
                    "current_database() WHERE {} AND {}",
                    kUsers, fmt::format(fmt::runtime(kFree), "pg_namespace", "n.oid")));
    all.push_back(
        "SELECT 'event trigger ' || quote_ident(evtname), format('%s %s %s', evtevent, evtenabled, evtfoid::regproc) "
        "FROM pg_event_trigger e WHERE evtname !~ '^turnout_' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid "
        "= "
        "'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')");
    return all;
}

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
         c.relforcerowsecurity, c.relispartition
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
  (SELECT concat(count(*), ':', sum(oid::bigint)) FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'),
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

}  // namespace

asio::awaitable<bool> has_databases(PgConnection& connection, const std::vector<std::string>& databases) {
    const PgResult there =
        co_await connection.query("SELECT count(*) FROM pg_catalog.pg_database WHERE datname = ANY ($1)", databases);
    co_return there.as<std::size_t>(0, 0) == databases.size();
}

asio::awaitable<Schema> read_schema(PgConnection& connection) {
    std::vector<std::string> readings = relation_readings();
    for (std::string& sql : other_readings()) readings.push_back(std::move(sql));
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
    const PgResult published = co_await source.query(fmt::format(
        fmt::runtime(kPublished),
        fmt::arg("published",
                 "pr.oid IS NOT NULL AND p.pubinsert AND p.pubupdate AND "
                 "p.pubdelete AND p.pubtruncate AND p.pubviaroot"),
        fmt::arg("whole", lists ? "pr.prqual IS NULL AND pr.prattrs IS NULL" : "true"), fmt::arg("users", kUsers),
        fmt::arg("free", fmt::format(fmt::runtime(kFree), "pg_class", "c.oid"))));
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
