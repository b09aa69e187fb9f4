// Checks of the servers as a whole.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "control/fence.hpp"
#include "control/names.hpp"
#include "control/pg_tools.hpp"
#include "control/preflight_checks.hpp"
#include "control/stream_setup.hpp"

namespace turnout::control::checks {

namespace {

constexpr int kOldest = 13;
constexpr int kNewest = 18;

std::string said(Side side) { return std::string(turnout::name(side)); }

/// What a side needs for its part of the streams, and has left: each row a resource, what is free, and what turnout
/// holds of it already.
constexpr const char* kRoom = R"(
SELECT 'max_replication_slots', current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
       (SELECT count(*) FROM pg_replication_slots WHERE slot_name ~ '^turnout_to_')
UNION ALL
SELECT 'max_wal_senders', current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),
       (SELECT count(*) FROM pg_stat_replication WHERE application_name ~ '^turnout_to_')
UNION ALL
SELECT 'max_logical_replication_workers', current_setting('max_logical_replication_workers')::int
       - (SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL),
       (SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL AND subname ~ '^turnout_to_')
UNION ALL
SELECT origins.setting, current_setting(origins.setting)::int - (SELECT count(*) FROM pg_replication_origin),
       (SELECT count(*) FROM pg_subscription WHERE subname ~ '^turnout_to_')
FROM (SELECT CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'max_active_replication_origins'
                  ELSE 'max_replication_slots' END AS setting) origins
UNION ALL
SELECT 'max_worker_processes', current_setting('max_worker_processes')::int - (SELECT count(*) FROM pg_stat_activity
       WHERE backend_type NOT IN ('client backend', 'walsender', 'checkpointer', 'background writer', 'walwriter',
       'archiver', 'startup', 'autovacuum launcher', 'autovacuum worker', 'walreceiver', 'io worker', 'slotsync worker',
       'standalone backend', 'walsummarizer')),
       (SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL AND subname ~ '^turnout_to_')
)";

/// Roles, and what a login and its rights depend on.
constexpr const char* kLogins = R"(
SELECT rolname, coalesce(rolpassword, ''), rolcanlogin, rolsuper, rolconnlimit, rolbypassrls, rolreplication,
       coalesce(extract(epoch FROM rolvaliduntil), 'infinity'), rolinherit, rolcreaterole, rolcreatedb FROM pg_authid WHERE rolname !~ '^pg_')";
/// Of the columns above, as ALTER ROLE calls them.
constexpr std::array<std::string_view, 11> kAttributes{
    "name",        "PASSWORD",    "LOGIN",   "SUPERUSER",  "CONNECTION LIMIT", "BYPASSRLS",
    "REPLICATION", "VALID UNTIL", "INHERIT", "CREATEROLE", "CREATEDB"};

/// {options}: what both servers know of a membership besides ADMIN. {rights}: what has privileges of its own on both.
constexpr const char* kMemberships = R"(
SELECT format('membership of %I in %I%s{places}', m.rolname, r.rolname,
              CASE WHEN bool_or(a.admin_option) THEN ' with ADMIN' END{options})
FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
GROUP BY m.rolname, r.rolname {rights} ORDER BY 1)";
/// From 16 on.
constexpr const char* kMembershipOptions = R"(,
              CASE WHEN bool_or(a.inherit_option) THEN '' ELSE ' without INHERIT' END,
              CASE WHEN bool_or(a.set_option) THEN '' ELSE ' without SET' END)";
/// From 15 on.
constexpr const char* kParameterRights = R"(
UNION ALL SELECT format('%s on parameter %I for %s', g.privilege_type, p.parname, coalesce(r.rolname, 'public'))
FROM pg_parameter_acl p CROSS JOIN LATERAL aclexplode(p.paracl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
WHERE g.grantee <> 10)";

/// As far as both can tell them.
std::string memberships_of(int older_major) {
    return fmt::format(fmt::runtime(kMemberships), fmt::arg("places", older_major >= 16 ? "%s%s" : ""),
                       fmt::arg("options", older_major >= 16 ? kMembershipOptions : ""),
                       fmt::arg("rights", older_major >= 15 ? kParameterRights : ""));
}

