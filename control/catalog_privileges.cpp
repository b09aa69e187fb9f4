// Who owns what, and may do what.
#include <fmt/format.h>

#include "control/catalog_readings.hpp"

namespace turnout::control::readings {

namespace {

/// Objects whose access privileges are read.
struct Grants {
    std::string object;  ///< its name, in SQL
    std::string from;    ///< where it is
    std::string acl;
    std::string owner;
    std::string where = "true";
    std::string of = "''";  ///< what of the object
};

/// Who may do what with it, the owner's own rights left out. MAINTAIN exists from 17 on and comes with ownership.
std::string grants(const Grants& on) {
    return fmt::format(
        "SELECT {}, 'grant ' || a.privilege_type || {} || ' to ' || coalesce((SELECT quote_ident(rolname) FROM "
        "pg_roles "
        "WHERE oid = a.grantee), 'public') || CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END FROM {} "
        "CROSS JOIN LATERAL aclexplode({}) a WHERE {} AND a.grantee <> {} AND a.privilege_type <> 'MAINTAIN'",
        on.object, on.of, on.from, on.acl, on.where, on.owner);
}

/// What stands for "nobody has granted or revoked anything": for some kinds of objects PUBLIC has rights by that.
std::string or_default(std::string_view acl, char kind, std::string_view owner) {
    return fmt::format("coalesce({}, acldefault('{}', {}))", acl, kind, owner);
}

std::string users_and(const std::string& condition) { return fmt::format("{} AND {}", kUsers, condition); }

std::vector<std::string> relations() {
    const std::string object = fmt::format("{} || ' ' || {}", kRelationKind, kRelationName);
    const std::string from = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace";
    const std::string where = users_and("c.relkind IN ('r','p','v','m','f','S') AND c.relpersistence <> 't' AND " +
                                        free("pg_class", "c.oid"));
    return {
        grants({.object = object, .from = from, .acl = "c.relacl", .owner = "c.relowner", .where = where}),
        grants({.object = object,
                .from = from + " JOIN pg_attribute t ON t.attrelid = c.oid AND NOT t.attisdropped",
                .acl = "t.attacl",
                .owner = "c.relowner",
                .where = where,
                .of = "' (' || quote_ident(t.attname) || ')'"}),
        fmt::format("SELECT {}, format('owner %s%s', pg_get_userbyid(c.relowner), (SELECT format(' owned by %s.%I', "
                    "d.refobjid::regclass, t.attname) FROM pg_depend d JOIN pg_attribute t ON t.attrelid = "
                    "d.refobjid AND t.attnum = d.refobjsubid WHERE d.classid = 'pg_class'::regclass AND d.objid = "
                    "c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))) FROM {} WHERE {} "
                    "AND c.relkind = 'S'",
                    object, from, where)};
}

std::vector<std::string> types() {
    const std::string from = "pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace";
    const std::string where = users_and(
        "(t.typtype IN ('d', 'e', 'r') OR t.typtype = 'b' AND t.typcategory <> 'A' OR EXISTS (SELECT FROM pg_class k "
        "WHERE k.oid = t.typrelid AND k.relkind = 'c')) AND " +
        free("pg_type", "t.oid"));
    return {grants({.object = std::string(kType),
                    .from = from,
                    .acl = or_default("t.typacl", 'T', "t.typowner"),
                    .owner = "t.typowner",
                    .where = where}),
            fmt::format("SELECT {}, 'owner ' || pg_get_userbyid(t.typowner) FROM {} WHERE {} AND t.typtype <> 'c'",
                        kType, from, where)};
}

/// From 15 on `public` belongs to a role that stands for whoever owns the database. What PUBLIC may do there, a copy
/// brings over, also between majors that begin otherwise.
std::vector<std::string> schemas() {
    const std::string object = "'schema ' || quote_ident(n.nspname)";
    const std::string where = users_and(free("pg_namespace", "n.oid"));
    return {
        grants({.object = object, .from = "pg_namespace n", .acl = "n.nspacl", .owner = "n.nspowner", .where = where}),
        fmt::format("SELECT {}, 'owner ' || CASE WHEN pg_get_userbyid(n.nspowner) = 'pg_database_owner' OR "
                    "(n.nspname = 'public' AND n.nspowner = d.datdba) THEN 'of the database' ELSE "
                    "pg_get_userbyid(n.nspowner) END FROM pg_namespace n JOIN pg_database d ON d.datname = "
                    "current_database() WHERE {}",
                    object, where)};
}

/// Default privileges are compared with the owner's own: REVOKE leaves nothing else.
std::vector<std::string> defaults() {
    return {
        "SELECT 'default privileges of ' || quote_ident(pg_get_userbyid(d.defaclrole)) || coalesce(' in schema ' || "
        "(SELECT quote_ident(nspname) FROM pg_namespace WHERE oid = d.defaclnamespace), ''), format('on objects of "
        "kind %s grant %s to %s%s', d.defaclobjtype, a.privilege_type, coalesce((SELECT quote_ident(rolname) FROM "
        "pg_roles WHERE oid = a.grantee), 'public'), CASE WHEN a.is_grantable THEN ' with grant option' END) FROM "
        "pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) a WHERE a.privilege_type <> 'MAINTAIN'"};
}

std::vector<std::string> others() {
    return {grants({.object = std::string(kFunction),
                    .from = "pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace",
                    .acl = or_default("p.proacl", 'f', "p.proowner"),
                    .owner = "p.proowner",
                    .where = users_and(free_and_not_implied("pg_proc", "p.oid"))}),
            grants({.object = "'language ' || quote_ident(l.lanname)",
                    .from = "pg_language l",
                    .acl = or_default("l.lanacl", 'l', "l.lanowner"),
                    .owner = "l.lanowner"}),
            "SELECT 'language ' || quote_ident(lanname), 'trusted ' || lanpltrusted FROM pg_language",
            grants({.object = "'foreign data wrapper ' || quote_ident(w.fdwname)",
                    .from = "pg_foreign_data_wrapper w",
                    .acl = "w.fdwacl",
                    .owner = "w.fdwowner"}),
            grants({.object = "'server ' || quote_ident(s.srvname)",
                    .from = "pg_foreign_server s",
                    .acl = "s.srvacl",
                    .owner = "s.srvowner"}),
            grants({.object = "'database ' || quote_ident(d.datname)",
                    .from = "pg_database d",
                    .acl = or_default("d.datacl", 'd', "d.datdba"),
                    .owner = "d.datdba",
                    .where = "d.datname = current_database()"}),
            "SELECT 'database ' || quote_ident(datname), 'owner ' || pg_get_userbyid(datdba) FROM pg_database WHERE "
            "datname = current_database()",
            // Those of roles and databases belong to the server.
            "SELECT 'security label of ' || objtype || ' ' || objname, provider || ' ' || label FROM pg_seclabels "
            "WHERE objtype NOT IN ('database', 'role', 'tablespace', 'large object', 'publication', 'subscription')"};
}

}  // namespace

std::vector<std::string> of_privileges() {
    std::vector<std::string> all;
    for (auto readings : {relations, types, schemas, defaults, others}) {
        for (std::string& sql : readings()) all.push_back(std::move(sql));
    }
    return all;
}

}  // namespace turnout::control::readings
