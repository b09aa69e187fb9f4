#include "control/show.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "control/command.hpp"

namespace turnout::control {
namespace {

namespace json = boost::json;

std::vector<Column> columns(Topic topic) {
    const auto described = describe(topic).columns;
    return {described.begin(), described.end()};
}

std::string number(std::uint64_t value) { return std::to_string(value); }
std::string seconds(Microseconds duration) {
    return fmt::format("{:.6f}", std::chrono::duration<double>(duration).count());
}
std::string boolean(bool value) { return value ? "t" : "f"; }

std::string next_step(const StatusFacts& facts) {
    if (!facts.running.empty()) return "wait for " + facts.running + " to end";
    if (facts.paused) return "turnout resume";
    switch (facts.phase) {
        case LifePhase::fresh: return "turnout check, then turnout sync";
        case LifePhase::syncing: return "wait until the tables are copied";
        case LifePhase::synced: return "turnout check, then turnout switch";
        case LifePhase::switching: return "wait for the switch to end";
        case LifePhase::switched: return "turnout finish, or turnout rollback";
        case LifePhase::finished: return "stop turnout and let the applications connect to the active side";
        case LifePhase::uncertain: return facts.hint;
    }
    return {};
}

bool at_work(const SessionView& session) {
    return session.state == "active" || session.state.ends_with("transaction") || session.state == "moving";
}

const Endpoint& first_endpoint(const Config& config, Side side) {
    return config.data_plane.sides[index(side)].endpoints.front();
}

std::string address_of(const Endpoint& endpoint) {
    return endpoint.hostaddr.empty() ? endpoint.host : endpoint.hostaddr;
}

}  // namespace

std::string_view name(Movable movable) {
    switch (movable) {
        case Movable::now: return "now";
        case Movable::boundary: return "boundary";
        case Movable::pinned: return "pinned";
    }
    return "pinned";
}

Answer show_status(const StatusFacts& facts) {
    json::object status;
    if (facts.served) {
        status["active"] = name(facts.served->side);
        status["standby"] = name(other(facts.served->side));
        status["generation"] = facts.served->generation;
    } else {
        status["active"] = nullptr;
        status["standby"] = nullptr;
        status["generation"] = nullptr;
        status["reason"] = facts.reason;
        status["hint"] = facts.hint;
    }
    status["phase"] = name(facts.phase);
    status["running"] = facts.running.empty() ? json::value(nullptr) : json::value(facts.running);
    if (!facts.running.empty()) status["running_seconds"] = facts.running_seconds;
    status["paused"] = facts.paused;
    if (facts.stopping) status["stopping"] = true;
    if (!facts.lag.empty()) {
        json::object lag;
        for (const StreamLag& stream : facts.lag) lag[stream.database] = stream.bytes;
        status["lag_bytes"] = std::move(lag);
    }
    status["sessions"] = facts.sessions;
    status["pinned"] = facts.pinned;
    if (!facts.unsettled.empty()) status["unsettled"] = json::array(facts.unsettled.begin(), facts.unsettled.end());
    status["version"] = facts.version;
    status["next_step"] = next_step(facts);
    return object_answer(std::move(status));
}

Answer show_sessions(const std::vector<SessionView>& sessions) {
    Table table{columns(Topic::sessions), {}};
    for (const SessionView& s : sessions)
        table.rows.push_back({number(s.id), s.user, s.database, s.application, s.state, std::string(name(s.movable)),
                              s.reason, std::string(name(s.side)), s.address, boolean(s.tls), boolean(s.armed),
                              std::to_string(s.client_pid), std::to_string(s.server_pid), seconds(s.connected),
                              seconds(s.transaction), number(s.prepared_statements), number(s.queries)});
    return table_answer(std::move(table));
}

Answer show_lag(const std::vector<StreamLag>& lag) {
    Table table{columns(Topic::lag), {}};
    for (const StreamLag& stream : lag)
        table.rows.push_back({stream.database, std::to_string(stream.bytes), fmt::format("{:.6f}", stream.seconds),
                              stream.streaming ? "streaming" : "not streaming", std::to_string(stream.retained),
                              stream.wal_status});
    return table_answer(std::move(table));
}

Answer show_config(const Config& config) {
    Table table{columns(Topic::config), {}};
    for (const ConfigRow& row : config_rows(config))
        table.rows.push_back({row.key, row.value, row.default_value, row.changeable ? "yes" : "no"});
    return table_answer(std::move(table));
}

Answer show_help() {
    Table table{columns(Topic::help), {}};
    for (const VerbDescription& verb : verb_descriptions()) {
        std::string text(verb.words);
        if (verb.verb == Verb::show) continue;
        if (verb.verb == Verb::force_active) text += " blue|green";
        for (const OptionDescription* option : verb.options)
            text.append(" [").append(option->word).append(option->kind == OptionKind::flag ? "]" : " '...']");
        table.rows.push_back({text, std::string(verb.description)});
    }
    for (const TopicDescription& topic : topic_descriptions())
        table.rows.push_back({"SHOW " + std::string(topic.word), std::string(topic.description)});
    return table_answer(std::move(table));
}

Answer show_version(std::string_view version) {
    return table_answer({columns(Topic::version), {{"turnout " + std::string(version)}}});
}

// ------------------------------------------------------------------------------------------------------ PgBouncer's

Answer show_stats(const std::vector<std::string>& databases, const DataPlaneCounters& counters) {
    // Sessions are counted together; with one database that is its row.
    const std::string database = databases.size() == 1 ? databases.front() : "*";
    std::uint64_t microseconds = 0;
    for (const std::uint64_t side : counters.query_microseconds) microseconds += side;
    return table_answer({columns(Topic::stats),
                         {{database, number(counters.transactions), number(counters.queries),
                           number(counters.client_bytes), number(counters.server_bytes), number(microseconds)}}});
}

Answer show_databases(const Config& config, std::optional<Side> active, bool paused,
                      const std::vector<SessionView>& sessions) {
    Table table{columns(Topic::databases), {}};
    for (const std::string& database : config.switching.databases) {
        const auto connections =
            std::count_if(sessions.begin(), sessions.end(),
                          [&database](const SessionView& session) { return session.database == database; });
        Row row{database,           std::nullopt,      std::nullopt, database, "session", std::to_string(connections),
                paused ? "1" : "0", active ? "0" : "1"};
        if (active) {
            row[1] = address_of(first_endpoint(config, *active));
            row[2] = std::to_string(first_endpoint(config, *active).port);
        }
        table.rows.push_back(std::move(row));
    }
    return table_answer(std::move(table));
}

Answer show_pools(const std::vector<SessionView>& sessions) {
    struct Pool {
        std::uint64_t active = 0;
        std::uint64_t waiting = 0;
        std::uint64_t servers_active = 0;
        std::uint64_t servers_idle = 0;
        std::uint64_t servers_login = 0;
    };
    std::map<std::pair<std::string, std::string>, Pool> pools;
    for (const SessionView& session : sessions) {
        Pool& pool = pools[{session.database, session.user}];
        ++(session.state == "held" || session.state == "login" ? pool.waiting : pool.active);
        if (session.state == "login")
            ++pool.servers_login;
        else
            ++(at_work(session) ? pool.servers_active : pool.servers_idle);
    }
    Table table{columns(Topic::pools), {}};
    for (const auto& [key, pool] : pools)
        table.rows.push_back({key.first, key.second, number(pool.active), number(pool.waiting),
                              number(pool.servers_active), number(pool.servers_idle), number(pool.servers_login),
                              "session"});
    return table_answer(std::move(table));
}

Answer show_clients(const std::vector<SessionView>& sessions) {
    Table table{columns(Topic::clients), {}};
    for (const SessionView& s : sessions)
        table.rows.push_back({"C", s.user, s.database, s.state == "held" ? "waiting" : "active", s.address,
                              number(s.id), std::to_string(s.client_pid), s.tls ? "TLS" : "", s.application});
    return table_answer(std::move(table));
}

Answer show_servers(const std::vector<SessionView>& sessions, const Config& config) {
    Table table{columns(Topic::servers), {}};
    for (const SessionView& s : sessions) {
        if (s.state == "login") continue;
        table.rows.push_back({"S", s.user, s.database, at_work(s) ? "active" : "idle",
                              address_of(first_endpoint(config, s.side)), number(s.id), std::to_string(s.server_pid),
                              "", s.application});
    }
    return table_answer(std::move(table));
}

Answer show_lists(const Config& config, const std::vector<SessionView>& sessions) {
    std::set<std::string> users;
    std::set<std::pair<std::string, std::string>> pools;
    std::uint64_t logins = 0;
    for (const SessionView& session : sessions) {
        users.insert(session.user);
        pools.emplace(session.database, session.user);
        if (session.state == "login") ++logins;
    }
    Table table{columns(Topic::lists), {}};
    table.rows = {{"databases", number(config.switching.databases.size())},
                  {"users", number(users.size())},
                  {"pools", number(pools.size())},
                  {"used_clients", number(sessions.size())},
                  {"login_clients", number(logins)},
                  {"used_servers", number(sessions.size() - logins)}};
    return table_answer(std::move(table));
}

}  // namespace turnout::control