/// Settings that a newer major calls otherwise; others it may have dropped.
constexpr std::array<std::pair<std::string_view, std::string_view>, 1> kRenamed{
    {{"force_parallel_mode", "debug_parallel_query"}}};

/// "work_mem" of "role app: work_mem=5MB".
std::string_view name_of_setting(std::string_view setting) {
    const std::size_t equals = setting.find('=');
    const std::size_t colon = setting.rfind(": ", equals);
    return setting.substr(colon == std::string_view::npos ? 0 : colon + 2,
                          equals - (colon == std::string_view::npos ? 0 : colon + 2));
}

}  // namespace

asio::awaitable<Findings> identity(Context& context) {
    Findings found;
    std::string numbers[2];
    for (const Side side : {Side::blue, Side::green}) {
        const PgResult result =
            co_await context.server(side).query("SELECT system_identifier FROM pg_control_system()");
        numbers[index(side)] = result.as<std::string>(0, 0);
    }
    if (numbers[0] == numbers[1]) {
        found.push_back(
            finding(Severity::refuse, "", {},
                    "blue and green are the same server, or physical copies of each other: both have system "
                    "identifier " +
                        numbers[0],
                    "correct [side.blue] url or [side.green] url"));
    }
    co_return found;
}

asio::awaitable<Findings> versions(Context& context) {
    Findings found;
    for (const Side side : {context.active(), context.standby()}) {
        const int major = context.server(side).server_major();
        if (major >= kOldest && major <= kNewest) continue;
        found.push_back(finding(
            Severity::refuse, "", {},
            fmt::format("{} is PostgreSQL {}: {} to {} are supported", said(side), major, kOldest, kNewest), ""));
    }
    const int from = context.server(context.active()).server_major();
    const int to = context.server(context.standby()).server_major();
    if (found.empty() && to < from && context.input.stage == PreflightStage::before_sync) {
        found.push_back(
            finding(Severity::warn, "", {},
                    fmt::format("from {} to {} is a downgrade: a schema that uses what {} does not know cannot "
                                "be loaded there",
                                from, to, to),
                    ""));
    }
    co_return found;
}

asio::awaitable<Findings> room_for_replication(Context& context) {
    Findings found;
    const auto databases = static_cast<std::int64_t>(context.cluster.databases().size());
    for (const Side side : {context.active(), context.standby()}) {
        PgConnection& server = context.server(side);
        const PgResult rows = co_await server.query(kRoom);
        // While tables are copied each needs a slot, a sender and a worker more; two of them are copied at a time.
        const bool copying = context.input.stage == PreflightStage::before_sync;
        for (int i = 0; i < rows.rows(); ++i) {
            const std::string setting = rows.as<std::string>(i, 0);
            const bool sends = setting == "max_replication_slots" || setting == "max_wal_senders";
            const bool busy = copying && (sends ? side == context.active() : side == context.standby());
            const std::int64_t wanted = databases + (busy ? 1 : 0);
            const std::int64_t has = rows.as<std::int64_t>(i, 1) + rows.as<std::int64_t>(i, 2);
            if (has >= wanted) continue;
            const PgResult current = co_await server.query("SELECT current_setting($1)::int", setting);
            found.push_back(
                finding(Severity::refuse, "", {setting},
                        fmt::format("{}: {} leaves room for {}, and {} are needed", said(side), setting, has, wanted),
                        fmt::format("ALTER SYSTEM SET {} = {}, and restart {}", setting,
                                    current.as<std::int64_t>(0, 0) + wanted - has + 4, said(side))));
        }
    }
    co_return found;
}

asio::awaitable<Findings> room_for_sessions(Context& context) {
    Findings found;
    const PgResult room = co_await context.server(context.standby())
                              .query(
                                  "SELECT current_setting('max_connections')::int - "
                                  "current_setting('superuser_reserved_connections')::int - (SELECT count(*) FROM "
                                  "pg_stat_activity WHERE backend_type = 'client backend'), "
                                  "current_setting('max_connections')::int");
    const auto left = room.as<std::int64_t>(0, 0);
    const auto wanted = static_cast<std::int64_t>(context.input.sessions);
    if (left < wanted) {
        found.push_back(
            finding(Severity::refuse, "", {"max_connections"},
                    fmt::format("{} can take {} more connections, and {} sessions need one", said(context.standby()),
                                left, wanted),
                    fmt::format("ALTER SYSTEM SET max_connections = {}, and restart {}",
                                room.as<std::int64_t>(0, 1) + wanted - left + 10, said(context.standby()))));
    }
    co_return found;
}

