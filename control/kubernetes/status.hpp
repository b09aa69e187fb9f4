// The `status` of a PgUpgrade: what the operator tells people, and what it has to know after a crash. Pure.
//
// Conditions follow the API conventions: `type`, `status`, `reason`, `message`, `lastTransitionTime`, which changes
// only with `status`.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::kubernetes {

using WallClock = std::chrono::system_clock;

/// "2026-01-31T12:00:00Z", as the API writes times.
std::string time_text(WallClock::time_point time);
/// The time of such a text, with or without a fraction; nothing if it is none.
std::optional<WallClock::time_point> parse_time(std::string_view text);

enum class Phase {
    pending,
    preflight,
    provisioning,
    replicating,
    caught_up,
    switched,
    rolled_back,
    finished,
    aborted,
    deleting,
};
std::string_view name(Phase phase);

enum class Truth { unknown, no, yes };

struct Condition {
    std::string type;
    Truth status = Truth::unknown;
    std::string reason;   ///< CamelCase, for programs
    std::string message;  ///< for people
    std::string since;    ///< lastTransitionTime
    bool operator==(const Condition&) const = default;
};

/// Types of conditions, in the order in which they are told.
namespace condition {
inline constexpr std::string_view preflight_passed = "PreflightPassed";
inline constexpr std::string_view replicating = "Replicating";
inline constexpr std::string_view caught_up = "CaughtUp";
inline constexpr std::string_view switched = "Switched";
inline constexpr std::string_view rollback_ready = "RollbackReady";
inline constexpr std::string_view ready = "Ready";
inline constexpr std::string_view terminal = "Terminal";
}  // namespace condition

/// The last window.
struct Window {
    std::int64_t microseconds = 0;
    std::int64_t generation = 0;  ///< turnout's, that began with it
    std::string from;
    std::string to;
    std::string report;  ///< where the proxy keeps it; empty: nowhere
    bool operator==(const Window&) const = default;
};

/// How far the wish in `spec.cutover` was carried out. It is carried out once: after that only another value counts, so
/// that a rollback by somebody else is not undone.
struct Request {
    std::string cutover;
    bool done = false;
    std::int64_t turnout_generation = 0;  ///< when it was begun; 0: not yet
    std::string outcome{};                ///< why what was done was undone, a sentence; empty: it was not
    bool operator==(const Request&) const = default;
};

struct Status {
    std::int64_t observed_generation = 0;
    Phase phase = Phase::pending;
    std::string active;  ///< "blue" (the old server), "green", or empty while nobody is known to be
    std::int64_t turnout_generation = 0;
    std::optional<std::int64_t> lag_bytes;
    std::string lag_read;  ///< when
    std::optional<Window> window;
    std::string watched_since;   ///< when the new server became active; empty: it is not
    boost::json::object frozen;  ///< frozen_fields() of the spec that was begun with
    Request request;
    std::string kept;  ///< while the object is deleted: the side that stays, once that is decided
    std::vector<Condition> conditions;

    /// Nullptr: it was never told.
    const Condition* find(std::string_view type) const;
    bool is(std::string_view type, Truth truth) const;
    /// Sets a condition; `since` stays unless its status changes.
    void set(std::string_view type, Truth truth, std::string reason, std::string message, WallClock::time_point now);

    /// Nobody follows any more.
    void forget_lag();

    bool operator==(const Status&) const = default;
};

/// True where nothing differs but what is told for people to read: figures of the lag, wording. Such a change may wait.
bool same_story(const Status& one, const Status& other);

/// How often such changes are written at most: every watcher is sent each.
inline constexpr std::chrono::seconds kStoryPause{10};

/// Unknown members are left out; what is missing is as in an object that was just made.
Status parse_status(const boost::json::object& status);
boost::json::object to_json(const Status& status);

}  // namespace turnout::kubernetes
