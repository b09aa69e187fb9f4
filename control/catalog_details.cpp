// What only planning, storage and people depend on.
#include <fmt/format.h>

#include "control/catalog_readings.hpp"

namespace turnout::control::readings {

std::vector<std::string> of_details() {
    const std::string from = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace";
    const std::string where = fmt::format("c.relpersistence <> 't' AND {} AND {}", kUsers, free("pg_class", "c.oid"));
    const std::string name = fmt::format("{} || ' ' || {}", kRelationKind, kRelationName);
    return {
        fmt::format("SELECT {}, 'with ' || w FROM {} CROSS JOIN LATERAL (SELECT unnest(c.reloptions) UNION ALL SELECT "
                    "'toast.' || unnest(o.reloptions) FROM pg_class o WHERE o.oid = c.reltoastrelid) AS options (w) "
                    "WHERE c.relkind IN ('r', 'p', 'm') AND {}",
                    name, from, where),
        // -1 until 16, NULL from 17 on: the server's own target.
        fmt::format("SELECT {}, format('column %I statistics target %s', t.attname, t.attstattarget) FROM {} JOIN "
                    "pg_attribute t ON t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped WHERE c.relkind IN "
                    "('r', 'p', 'm', 'f', 'i', 'I') AND t.attstattarget >= 0 AND {}",
                    name, from, where),
        // Compression came with 14: a column that 13 does not have.
        fmt::format("SELECT {}, format('column %I storage %s compression %s options %s', t.attname, t.attstorage, "
                    "nullif(to_jsonb(t) ->> 'attcompression', ''), t.attoptions) FROM {} JOIN pg_attribute t ON "
                    "t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped JOIN pg_type y ON y.oid = t.atttypid "
                    "WHERE c.relkind IN ('r', 'p', 'm') AND (t.attstorage <> y.typstorage OR t.attoptions IS NOT NULL "
                    "OR to_jsonb(t) ->> 'attcompression' <> '') AND {}",
                    name, from, where),
        fmt::format("SELECT {}, 'clustered' FROM {} JOIN pg_index i ON i.indexrelid = c.oid WHERE i.indisclustered AND "
                    "{}",
                    name, from, where),
        fmt::format("SELECT 'statistics ' || format('%I.%I', n.nspname, s.stxname), format('%s owner %s target %s', "
                    "pg_get_statisticsobjdef(s.oid), pg_get_userbyid(s.stxowner), CASE WHEN s.stxstattarget >= 0 THEN "
                    "s.stxstattarget END) FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE "
                    "{} AND {}",
                    kUsers, free("pg_statistic_ext", "s.oid")),
        "SELECT format('comment on %s %s', i.type, i.identity), d.description FROM pg_description d CROSS JOIN LATERAL "
        "pg_identify_object(d.classoid, d.objoid, d.objsubid) i WHERE d.objoid >= 16384 AND coalesce(i.schema, '') <> "
        "'turnout' AND coalesce(i.schema, '') !~ '^pg_' AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = "
        "d.classoid AND e.objid = d.objoid AND e.deptype = 'e')"};
}

}  // namespace turnout::control::readings
