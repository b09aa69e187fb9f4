// What a switch has to say when it is over: for programs (JSON), for people (a table), for the exit status.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/answer.hpp"
#include "control/data_plane.hpp"
#include "control/switch_request.hpp"

namespace turnout::control {

enum class SwitchOutcome {
    switched,
    rolled_back,
    rehearsed,
    refused,    ///< something has to be mended first; served by the old side as before
    given_up,   ///< no attempt succeeded before the deadline, or the operator stopped it; served by the old side
    uncertain,  ///< a person decided, or must decide, who is active
};
/// "switched", "rolled_back", …
std::string_view name(SwitchOutcome outcome);

/// A step and how long it took.
struct TimedPhase {
    std::string_view name;
    Microseconds took{0};
    Microseconds began{0};  ///< after the gate closed; of phases in the window
};

/// An attempt that left everyone on the old side.
struct MissedAttempt {
    std::uint64_t attempt = 0;
    std::string why;                      ///< a sentence
    std::vector<std::string> waited_for;  ///< sessions, databases, transactions
    Microseconds closed{0};               ///< how long the gate was closed at most; 0: it never was
};

/// A transaction that somebody committed on the side that was not active any more.
struct StrayNote {
    std::string database;
    std::string text;
};

struct SwitchReport {
    SwitchOutcome outcome = SwitchOutcome::given_up;
    SwitchKind kind = SwitchKind::forward;
    Side from = Side::blue;
    Side to = Side::green;
    std::int64_t generation = 0;  ///< of the side that is active now
    std::uint64_t attempts = 0;   ///< gates asked to close

    std::optional<Microseconds> window;   ///< of the attempt that succeeded
    std::vector<TimedPhase> phases;       ///< in the window; they overlap
    std::vector<TimedPhase> preparation;  ///< before it
    Microseconds settle{0};               ///< from the opening on, until the next switch may begin
    std::uint64_t cleared_up = 0;         ///< activations of unknown outcome that had to be cleared up
    Microseconds clearing_up{0};          ///< how long sessions waited for that: what max_pause cannot bound
    std::vector<MissedAttempt> missed;

    MoveReport sessions;
    std::vector<std::string> not_armed;  ///< sessions that had no backend on the standby beforehand, and why
    std::vector<StrayNote> strays;
    std::uint64_t stray_transactions = 0;

    std::vector<std::string> problems;   ///< why it was refused or given up: each with its remedy
    std::string message;                 ///< one sentence
    std::string hint;                    ///< what to do now
    std::vector<std::string> left_over;  ///< what could not be undone or settled yet; done again later
    bool cancelled = false;              ///< by the operator

    ExitStatus exit_status() const;
};

/// The value below which `percent` of the values are (nearest rank); 0 of none. Sorts a copy.
Microseconds percentile(std::vector<Microseconds> values, unsigned percent);

/// The object that DESIGN fixes, and more.
boost::json::object to_json(const SwitchReport& report);

/// For people: the outcome in a sentence, then aligned lines.
std::string to_text(const SwitchReport& report);

}  // namespace turnout::control
