#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "control/sync.hpp"
#include "control/sync_steps.hpp"

namespace turnout::control {

namespace {

std::string quote(std::string_view name) { return PgConnection::identifier(name); }

/// Settings whose value is a list of names: PostgreSQL keeps them quoted already.
bool is_list_setting(std::string_view name) {
    constexpr std::string_view kLists[] = {"search_path", "temp_tablespaces", "session_preload_libraries",
                                           "local_preload_libraries", "createrole_self_grant"};
    return std::find(std::begin(kLists), std::end(kLists), name) != std::end(kLists);
}

/// "name=value" of pg_db_role_setting as "SET name TO …".
std::string set_clause(std::string_view setting) {
    const auto equals = setting.find('=');
    const std::string_view name = setting.substr(0, equals);
    const std::string_view value = setting.substr(equals + 1);
    // A custom setting has dots between its parts, each an identifier.
    std::string quoted;
    for (std::size_t begin = 0; begin <= name.size();) {
        const std::size_t dot = std::min(name.find('.', begin), name.size());
        quoted += (quoted.empty() ? "" : ".") + quote(name.substr(begin, dot - begin));
        begin = dot + 1;
    }
    const bool raw = is_list_setting(name) && !value.empty() && value != "\"\"";
    const std::string_view plain = value == "\"\"" && is_list_setting(name) ? std::string_view{} : value;
    return fmt::format("SET {} TO {}", quoted, raw ? std::string(value) : PgConnection::literal(plain));
}

/// Runs one statement that may be beyond the target (a setting or an attribute that it does not know).
asio::awaitable<void> attempt(PgConnection& target, std::string sql, std::string what, Notices& notices) {
    try {
        co_await target.query(sql);
    } catch (const PgError& error) {
        if (!error.refused()) throw;
        notices.push_back(fmt::format("{} was not taken over: {}", what, error.fields().message));
    }
}

// Attributes in the order of the query below.
constexpr const char* kRoles = R"(
SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit,
       rolpassword, rolvaliduntil FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY rolname)";

std::string attributes(const PgResult& roles, int row) {
    constexpr const char* kNames[] = {"SUPERUSER", "INHERIT",     "CREATEROLE", "CREATEDB",
                                      "LOGIN",     "REPLICATION", "BYPASSRLS"};
    std::string text;
    for (int i = 0; i < 7; ++i) text += fmt::format(" {}{}", roles.as<bool>(row, i + 1) ? "" : "NO", kNames[i]);
    text += fmt::format(" CONNECTION LIMIT {}", roles.get(row, 8));
    text += " VALID UNTIL " +
            (roles.is_null(row, 10) ? std::string("'infinity'") : PgConnection::literal(roles.get(row, 10)));
    return text;
}

std::string password(const PgResult& roles, int row) {
    return roles.is_null(row, 9) ? " PASSWORD NULL" : " PASSWORD " + PgConnection::literal(roles.get(row, 9));
}

std::vector<std::string> row_text(const PgResult& roles, int row) {
    std::vector<std::string> values;
    for (int i = 0; i < roles.columns(); ++i) values.emplace_back(roles.is_null(row, i) ? "\1" : roles.get(row, i));
    if (values.back() == "infinity") values.back() = "\1";  // what NULL becomes on the other side
    return values;
}

asio::awaitable<void> sync_role_rows(PgConnection& source, PgConnection& target, Notices& notices) {
    const PgResult wanted = co_await source.query(kRoles);
    const PgResult present = co_await target.query(kRoles);
    const PgResult self = co_await target.query("SELECT current_user, (SELECT rolname FROM pg_authid WHERE oid = 10)");
    std::map<std::string, std::vector<std::string>> there;
    for (int i = 0; i < present.rows(); ++i) there[present.as<std::string>(i, 0)] = row_text(present, i);
    for (int i = 0; i < wanted.rows(); ++i) {
        const std::string name = wanted.as<std::string>(i, 0);
        const auto found = there.find(name);
        if (found != there.end() && found->second == row_text(wanted, i)) continue;
        if (name == self.get(0, 0) || name == self.get(0, 1)) {
            if (found != there.end()) {
                notices.push_back(
                    fmt::format("role {} keeps its own password and rights on {}", name, turnout::name(target.side())));
                continue;
            }
        }
        if (found == there.end()) co_await target.query(fmt::format("CREATE ROLE {}", quote(name)));
        co_await target.query(
            fmt::format("ALTER ROLE {}{}{}", quote(name), attributes(wanted, i), password(wanted, i)));
    }
}

asio::awaitable<void> sync_memberships(PgConnection& source, PgConnection& target, Notices& notices) {
    const bool options = source.server_major() >= 16 && target.server_major() >= 16;
    const std::string sql = fmt::format(
        "SELECT r.rolname, m.rolname, a.admin_option{} FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid "
        "JOIN pg_roles m ON m.oid = a.member ORDER BY 1, 2",
        options ? ", a.inherit_option, a.set_option" : "");
    const PgResult wanted = co_await source.query(sql);
    const PgResult present = co_await target.query(sql);
    std::vector<std::vector<std::string>> there;
    for (int i = 0; i < present.rows(); ++i) there.push_back(row_text(present, i));
    for (int i = 0; i < wanted.rows(); ++i) {
        if (std::find(there.begin(), there.end(), row_text(wanted, i)) != there.end()) continue;
        std::string grant = fmt::format("GRANT {} TO {}", quote(wanted.get(i, 0)), quote(wanted.get(i, 1)));
        if (options) {
            grant += fmt::format(" WITH ADMIN {}, INHERIT {}, SET {}", wanted.as<bool>(i, 2), wanted.as<bool>(i, 3),
                                 wanted.as<bool>(i, 4));
        } else if (wanted.as<bool>(i, 2)) {
            grant += " WITH ADMIN OPTION";
        }
        co_await attempt(target, grant, fmt::format("membership of {} in {}", wanted.get(i, 1), wanted.get(i, 0)),
                         notices);
    }
}

/// Who else may SET a parameter that superusers may: from 15 on.
asio::awaitable<void> sync_parameter_rights(PgConnection& source, PgConnection& target, Notices& notices) {
    if (source.server_major() < 15) co_return;
    const std::string sql =
        "SELECT p.parname, g.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'), g.is_grantable FROM "
        "pg_parameter_acl p CROSS JOIN LATERAL aclexplode(p.paracl) g LEFT JOIN pg_roles r ON r.oid = g.grantee WHERE "
        "g.grantee <> 10 ORDER BY 1, 2, 3";
    const PgResult wanted = co_await source.query(sql);
    for (int i = 0; i < wanted.rows(); ++i) {
        const std::string grant =
            fmt::format("GRANT {} ON PARAMETER {} TO {}{}", wanted.get(i, 1), quote(wanted.get(i, 0)), wanted.get(i, 2),
                        wanted.as<bool>(i, 3) ? " WITH GRANT OPTION" : "");
        co_await attempt(target, grant, fmt::format("the right of {} on {}", wanted.get(i, 2), wanted.get(i, 0)),
                         notices);
    }
}

/// Who may CONNECT, CREATE and make TEMPORARY tables. What PUBLIC has in a new database is taken away only from one
/// that was made just now: of another one, `check` says what is not alike.
asio::awaitable<void> sync_database_rights(PgConnection& source, PgConnection& target, const std::string& database,
                                           bool is_new) {
    const PgResult rights = co_await source.query(
        "SELECT a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'), a.is_grantable FROM pg_database d CROSS "
        "JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a LEFT JOIN pg_roles r ON r.oid = "
        "a.grantee WHERE d.datname = $1 AND a.grantee <> d.datdba ORDER BY 1, 2",
        database);
    const std::string on = "ON DATABASE " + quote(database);
    std::string script;
    if (is_new) script += "REVOKE ALL " + on + " FROM PUBLIC; ";
    for (int i = 0; i < rights.rows(); ++i) {
        script += fmt::format("GRANT {} {} TO {}{}; ", rights.get(i, 0), on, rights.get(i, 1),
                              rights.as<bool>(i, 2) ? " WITH GRANT OPTION" : "");
    }
    if (!script.empty()) co_await target.query_by(Clock::now() + Milliseconds(60000), script);
}

/// Settings of a role, of a database, of both, or of all roles; the empty name stands for all.
asio::awaitable<void> sync_settings(PgConnection& source, PgConnection& target, std::string condition,
                                    Notices& notices) {
    const std::string sql =
        "SELECT coalesce(r.rolname, ''), coalesce(d.datname, ''), c FROM pg_db_role_setting s "
        "CROSS JOIN unnest(s.setconfig) c LEFT JOIN pg_roles r ON r.oid = s.setrole "
        "LEFT JOIN pg_database d ON d.oid = s.setdatabase WHERE " +
        condition + " ORDER BY 1, 2, 3";
    const PgResult wanted = co_await source.query(sql);
    const PgResult present = co_await target.query(sql);
    std::vector<std::vector<std::string>> there;
    for (int i = 0; i < present.rows(); ++i) there.push_back(row_text(present, i));
    for (int i = 0; i < wanted.rows(); ++i) {
        const std::string role = wanted.as<std::string>(i, 0);
        const std::string database = wanted.as<std::string>(i, 1);
        const std::string_view setting = wanted.get(i, 2);
        if (role.empty() && setting.starts_with("default_transaction_read_only=")) continue;
        if (std::find(there.begin(), there.end(), row_text(wanted, i)) != there.end()) continue;
        std::string whose = database.empty() ? "ROLE ALL" : "DATABASE " + quote(database);
        if (!role.empty()) whose = "ROLE " + quote(role);
        if (!role.empty() && !database.empty()) whose += " IN DATABASE " + quote(database);
        co_await attempt(target, fmt::format("ALTER {} {}", whose, set_clause(setting)),
                         fmt::format("setting {} of {}", setting.substr(0, setting.find('=')), whose), notices);
    }
}

/// CREATE DATABASE's locale clauses, from the columns of sync_database.
std::string locale_clauses(const PgResult& row, int target_major, const std::string& database, Notices& notices) {
    const std::string provider = row.as<std::string>(0, 3);
    std::string text = fmt::format(" LC_COLLATE {} LC_CTYPE {}", PgConnection::literal(row.get(0, 1)),
                                   PgConnection::literal(row.get(0, 2)));
    if (provider == "i" && target_major >= 15) {
        text += " LOCALE_PROVIDER icu ICU_LOCALE " + PgConnection::literal(row.get(0, 4));
    } else if (provider == "b" && target_major >= 17) {
        text += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + PgConnection::literal(row.get(0, 4));
    } else if (target_major >= 15) {
        text += " LOCALE_PROVIDER libc";
    }
    if ((provider == "i" && target_major < 15) || (provider == "b" && target_major < 17)) {
        notices.push_back(fmt::format("database {} sorts by libc on the standby, whose version has no {} locales",
                                      database, provider == "i" ? "ICU" : "built-in"));
    }
    return text;
}

}  // namespace

