#include "control/sequence_raise.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/use_awaitable.hpp>

namespace turnout::control {

namespace {

/// Each sequence with each whole-number column that it fills (NULL: none), and whether it counts upwards.
constexpr const char* kFilled = R"(
SELECT DISTINCT format('%I.%I', sn.nspname, s.relname), quote_ident(tn.nspname) || '.' || quote_ident(t.relname),
       quote_ident(a.attname), q.seqincrement > 0
FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace sn ON sn.oid = s.relnamespace
LEFT JOIN (
    SELECT objid AS sequence, refobjid AS relation, refobjsubid AS attribute FROM pg_depend
    WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
      AND refobjsubid > 0
    UNION
    SELECT d.refobjid, f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
    WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
) fills ON fills.sequence = s.oid
LEFT JOIN (pg_attribute a JOIN pg_class t ON t.oid = a.attrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace)
    ON a.attrelid = fills.relation AND a.attnum = fills.attribute
    AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
WHERE s.relpersistence <> 't' AND sn.nspname <> 'turnout' AND sn.nspname !~ '^pg_'
ORDER BY 1, 2 NULLS LAST, 3)";

/// A row: it was set. Beyond its own bounds it is left, and nextval would tell.
std::string raise_sql(std::string_view sequence, std::string_view table, std::string_view column, bool upwards) {
    return fmt::format(
        "SELECT setval({0}::regclass, used.furthest) FROM (SELECT {1}({2}) AS furthest FROM {3}) used, {4} s, "
        "pg_sequence q WHERE q.seqrelid = {0}::regclass AND used.furthest BETWEEN q.seqmin AND q.seqmax AND "
        "(used.furthest {5} s.last_value OR (used.furthest = s.last_value AND NOT s.is_called))",
        PgConnection::literal(sequence), upwards ? "max" : "min", column, table, sequence, upwards ? ">" : "<");
}

}  // namespace

asio::awaitable<RaisedSequences> raise_sequences(PgConnection& connection) {
    RaisedSequences report;
    const PgResult filled = co_await connection.query(kFilled);
    std::string known;
    for (int i = 0; i < filled.rows(); ++i) {
        const std::string sequence = filled.as<std::string>(i, 0);
        if (filled.is_null(i, 1)) {
            if (sequence != known) report.unknown.push_back(sequence);
            continue;
        }
        known = sequence;
        const std::string sql = raise_sql(sequence, filled.get(i, 1), filled.get(i, 2), filled.as<bool>(i, 3));
        const PgResult set = co_await connection.query_by(Clock::time_point::max(), sql);
        const bool told = !report.raised.empty() && report.raised.back() == sequence;
        if (!set.empty() && !told) report.raised.push_back(sequence);
    }
    co_return report;
}

}  // namespace turnout::control
