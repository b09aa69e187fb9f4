// What SHOW shows, from plain facts. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/answer.hpp"
#include "control/config.hpp"
#include "control/data_plane.hpp"
#include "control/recovery.hpp"
#include "control/replication.hpp"

namespace turnout::control {

/// What control knows of itself.
struct StatusFacts {
    std::optional<decision::Serve> served;
    std::string reason;  ///< why nobody is served
    std::string hint;
    LifePhase phase = LifePhase::fresh;
    std::string running;  ///< the verb that runs, in lower case; empty: none
    double running_seconds = 0;
    bool paused = false;
    bool stopping = false;
    std::vector<std::string> unsettled;  ///< what is still to be done after the last switch or start
    std::vector<StreamLag> lag;          ///< as last looked at
    std::uint64_t sessions = 0;
    std::uint64_t pinned = 0;
    std::string version;
};

/// {"active", "standby", "generation", "phase", "running", ..., "next_step"}; `active` is null when nobody is served.
Answer show_status(const StatusFacts& facts);

Answer show_sessions(const std::vector<SessionView>& sessions);
Answer show_lag(const std::vector<StreamLag>& lag);
Answer show_config(const Config& config);
Answer show_help();
Answer show_version(std::string_view version);

// ------------------------------------------------------------------------------ as PgBouncer shows them, its columns

Answer show_stats(const std::vector<std::string>& databases, const DataPlaneCounters& counters);
Answer show_databases(const Config& config, std::optional<Side> active, bool paused,
                      const std::vector<SessionView>& sessions);
Answer show_pools(const std::vector<SessionView>& sessions);
Answer show_clients(const std::vector<SessionView>& sessions);
Answer show_servers(const std::vector<SessionView>& sessions, const Config& config);
Answer show_lists(const Config& config, const std::vector<SessionView>& sessions);

/// Active and waiting sessions and the like, without a driver's help: "now", "boundary", "pinned".
std::string_view name(Movable movable);

}  // namespace turnout::control
