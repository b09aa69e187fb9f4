// `check`: everything that would make a switch fail, lose something or take long, found before anybody waits, each with
// the statement that mends it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "control/data_plane.hpp"
#include "control/fence.hpp"
#include "control/side.hpp"

namespace turnout::control {

enum class Severity { pass, warn, refuse };
std::string_view name(Severity severity);  ///< "pass", "warn", "refuse"

/// One check's answer.
struct Finding {
    std::string check;  ///< its fixed name: "wal_level", "replica_identity"
    Severity severity = Severity::pass;
    std::string database;              ///< empty: the server as a whole
    std::vector<std::string> objects;  ///< at most 20, then "and n more"
    std::string sentence;              ///< what is wrong
    std::string remedy;                ///< the statement or verb that mends it; empty: none is known
};

enum class PreflightStage {
    before_sync,    ///< the standby may be empty; nothing of turnout need be there
    before_switch,  ///< everything
};

struct PreflightInput {
    Side active = Side::blue;
    PreflightStage stage = PreflightStage::before_switch;
    OwnPids own_pids;                       ///< on the active side; empty: there are none
    std::uint64_t sessions = 0;             ///< that will need a connection to the standby
    std::uint64_t movable = 0;              ///< of these: now, or when their transaction ends
    std::vector<std::string> pinned;        ///< sentences: who cannot be moved, and why
    Milliseconds long_transaction{30'000};  ///< one that is older is warned of
    bool end_bypassing = false;             ///< sessions that bypass the proxy will be ended: a warning, not a refusal
    bool rehearsal = false;                 ///< they are left alone: a warning, too
    bool no_way_back = false;               ///< a way back that does not work is a warning, not a refusal
};

struct PreflightReport {
    std::vector<Finding> findings;  ///< one or more for each check, in the order of the table
    /// Functions, triggers or policies exist that change session state unseen (ArmRequest::hidden_state).
    bool hidden_state = false;
    std::vector<std::string> setting_names;  ///< custom settings named in them (ArmRequest::setting_names)

    bool refused() const;
    /// Those with Severity::refuse.
    std::vector<Finding> refusals() const;
};

/// Runs every check that the stage has. Never throws PgError: a side that cannot be reached is a finding.
asio::awaitable<PreflightReport> preflight(const Cluster& cluster, PreflightInput input);

/// The names of all checks, in order (for the manual and the tests).
std::vector<std::string_view> preflight_checks();

}  // namespace turnout::control