asio::awaitable<Findings> dump_program(Context& context) {
    Findings found;
    bool needed = false;
    for (const auto& database : context.databases) {
        if (!database.target) {
            needed = true;
            continue;
        }
        const std::vector<std::string> tables = co_await carried_tables(*database.target);
        needed = needed || tables.empty();
    }
    if (!needed) co_return found;
    std::string failure;
    try {
        co_await find_pg_tools(context.cluster.settings().pg_bin, context.server(context.active()).server_major());
    } catch (const PgToolsError& error) {
        failure = error.what();
    }
    if (!failure.empty()) found.push_back(finding(Severity::refuse, "", {}, failure, ""));
    co_return found;
}

asio::awaitable<Findings> roles(Context& context) {
    Findings found;
    const PgResult wanted = co_await context.server(context.active()).query(kLogins);
    const PgResult present = co_await context.server(context.standby()).query(kLogins);
    std::map<std::string, int> there;
    for (int i = 0; i < present.rows(); ++i) there[present.as<std::string>(i, 0)] = i;
    std::vector<std::string> missing;
    std::vector<std::string> differing;
    std::vector<std::string> superusers;
    for (int i = 0; i < wanted.rows(); ++i) {
        const std::string name = wanted.as<std::string>(i, 0);
        const auto twin = there.find(name);
        if (twin == there.end()) {
            missing.push_back(name);
            continue;
        }
        std::string what;
        for (int column = 1; column < wanted.columns(); ++column) {
            if (wanted.get(i, column) == present.get(twin->second, column)) continue;
            what += fmt::format("{}{}", what.empty() ? "" : ", ", kAttributes.at(static_cast<std::size_t>(column)));
        }
        if (what.empty()) continue;
        (wanted.as<bool>(i, 3) ? superusers : differing).push_back(fmt::format("{} ({})", name, what));
    }
    const std::string rights = memberships_of(
        std::min(context.server(context.active()).server_major(), context.server(context.standby()).server_major()));
    const PgResult memberships = co_await context.server(context.active()).query(rights);
    const PgResult memberships_there = co_await context.server(context.standby()).query(rights);
    std::set<std::string> members;
    for (int i = 0; i < memberships_there.rows(); ++i) members.insert(memberships_there.as<std::string>(i, 0));
    for (int i = 0; i < memberships.rows(); ++i) {
        if (!members.contains(memberships.as<std::string>(i, 0))) missing.push_back(memberships.as<std::string>(i, 0));
    }
    const std::string standby = said(context.standby());
    if (!missing.empty()) {
        found.push_back(finding(Severity::refuse, "", missing, "roles, memberships or rights are missing on " + standby,
                                "turnout sync"));
    }
    if (!differing.empty()) {
        found.push_back(finding(Severity::refuse, "", differing,
                                "roles differ in verifier, validity or rights on " + standby +
                                    ": their sessions could not be logged in there",
                                "turnout sync"));
    }
    if (!superusers.empty()) {
        found.push_back(finding(
            Severity::warn, "", superusers,
            "superusers have another verifier or other rights on " + standby + ": their sessions may not be movable",
            "ALTER ROLE … PASSWORD with the same verifier (pg_authid.rolpassword)"));
    }
    co_return found;
}

/// What a switch does with them is its policy's: a warning here, with the reasons.
asio::awaitable<Findings> pinned_sessions(Context& context) {
    Findings found;
    const PreflightInput& input = context.input;
    if (!input.pinned.empty()) {
        found.push_back(finding(Severity::warn, "", input.pinned,
                                fmt::format("{} session{} can be moved, {} cannot", input.movable,
                                            input.movable == 1 ? "" : "s", input.pinned.size()),
                                "end what pins them, or the sessions: switch with --pinned end"));
    }
    co_return found;
}

