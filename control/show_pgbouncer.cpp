#include "control/show_pgbouncer.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <utility>

#include "control/command.hpp"
#include "control/listen_address.hpp"

namespace turnout::control {
namespace {

std::vector<Column> columns(Topic topic) {
    const auto described = describe(topic).columns;
    return {described.begin(), described.end()};
}

template <class Number>
std::string number(Number value) {
    return std::to_string(value);
}

bool at_work(const SessionView& session) {
    return session.state == "active" || session.state.ends_with("transaction") || session.state == "moving";
}
bool waits(const SessionView& session) { return session.state == "held"; }
bool logs_in(const SessionView& session) { return session.state == "login"; }

const Endpoint& first_endpoint(const Config& config, Side side) {
    return config.data_plane.sides[index(side)].endpoints.front();
}
std::string address_of(const Endpoint& endpoint) {
    return endpoint.hostaddr.empty() ? endpoint.host : endpoint.hostaddr;
}

/// Totals and averages in the order of PgBouncer's columns: server_assignment_count, xact_count, query_count, received,
/// sent, xact_time, query_time, wait_time, client_parse_count, server_parse_count, bind_count.
constexpr std::size_t kStatistics = 11;
using Statistics = std::array<std::uint64_t, kStatistics>;

const DatabaseCounters& counted(const RecentCounters::Sample& sample, const std::string& database) {
    static const DatabaseCounters kNothing;
    const auto found = sample.counters.databases.find(database);
    return found == sample.counters.databases.end() ? kNothing : found->second;
}

Statistics totals(const ProxyFacts& facts, const std::string& database) {
    if (facts.recent.samples().empty()) return {};
    const DatabaseCounters& now = counted(facts.recent.samples().back(), database);
    return {now.assignments,
            now.transactions,
            now.queries,
            now.client_bytes,
            now.server_bytes,
            now.transaction_microseconds,
            now.query_microseconds,
            now.wait_microseconds,
            now.parses,
            now.parses,
            now.binds};
}

/// Of the last minute: counts, bytes and waits a second, times a transaction and a query.
Statistics averages(const ProxyFacts& facts, const std::string& database) {
    const auto& samples = facts.recent.samples();
    if (samples.size() < 2) return {};
    const double seconds = std::chrono::duration<double>(samples.back().at - samples.front().at).count();
    if (seconds <= 0) return {};
    const DatabaseCounters& earlier = counted(samples.front(), database);
    const DatabaseCounters& later = counted(samples.back(), database);
    const auto grown = [&](std::uint64_t DatabaseCounters::*total) {
        return static_cast<double>(later.*total - std::min(earlier.*total, later.*total));
    };
    const auto rounded = [](double value) { return static_cast<std::uint64_t>(std::llround(value)); };
    const auto a_second = [&](std::uint64_t DatabaseCounters::*total) { return rounded(grown(total) / seconds); };
    const auto each = [&](std::uint64_t DatabaseCounters::*time, std::uint64_t DatabaseCounters::*count) {
        return grown(count) > 0 ? rounded(grown(time) / grown(count)) : 0;
    };
    return {a_second(&DatabaseCounters::assignments),
            a_second(&DatabaseCounters::transactions),
            a_second(&DatabaseCounters::queries),
            a_second(&DatabaseCounters::client_bytes),
            a_second(&DatabaseCounters::server_bytes),
            each(&DatabaseCounters::transaction_microseconds, &DatabaseCounters::transactions),
            each(&DatabaseCounters::query_microseconds, &DatabaseCounters::queries),
            a_second(&DatabaseCounters::wait_microseconds),
            a_second(&DatabaseCounters::parses),
            a_second(&DatabaseCounters::parses),
            a_second(&DatabaseCounters::binds)};
}

/// The databases that are served, and any other that has been since the start.
std::set<std::string> counted_databases(const Config& config, const ProxyFacts& facts) {
    std::set<std::string> names(config.switching.databases.begin(), config.switching.databases.end());
    if (facts.recent.samples().empty()) return names;
    for (const auto& [name, counters] : facts.recent.samples().back().counters.databases)
        if (!name.empty()) names.insert(name);
    return names;
}

void append(Row& row, const Statistics& statistics) {
    for (const std::uint64_t value : statistics) row.emplace_back(number(value));
}

Answer part_of_stats(Topic topic, const Config& config, const ProxyFacts& facts,
                     Statistics (*statistics)(const ProxyFacts&, const std::string&)) {
    Table table{columns(topic), {}};
    for (const std::string& database : counted_databases(config, facts)) {
        Row row{database};
        append(row, statistics(facts, database));
        table.rows.push_back(std::move(row));
    }
    return table_answer(std::move(table));
}

std::string time_text(const ProxyFacts& facts, Microseconds ago) {
    const auto at = std::chrono::floor<std::chrono::seconds>(facts.now - ago);
    return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::chrono::system_clock::to_time_t(at)));
}

