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
#include "control/report_store.hpp"

namespace turnout::control {

/// What control knows of itself.
struct StatusFacts {
    std::optional<decision::Serve> served;
    std::string reason;  ///< why nobody is served
    std::string hint;
    LifePhase phase = LifePhase::fresh;
    std::string running;  ///< the verb that runs, in lower case; empty: none
    double running_seconds = 0;
    std::string watching;  ///< how a switch that is watched goes; empty: none is
    std::string progress;  ///< its last line
    bool paused = false;
    bool stopping = false;
    std::vector<std::string> unsettled;  ///< what is still to be done after the last switch or start
    std::vector<StreamLag> lag;          ///< as last looked at
    std::uint64_t sessions = 0;
    std::uint64_t pinned = 0;
    std::uint64_t in_transaction = 0;
    double oldest_transaction_seconds = 0;
    double transactions_per_second = 0;  ///< of the last seconds
    std::string version;
};

/// What a person may want to type now, most useful first.
std::vector<std::string> next_steps(LifePhase phase, bool paused);

/// Puts them into an answer: "next_steps" of an object, and a last line of its text.
void add_next_steps(Answer& answer, const std::vector<std::string>& steps);

/// {"active", "standby", "generation", "phase", "running", ..., "next_step"}; `active` is null when nobody is served.
Answer show_status(const StatusFacts& facts);

/// One stream, and how far it is.
struct StreamView {
    Stream stream;
    std::int64_t tables = 0;
    std::int64_t tables_ready = 0;
    std::optional<StreamLag> lag;  ///< nothing: its source cannot be asked
};
Answer show_replication(const std::vector<StreamView>& streams);
/// Youngest first.
Answer show_history(const std::vector<ReportSummary>& reports);

Answer show_sessions(const std::vector<SessionView>& sessions);
Answer show_lag(const std::vector<StreamLag>& lag);
Answer show_config(const Config& config);
Answer show_help();
Answer show_version(std::string_view version);

/// "now", "boundary", "pinned".
std::string_view name(Movable movable);

}  // namespace turnout::control
