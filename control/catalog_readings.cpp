// Objects and what they are made of.
#include <fmt/format.h>

#include "control/catalog_readings.hpp"

namespace turnout::control::readings {

namespace {

std::vector<std::string> relation_readings() {
    const std::string from = fmt::format(
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','v','m','f','c') "
        "AND c.relpersistence <> 't' AND {} AND {}",
        kUsers, free("pg_class", "c.oid"));
    const std::string name = fmt::format("{} || ' ' || {}", kRelationKind, kRelationName);
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
        fmt::format("SELECT o.name, format('rule %I on %s instead %s enabled %s', u.rulename, u.ev_type, u.is_instead, "
                    "u.ev_enabled) FROM (SELECT {} AS name, c.oid {}) o JOIN pg_rewrite u ON u.ev_class = o.oid AND "
                    "u.rulename <> '_RETURN'",
                    name, from));
    // Of a view they say whose rights count, and what may be written through it.
    all.push_back(
        fmt::format("SELECT o.name, 'with ' || w FROM (SELECT {} AS name, c.reloptions, c.relkind {}) o "
                    "CROSS JOIN unnest(o.reloptions) w WHERE o.relkind = 'v'",
                    name, from));
    return all;
}

/// Operators, casts, aggregates, and what text is sorted and searched by.
std::vector<std::string> operator_readings() {
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

/// What leads to other servers. What is secret among the options is not said: that there is one is compared.
std::vector<std::string> foreign_readings() {
    const auto options = [](std::string_view column) {
        return fmt::format(
            "coalesce((SELECT string_agg(CASE WHEN option_name ~* 'pass|secret|key|token' THEN option_name ELSE "
            "format('%s=%s', option_name, option_value) END, ' ' ORDER BY option_name) FROM "
            "pg_options_to_table({})), '')",
            column);
    };
    return {
        fmt::format("SELECT 'foreign data wrapper ' || quote_ident(w.fdwname), format('handler %s validator %s options "
                    "%s owner %s', w.fdwhandler::regproc, w.fdwvalidator::regproc, {}, pg_get_userbyid(w.fdwowner)) "
                    "FROM pg_foreign_data_wrapper w WHERE {}",
                    options("w.fdwoptions"), free("pg_foreign_data_wrapper", "w.oid")),
        fmt::format("SELECT 'server ' || quote_ident(s.srvname), format('of %I type %s version %s options %s owner "
                    "%s', w.fdwname, s.srvtype, s.srvversion, {}, pg_get_userbyid(s.srvowner)) FROM pg_foreign_server "
                    "s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE {}",
                    options("s.srvoptions"), free("pg_foreign_server", "s.oid")),
        fmt::format("SELECT format('user mapping of %s for %I', CASE u.umuser WHEN 0 THEN 'public' ELSE "
                    "quote_ident(pg_get_userbyid(u.umuser)) END, s.srvname), 'options ' || {} FROM pg_user_mapping u "
                    "JOIN pg_foreign_server s ON s.oid = u.umserver",
                    options("u.umoptions")),
        fmt::format("SELECT 'foreign table ' || {}, format('on %I options %s', s.srvname, {}) FROM pg_foreign_table f "
                    "JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN "
                    "pg_foreign_server s ON s.oid = f.ftserver WHERE {} AND {}",
                    kRelationName, options("f.ftoptions"), kUsers, free("pg_class", "c.oid")),
        fmt::format("SELECT 'foreign table ' || {}, format('column %I options %s', t.attname, {}) FROM pg_attribute t "
                    "JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
                    "t.attfdwoptions IS NOT NULL AND NOT t.attisdropped AND {} AND {}",
                    kRelationName, options("t.attfdwoptions"), kUsers, free("pg_class", "c.oid"))};
}

std::vector<std::string> other_readings() {
    const std::string free_class = free("pg_class", "c.oid");
    const std::string free_type = free("pg_type", "t.oid");
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
        "SELECT {}, format('%s returns %s language %s %s strict %s secdef %s parallel %s owner %s config %s source "
        "%s', "
        "p.prokind, "
        "pg_get_function_result(p.oid), l.lanname, p.provolatile, p.proisstrict, p.prosecdef, p.proparallel, "
        "pg_get_userbyid(p.proowner), p.proconfig, md5(p.prosrc)) "
        "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang "
        "WHERE {} AND {}",
        kFunction, kUsers, free_and_not_implied("pg_proc", "p.oid")));
    all.push_back(
        fmt::format("SELECT {}, 'label ' || row_number() OVER (PARTITION BY t.oid ORDER BY e.enumsortorder) || ' ' "
                    "|| e.enumlabel FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
                    "JOIN pg_enum e ON e.enumtypid = t.oid WHERE {} AND {}",
                    kType, kUsers, free_type));
    all.push_back(fmt::format(
        "SELECT {}, 'domain over ' || format_type(t.typbasetype, t.typtypmod) || CASE WHEN t.typnotnull THEN ' not "
        "null' "
        "ELSE '' END || coalesce(' default ' || t.typdefault, '') FROM pg_type t JOIN pg_namespace n ON n.oid = "
        "t.typnamespace WHERE t.typtype = 'd' AND {} AND {}",
        kType, kUsers, free_type));
    all.push_back(
        fmt::format("SELECT {}, 'constraint ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid) "
                    "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
                    "JOIN pg_constraint k ON k.contypid = t.oid AND k.contype = 'c' WHERE {} AND {}",
                    kType, kUsers, free_type));
    all.push_back(
        fmt::format("SELECT {}, 'range of ' || format_type(r.rngsubtype, NULL) FROM pg_type t "
                    "JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_range r ON r.rngtypid = t.oid "
                    "WHERE {} AND {}",
                    kType, kUsers, free_type));
    all.push_back("SELECT 'extension ' || quote_ident(extname), 'installed' FROM pg_extension");
    all.push_back(
        "SELECT 'event trigger ' || quote_ident(evtname), format('%s %s %s', evtevent, evtenabled, evtfoid::regproc) "
        "FROM pg_event_trigger e WHERE evtname !~ '^turnout_' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid "
        "= "
        "'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')");
    return all;
}

}  // namespace

std::string free(std::string_view catalog, std::string_view oid) {
    return fmt::format(
        "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{}'::regclass AND e.objid = {} AND e.deptype = 'e')",
        catalog, oid);
}

std::string free_and_not_implied(std::string_view catalog, std::string_view oid) {
    return fmt::format(
        "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{}'::regclass AND e.objid = {} AND e.deptype IN ('e', "
        "'i'))",
        catalog, oid);
}

std::vector<std::string> of_objects() {
    std::vector<std::string> all = relation_readings();
    for (std::string& sql : operator_readings()) all.push_back(std::move(sql));
    for (std::string& sql : foreign_readings()) all.push_back(std::move(sql));
    for (std::string& sql : other_readings()) all.push_back(std::move(sql));
    return all;
}

}  // namespace turnout::control::readings
