// What SHOW shows as PgBouncer would, with its columns and units, so that what people and exporters know of it holds.
// Pure. Every session has a server connection of its own, so a pool is as large as the number of its sessions; what
// turnout has no notion of (pools of reserve, peers, DNS caches) is 0 or NULL. README.md names what is not counted.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/answer.hpp"
#include "control/command.hpp"
#include "control/config.hpp"
#include "control/data_plane.hpp"
#include "control/recent_counters.hpp"

namespace turnout::control {

/// What the proxy knows now.
struct ProxyFacts {
    std::optional<Side> active;
    bool paused = false;
    std::set<std::string> disabled;  ///< databases
    std::vector<SessionView> sessions;
    RecentCounters recent;  ///< the last sample is of now
    std::chrono::system_clock::time_point now;
};

Answer show_stats(const Config& config, const ProxyFacts& facts);
Answer show_stats_totals(const Config& config, const ProxyFacts& facts);
Answer show_stats_averages(const Config& config, const ProxyFacts& facts);
Answer show_totals(const Config& config, const ProxyFacts& facts);
Answer show_databases(const Config& config, const ProxyFacts& facts);
Answer show_pools(const ProxyFacts& facts);
Answer show_clients(const Config& config, const ProxyFacts& facts);
Answer show_servers(const Config& config, const ProxyFacts& facts);
Answer show_sockets(const Config& config, const ProxyFacts& facts);
/// Those at both ends of a session that is at work.
Answer show_active_sockets(const Config& config, const ProxyFacts& facts);
Answer show_lists(const Config& config, const ProxyFacts& facts);
Answer show_users(const ProxyFacts& facts);
Answer show_state(const ProxyFacts& facts);
/// What there is none of here.
Answer show_nothing(Topic topic);
/// Of this process, as the kernel counts it.
Answer show_mem();

}  // namespace turnout::control
