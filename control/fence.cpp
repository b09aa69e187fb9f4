#include "control/fence.hpp"

#include <fmt/format.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "control/names.hpp"

namespace turnout::control {

namespace {

/// Between two looks at transactions and sessions that are to end; nobody's statement waits for it.
constexpr Milliseconds kLook{5};

asio::awaitable<void> pause(Milliseconds duration) {
    asio::steady_timer timer(co_await asio::this_coro::executor, duration);
    co_await timer.async_wait(asio::use_awaitable);
}

std::string pid_array(const std::set<std::int32_t>& pids) {
    std::string text = "{";
    for (const std::int32_t pid : pids) text += fmt::format("{}{}", text.size() > 1 ? "," : "", pid);
    return text + "}";
}

Outsider outsider(const PgResult& result, int row) {
    Outsider found;
    found.pid = result.as<std::int32_t>(row, 0);
    found.database = result.as<std::string>(row, 1);
    found.user = result.as<std::string>(row, 2);
    found.application = result.as<std::string>(row, 3);
    found.address = result.as<std::string>(row, 4);
    found.state = result.as<std::string>(row, 5);
    return found;
}

constexpr std::string_view kColumns =
    "a.datname, a.usename, a.application_name, host(a.client_addr), coalesce(a.state, 'logging in')";

/// Transactions that may write in the switched databases: whoever is in pg_stat_activity must be a session of one of
/// them; who is not there yet may be anybody's.
constexpr std::string_view kTransactions = R"(
SELECT l.pid, {}, l.virtualxid
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.granted AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid()
  AND NOT l.pid = ANY ($2::int[])
  AND (a.pid IS NULL OR a.datname IS NULL OR a.datname = ANY ($1::text[]))
  AND coalesce(a.application_name, '') <> $3
  AND coalesce(a.backend_type, 'client backend') NOT IN ('walsender', 'autovacuum worker', 'autovacuum launcher',
    'checkpointer', 'background writer', 'walwriter', 'archiver', 'startup', 'logical replication worker',
    'logical replication launcher', 'logical replication apply worker', 'logical replication tablesync worker',
    'logical replication parallel worker', 'parallel worker', 'slotsync worker', 'io worker')
)";

}  // namespace

std::string Outsider::text() const {
    std::string line = fmt::format("pid {}", pid);
    if (!user.empty()) line += fmt::format(", user {} on {}", user, database);
    line += address.empty() ? std::string(" by Unix socket") : " from " + address;
    if (!application.empty()) line += fmt::format(" ({})", application);
    return line + ", " + state;
}

asio::awaitable<void> raise_fence(Journal& journal, const std::vector<std::string>& databases) {
    PgConnection& connection = journal.connection();
    const PgResult there = co_await connection.query(
        "SELECT datname FROM pg_database WHERE datname = ANY ($1::text[]) ORDER BY datname", databases);
    if (there.empty()) co_return;
    // One simple Query is one transaction: the record and the settings stand or fall together.
    std::string sql = fmt::format(
        "INSERT INTO turnout.fence (database, former) SELECT d.datname, (SELECT split_part(c, '=', 2) "
        "FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE s.setdatabase = d.oid AND s.setrole = 0 "
        "AND split_part(c, '=', 1) = 'default_transaction_read_only') FROM pg_database d WHERE d.datname IN (");
    std::string settings;
    for (int i = 0; i < there.rows(); ++i) {
        if (i > 0) sql += ", ";
        sql += PgConnection::literal(there.get(i, 0));
        settings += fmt::format("ALTER DATABASE {} SET default_transaction_read_only = on;",
                                PgConnection::identifier(there.get(i, 0)));
    }
    sql += ") ON CONFLICT (database) DO NOTHING;" + settings;
    co_await connection.query(sql);
}