asio::awaitable<Findings> bypassing(Context& context) {
    Findings found;
    const std::vector<Outsider> outsiders =
        co_await find_bypassing(context.server(context.active()), context.cluster.databases(), context.input.own_pids);
    if (outsiders.empty()) co_return found;
    std::vector<std::string> objects;
    std::string remedy;
    for (const Outsider& session : outsiders) {
        objects.push_back(session.text());
        if (objects.size() <= 5) {
            remedy += fmt::format("{}SELECT pg_terminate_backend({})", remedy.empty() ? "" : "; ", session.pid);
        }
    }
    const bool ends = context.input.end_bypassing;
    const bool refuses = !ends && !context.input.rehearsal;
    found.push_back(finding(refuses ? Severity::refuse : Severity::warn, "", std::move(objects),
                            fmt::format("sessions reach {} without the proxy{}", said(context.active()),
                                        ends ? " and will be ended" : ": they could write there unseen"),
                            std::move(remedy)));
    co_return found;
}

/// What ALTER ROLE and ALTER DATABASE … SET have set, but for the fence.
asio::awaitable<Findings> settings(Context& context) {
    static constexpr const char* kSettings =
        "SELECT concat(CASE s.setrole WHEN 0 THEN CASE s.setdatabase WHEN 0 THEN 'all roles' END ELSE 'role ' || "
        "r.rolname END, CASE WHEN r.oid IS NOT NULL AND d.oid IS NOT NULL THEN ' in "
        "' ELSE '' END, coalesce('database ' || d.datname, ''), ': ', c) FROM pg_db_role_setting s CROSS JOIN "
        "unnest(s.setconfig) c LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = "
        "s.setdatabase WHERE (d.oid IS NULL OR d.datname = ANY ($1)) AND NOT (r.oid IS NULL AND c ~ "
        "'^default_transaction_read_only=') ORDER BY 1";
    const PgResult here = co_await context.server(context.active()).query(kSettings, context.cluster.databases());
    const PgResult there = co_await context.server(context.standby()).query(kSettings, context.cluster.databases());
    std::set<std::string> present;
    for (int i = 0; i < there.rows(); ++i) present.insert(there.as<std::string>(i, 0));
    const PgResult names = co_await context.server(context.standby()).query("SELECT name FROM pg_settings");
    std::set<std::string, std::less<>> known;
    for (int i = 0; i < names.rows(); ++i) known.insert(names.as<std::string>(i, 0));
    std::vector<std::string> missing;
    std::vector<std::string> unknown;
    for (int i = 0; i < here.rows(); ++i) {
        const std::string one = here.as<std::string>(i, 0);
        if (present.contains(one)) continue;
        const std::string_view setting = name_of_setting(one);
        if (known.contains(setting) || setting.find('.') != std::string_view::npos) {
            missing.push_back(one);
            continue;
        }
        const auto renamed =
            std::find_if(kRenamed.begin(), kRenamed.end(), [&](const auto& pair) { return pair.first == setting; });
        unknown.push_back(renamed == kRenamed.end() ? one : fmt::format("{} (now {})", one, renamed->second));
    }
    Findings found;
    if (!unknown.empty()) {
        found.push_back(finding(Severity::warn, "", std::move(unknown),
                                fmt::format("{} (PostgreSQL {}) has no such settings", said(context.standby()),
                                            context.server(context.standby()).server_major()),
                                "ALTER ROLE or ALTER DATABASE … RESET it, or SET what took its place there"));
    }
    if (!missing.empty()) {
        found.push_back(finding(Severity::warn, "", std::move(missing),
                                "settings of roles and databases are not the same on " + said(context.standby()) +
                                    ": new sessions would have others after a switch",
                                "turnout sync, or the same ALTER ROLE or ALTER DATABASE … SET there"));
    }
    co_return found;
}