/// Where a session ends: the client's side of it, or the server's.
enum class End { client, server };

Row connection_row(const Config& config, const ProxyFacts& facts, const SessionView& session, End end,
                   std::string state) {
    const bool client = end == End::client;
    const Endpoint& endpoint = first_endpoint(config, session.side);
    const auto peer = client ? parse_host_and_port(session.address) : std::nullopt;
    Row row{client ? "C" : "S", session.user, session.database, "none", std::move(state)};
    row.emplace_back(!client ? address_of(endpoint) : peer ? peer->host : session.address);
    row.emplace_back(number(!client ? endpoint.port : peer ? peer->port : 0));
    row.insert(row.end(), {"", "0", time_text(facts, session.connected), time_text(facts, session.transaction)});
    const auto wait = client && waits(session) ? session.transaction : Microseconds(0);
    row.emplace_back(number(wait.count() / 1'000'000));
    row.emplace_back(number(wait.count() % 1'000'000));
    row.insert(row.end(), {"0", fmt::format("{}{}", client ? "C" : "S", session.id),
                           fmt::format("{}{}", client ? "S" : "C", session.id)});
    row.emplace_back(number(client ? session.client_pid : session.server_pid));
    row.insert(row.end(), {client && session.tls ? "TLS" : "", session.application, number(session.prepared_statements),
                           number(session.id)});
    return row;
}

std::string client_state(const SessionView& session) {
    return waits(session) ? "waiting" : at_work(session) ? "active" : "idle";
}

/// One row a user: sessions and server connections.
std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> by_user(const ProxyFacts& facts) {
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> users;
    for (const SessionView& session : facts.sessions) {
        auto& [clients, servers] = users[session.user];
        ++clients;
        if (!logs_in(session)) ++servers;
    }
    return users;
}

}  // namespace

// ----------------------------------------------------------------------------------------------------------- counters

Answer show_stats(const Config& config, const ProxyFacts& facts) {
    Table table{columns(Topic::stats), {}};
    for (const std::string& database : counted_databases(config, facts)) {
        const Statistics total = totals(facts, database);
        Row row{database};
        append(row, total);
        append(row, averages(facts, database));
        row.emplace_back(number(total[2]));
        table.rows.push_back(std::move(row));
    }
    return table_answer(std::move(table));
}

Answer show_stats_totals(const Config& config, const ProxyFacts& facts) {
    return part_of_stats(Topic::stats_totals, config, facts, totals);
}

Answer show_stats_averages(const Config& config, const ProxyFacts& facts) {
    return part_of_stats(Topic::stats_averages, config, facts, averages);
}

/// Of all databases together, as PgBouncer has it: averages are added, too.
Answer show_totals(const Config& config, const ProxyFacts& facts) {
    Statistics total{}, average{};
    for (const std::string& database : counted_databases(config, facts)) {
        const Statistics its_total = totals(facts, database), its_average = averages(facts, database);
        for (std::size_t i = 0; i < kStatistics; ++i) {
            total[i] += its_total[i];
            average[i] += its_average[i];
        }
    }
    Row values{std::nullopt};
    append(values, total);
    append(values, average);
    const auto names = columns(Topic::stats);
    Table table{columns(Topic::totals), {}};
    for (std::size_t i = 1; i <= 2 * kStatistics; ++i) table.rows.push_back({names[i].name, values[i]});
    return table_answer(std::move(table));
}

// -------------------------------------------------------------------------------------------------------- connections

Answer show_databases(const Config& config, const ProxyFacts& facts) {
    const std::string most = number(config.data_plane.max_client_connections);
    Table table{columns(Topic::databases), {}};
    for (const std::string& database : config.switching.databases) {
        const auto connections =
            std::count_if(facts.sessions.begin(), facts.sessions.end(),
                          [&database](const SessionView& session) { return session.database == database; });
        Row row{database, std::nullopt, std::nullopt};
        if (facts.active) {
            row[1] = address_of(first_endpoint(config, *facts.active));
            row[2] = number(first_endpoint(config, *facts.active).port);
        }
        row.insert(row.end(), {database, std::nullopt, most, "0", "0", "0", "session", std::nullopt, most,
                               number(connections), most, number(connections), facts.paused ? "1" : "0",
                               facts.active && !facts.disabled.contains(database) ? "0" : "1", "0"});
        table.rows.push_back(std::move(row));
    }
    return table_answer(std::move(table));
}