asio::awaitable<void> lift_fence(Journal& journal) {
    PgConnection& connection = journal.connection();
    const PgResult exists = co_await connection.query("SELECT to_regclass('turnout.fence') IS NOT NULL");
    if (!exists.as<bool>(0, 0)) co_return;
    const PgResult fenced = co_await connection.query(
        "SELECT f.database, f.former, d.oid IS NOT NULL FROM turnout.fence f LEFT JOIN pg_database d ON d.datname = "
        "f.database");
    if (fenced.empty()) co_return;
    std::string sql;
    for (int i = 0; i < fenced.rows(); ++i) {
        if (!fenced.as<bool>(i, 2)) continue;
        const std::string database = PgConnection::identifier(fenced.get(i, 0));
        if (fenced.is_null(i, 1)) {
            sql += fmt::format("ALTER DATABASE {} RESET default_transaction_read_only;", database);
        } else {
            sql += fmt::format("ALTER DATABASE {} SET default_transaction_read_only = {};", database,
                               PgConnection::literal(fenced.get(i, 1)));
        }
    }
    sql += "DELETE FROM turnout.fence";
    co_await connection.query(sql);
}

asio::awaitable<std::vector<Outsider>> wait_out_transactions(PgConnection& connection,
                                                             const std::vector<std::string>& databases,
                                                             const std::set<std::int32_t>& own_pids,
                                                             Clock::time_point deadline) {
    const std::string all = fmt::format(fmt::runtime(kTransactions), kColumns);
    const std::string pids = pid_array(own_pids);
    PgResult left = co_await connection.query(all, databases, pids, names::kApplicationName);
    std::vector<std::string> first;
    for (int i = 0; i < left.rows(); ++i) first.push_back(left.as<std::string>(i, 6));
    const std::string remaining = all + " AND l.virtualxid = ANY ($4::text[])";
    while (!left.empty() && Clock::now() < deadline) {
        co_await pause(kLook);
        left = co_await connection.query(remaining, databases, pids, names::kApplicationName, first);
    }
    std::vector<Outsider> running;
    for (int i = 0; i < left.rows(); ++i) running.push_back(outsider(left, i));
    co_return running;
}

asio::awaitable<std::vector<Outsider>> find_outsiders(PgConnection& connection,
                                                      const std::vector<std::string>& databases,
                                                      const std::set<std::int32_t>& own_pids) {
    const PgResult result = co_await connection.query(
        fmt::format("SELECT a.pid, {} FROM pg_stat_activity a WHERE a.backend_type = 'client backend' "
                    "AND a.datname = ANY ($1::text[]) AND NOT a.pid = ANY ($2::int[]) AND a.application_name <> $3 "
                    "ORDER BY a.pid",
                    kColumns),
        databases, pid_array(own_pids), names::kApplicationName);
    std::vector<Outsider> found;
    for (int i = 0; i < result.rows(); ++i) found.push_back(outsider(result, i));
    co_return found;
}

asio::awaitable<std::vector<Outsider>> find_bypassing(PgConnection& connection,
                                                      const std::vector<std::string>& databases, OwnPids own_pids) {
    std::vector<Outsider> found;
    for (int look = 0; look < 2; ++look) {
        std::set<std::int32_t> before, after;
        if (own_pids) before = co_await own_pids();
        std::vector<Outsider> seen = co_await find_outsiders(connection, databases, before);
        if (own_pids) after = co_await own_pids();
        std::erase_if(seen, [&](const Outsider& it) {
            const bool again = look == 0 || std::any_of(found.begin(), found.end(),
                                                        [&](const Outsider& first) { return first.pid == it.pid; });
            return after.count(it.pid) != 0 || !again;
        });
        found = std::move(seen);
        if (found.empty()) break;
    }
    co_return found;
}

asio::awaitable<std::vector<Outsider>> end_outsiders(PgConnection& connection,
                                                     const std::vector<std::string>& databases,
                                                     const std::set<std::int32_t>& own_pids,
                                                     Clock::time_point deadline) {
    for (;;) {
        std::vector<Outsider> left = co_await find_outsiders(connection, databases, own_pids);
        if (left.empty() || Clock::now() >= deadline) co_return left;
        std::set<std::int32_t> pids;
        for (const Outsider& session : left) pids.insert(session.pid);
        co_await connection.query("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", pid_array(pids));
        co_await pause(kLook);
    }
}

}  // namespace turnout::control
