// What is written down of one switch while it runs, for its report: what led to it, what the sessions did before,
// during and after it, and how it ended.
#pragma once

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "control/config.hpp"
#include "control/data_plane.hpp"
#include "control/recent_counters.hpp"
#include "control/switch_report.hpp"

namespace turnout::control {

/// A moment at which the switch said what it does.
struct SwitchMark {
    Clock::time_point at;
    std::string phase;
};

/// What each side had written at a moment, as a WAL position in bytes; nothing of one that could not be asked.
struct WritePositions {
    Clock::time_point at;
    std::array<std::optional<std::int64_t>, 2> bytes;  ///< by index(Side)
};

/// Filled while the switch runs.
struct SwitchRecord {
    std::string verb;          ///< "switch", "rollback", "rehearse"
    Side active = Side::blue;  ///< when it began
    std::string version;
    std::chrono::system_clock::time_point began;
    std::vector<RecentCounters::Sample> samples;  ///< from a minute before on, oldest first
    std::vector<WritePositions> positions;        ///< beside the window, never in it
    std::vector<SwitchMark> marks;
    boost::json::array preflight;  ///< findings, as CHECK tells them
    std::vector<ConfigRow> configuration;
    bool over = false;
};

/// "2026-11-25T220510.123Z-switch": the name of its report.
std::string record_id(const SwitchRecord& record);

/// {"id", "time", "verb", "version", "report", "timeline", "positions", "latency_us", "preflight", "configuration"}.
/// The timeline's zero is the moment at which the last attempt closed the gate (or was about to), or the beginning.
boost::json::object record_json(const SwitchRecord& record, const SwitchReport& report);

/// Whether the switch is at its window, or about to be: nobody is to be asked anything for the record.
bool at_window(const SwitchRecord& record);

/// "2026-11-25T22:05:10.123Z".
std::string iso_time(std::chrono::system_clock::time_point at);

}  // namespace turnout::control