Answer show_pools(const ProxyFacts& facts) {
    struct Pool {
        std::uint64_t active = 0;
        std::uint64_t waiting = 0;
        std::uint64_t servers_active = 0;
        std::uint64_t servers_idle = 0;
        std::uint64_t servers_login = 0;
        Microseconds longest{0};
    };
    std::map<std::pair<std::string, std::string>, Pool> pools;
    for (const SessionView& session : facts.sessions) {
        Pool& pool = pools[{session.database, session.user}];
        ++(waits(session) || logs_in(session) ? pool.waiting : pool.active);
        ++(logs_in(session) ? pool.servers_login : at_work(session) ? pool.servers_active : pool.servers_idle);
        if (waits(session)) pool.longest = std::max(pool.longest, session.transaction);
    }
    Table table{columns(Topic::pools), {}};
    for (const auto& [key, pool] : pools)
        table.rows.push_back({key.first, key.second, number(pool.active), number(pool.waiting), "0", "0",
                              number(pool.servers_active), "0", "0", number(pool.servers_idle), "0", "0",
                              number(pool.servers_login), number(pool.longest.count() / 1'000'000),
                              number(pool.longest.count() % 1'000'000), "session", std::nullopt});
    return table_answer(std::move(table));
}

Answer show_clients(const Config& config, const ProxyFacts& facts) {
    Table table{columns(Topic::clients), {}};
    for (const SessionView& session : facts.sessions)
        table.rows.push_back(connection_row(config, facts, session, End::client, client_state(session)));
    return table_answer(std::move(table));
}

Answer show_servers(const Config& config, const ProxyFacts& facts) {
    Table table{columns(Topic::servers), {}};
    for (const SessionView& session : facts.sessions)
        if (!logs_in(session))
            table.rows.push_back(
                connection_row(config, facts, session, End::server, at_work(session) ? "active" : "idle"));
    return table_answer(std::move(table));
}

Answer show_sockets(const Config& config, const ProxyFacts& facts) {
    Table table{columns(Topic::sockets), {}};
    const auto add = [&table](Row row) {
        row.resize(table.columns.size(), "0");  // buffers are not looked into
        table.rows.push_back(std::move(row));
    };
    for (const SessionView& session : facts.sessions) {
        add(connection_row(config, facts, session, End::client,
                           logs_in(session) ? "cl_login" : "cl_" + client_state(session)));
        if (!logs_in(session))
            add(connection_row(config, facts, session, End::server, at_work(session) ? "sv_active" : "sv_idle"));
    }
    return table_answer(std::move(table));
}

Answer show_active_sockets(const Config& config, const ProxyFacts& facts) {
    ProxyFacts at_work_only = facts;
    std::erase_if(at_work_only.sessions, [](const SessionView& session) { return !at_work(session); });
    return show_sockets(config, at_work_only);
}

Answer show_nothing(Topic topic) { return table_answer({columns(topic), {}}); }

Answer show_lists(const Config& config, const ProxyFacts& facts) {
    std::set<std::pair<std::string, std::string>> pools;
    for (const SessionView& session : facts.sessions) pools.emplace(session.database, session.user);
    const auto logins = static_cast<std::size_t>(std::count_if(facts.sessions.begin(), facts.sessions.end(), logs_in));
    Table table{columns(Topic::lists), {}};
    table.rows = {{"databases", number(config.switching.databases.size())},
                  {"users", number(by_user(facts).size())},
                  {"peers", "0"},
                  {"pools", number(pools.size())},
                  {"peer_pools", "0"},
                  {"free_clients", "0"},
                  {"used_clients", number(facts.sessions.size())},
                  {"login_clients", number(logins)},
                  {"free_servers", "0"},
                  {"used_servers", number(facts.sessions.size() - logins)},
                  {"dns_names", "0"},
                  {"dns_zones", "0"},
                  {"dns_queries", "0"},
                  {"dns_pending", "0"}};
    return table_answer(std::move(table));
}

Answer show_users(const ProxyFacts& facts) {
    Table table{columns(Topic::users), {}};
    for (const auto& [user, count] : by_user(facts))
        table.rows.push_back(
            {user, std::nullopt, std::nullopt, "session", "0", number(count.second), "0", number(count.first)});
    return table_answer(std::move(table));
}

// ------------------------------------------------------------------------------------------------------- the process

Answer show_state(const ProxyFacts& facts) {
    return table_answer({columns(Topic::state),
                         {{"active", facts.active && !facts.paused ? "yes" : "no"},
                          {"paused", facts.paused ? "yes" : "no"},
                          {"suspended", "no"}}});
}

Answer show_mem() {
    // proc(5), statm: pages of the whole program, resident, shared, text, library, data.
    std::array<std::uint64_t, 6> pages{};
    std::ifstream statm("/proc/self/statm");
    for (std::uint64_t& count : pages) statm >> count;
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const auto row = [page](const char* name, std::uint64_t used, std::uint64_t total) -> Row {
        return {name, number(page), number(used), number(total - std::min(used, total)), number(total * page)};
    };
    return table_answer(
        {columns(Topic::mem),
         {row("resident", pages[1], pages[1]), row("virtual", pages[1], pages[0]), row("data", pages[5], pages[5])}});
}

}  // namespace turnout::control