asio::awaitable<void> sync_roles(PgConnection& source, PgConnection& target, Notices& notices) {
    co_await sync_role_rows(source, target, notices);
    co_await sync_memberships(source, target, notices);
    co_await sync_parameter_rights(source, target, notices);
    co_await sync_settings(source, target, "s.setdatabase = 0", notices);
}

asio::awaitable<void> sync_database(PgConnection& source, PgConnection& target, const std::string& database,
                                    Notices& notices) {
    const int major = source.server_major();
    const std::string sql = fmt::format(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype, {}, coalesce({}, ''), pg_get_userbyid(datdba), "
        "datconnlimit, dattablespace <> (SELECT oid FROM pg_tablespace WHERE spcname = 'pg_default') "
        "FROM pg_database WHERE datname = $1",
        major >= 15 ? "datlocprovider" : "'c'",
        major >= 17   ? "datlocale"
        : major >= 15 ? "daticulocale"
                      : "NULL");
    const PgResult wanted = co_await source.query(sql, database);
    if (wanted.empty()) {
        throw SyncRefused(fmt::format("database {} does not exist on {}: correct [switch] databases", database,
                                      turnout::name(source.side())));
    }
    const PgResult present =
        co_await target.query("SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = $1", database);
    if (present.empty()) {
        co_await target.query_by(Clock::now() + Milliseconds(300000),
                                 fmt::format("CREATE DATABASE {} TEMPLATE template0 ENCODING {}{} OWNER {} "
                                             "CONNECTION LIMIT {}",
                                             quote(database), PgConnection::literal(wanted.get(0, 0)),
                                             locale_clauses(wanted, target.server_major(), database, notices),
                                             quote(wanted.get(0, 5)), wanted.get(0, 6)));
        if (wanted.as<bool>(0, 7)) {
            notices.push_back(fmt::format("database {} was made in the default tablespace", database));
        }
    } else if (present.get(0, 0) != wanted.get(0, 0)) {
        throw SyncRefused(
            fmt::format("database {} has encoding {} on {} and {} on {}: DROP DATABASE {} on {}, so that it "
                        "can be made alike",
                        database, wanted.get(0, 0), turnout::name(source.side()), present.get(0, 0),
                        turnout::name(target.side()), quote(database), turnout::name(target.side())));
    }
    co_await sync_database_rights(source, target, database, present.empty());
    co_await sync_settings(source, target, "d.datname = " + PgConnection::literal(database), notices);
}

}  // namespace turnout::control