/// A database that refuses connections, or has a lower limit, could not take the sessions.
asio::awaitable<Findings> database_limits(Context& context) {
    static constexpr const char* kLimits =
        "SELECT datname, datallowconn, datconnlimit FROM pg_database WHERE datname = ANY ($1) ORDER BY 1";
    const PgResult here = co_await context.server(context.active()).query(kLimits, context.cluster.databases());
    const PgResult there = co_await context.server(context.standby()).query(kLimits, context.cluster.databases());
    Findings found;
    for (int i = 0; i < here.rows(); ++i) {
        for (int k = 0; k < there.rows(); ++k) {
            if (here.get(i, 0) != there.get(k, 0)) continue;
            const bool same = here.get(i, 1) == there.get(k, 1) && here.get(i, 2) == there.get(k, 2);
            if (same) continue;
            const std::string name = here.as<std::string>(i, 0);
            found.push_back(
                finding(Severity::refuse, name, {name},
                        fmt::format("{} has another connection limit on {} ({}) than on {} ({})", name,
                                    said(context.standby()), there.get(k, 2), said(context.active()), here.get(i, 2)),
                        fmt::format("ALTER DATABASE {} CONNECTION LIMIT {} ALLOW_CONNECTIONS {}, on {}",
                                    PgConnection::identifier(name), here.get(i, 2),
                                    here.as<bool>(i, 1) ? "true" : "false", said(context.standby()))));
        }
    }
    co_return found;
}

asio::awaitable<Findings> long_transactions(Context& context) {
    static constexpr const char* kLong =
        "SELECT format('pid %s, user %s on %s, for %s', pid, usename, datname, date_trunc('second', "
        "clock_timestamp() - xact_start)), format('SELECT pg_terminate_backend(%s)', pid) FROM pg_stat_activity "
        "WHERE datname = ANY ($1::text[]) AND backend_type = 'client backend' AND xact_start < clock_timestamp() - "
        "make_interval(secs => $2::float8 / 1000) AND pid <> pg_backend_pid()";
    const PgResult rows = co_await context.server(context.active())
                              .query(kLong, context.cluster.databases(), context.input.long_transaction.count());
    Findings found;
    if (rows.empty()) co_return found;
    std::vector<std::string> objects;
    std::string remedy;
    for (int i = 0; i < rows.rows(); ++i) {
        objects.push_back(rows.as<std::string>(i, 0));
        if (i < 5) remedy += fmt::format("{}{}", i == 0 ? "" : "; ", rows.get(i, 1));
    }
    found.push_back(finding(Severity::warn, "", std::move(objects),
                            fmt::format("{}: transactions have been running for long: a slot cannot be made and the "
                                        "gate cannot be drained while they do",
                                        said(context.active())),
                            std::move(remedy)));
    co_return found;
}

/// '*' makes the apply workers synchronous standbys; so does a name that is theirs.
asio::awaitable<Findings> synchronous_standbys(Context& context) {
    Findings found;
    for (const Side side : {context.active(), context.standby()}) {
        const PgResult result = co_await context.server(side).query(
            "SELECT current_setting('synchronous_standby_names') WHERE current_setting('synchronous_standby_names') ~ "
            "$1 "
            "OR current_setting('synchronous_standby_names') LIKE '%*%'",
            names::subscription(other(side)));
        if (result.empty()) continue;
        found.push_back(
            finding(Severity::refuse, "", {result.as<std::string>(0, 0)},
                    fmt::format("{}: synchronous_standby_names makes turnout's own stream a synchronous standby: "
                                "every commit would take 200 ms, and hang once the stream is parked",
                                said(side)),
                    "ALTER SYSTEM SET synchronous_standby_names = … the standbys by name; SELECT pg_reload_conf()"));
    }
    for (const Side side : {context.active(), context.standby()}) {
        const PgResult absent = co_await context.server(side).query(
            "SELECT current_setting('synchronous_standby_names') WHERE current_setting('synchronous_standby_names') <> "
            "'' AND NOT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))");
        if (absent.empty()) continue;
        found.push_back(finding(Severity::refuse, "", {absent.as<std::string>(0, 0)},
                                fmt::format("{}: commits wait for a synchronous standby that is not there: an "
                                            "activation would hang, and everybody with it",
                                            said(side)),
                                "start that standby, or ALTER SYSTEM RESET synchronous_standby_names; SELECT "
                                "pg_reload_conf()"));
    }
    co_return found;
}

}  // namespace turnout::control::checks
