// One step of a PgUpgrade: from what is, to what is to be told and done next. Pure: no I/O, no clock.
//
// Everything is decided from what was just observed and from the object itself, never from what the operator remembers
// having done: so it may be killed anywhere, and a step that is taken twice is as good as taken once. What must not be
// taken for granted after a crash (`request`, `kept`) stands in the status, and the driver writes the status before it
// acts.
//
// The life: Pending → Preflight → Provisioning → Replicating → CaughtUp → Switched ⇄ RolledBack → Finished; Aborted and
// Deleting lead out of it from everywhere.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/kubernetes/spec.hpp"
#include "control/kubernetes/status.hpp"

namespace turnout::kubernetes {

/// A StatefulSet or a Deployment as it was found.
struct Workload {
    bool exists = false;
    bool ready = false;
    std::string trouble;  ///< why its pods do not start, as the kubelet tells; empty: nothing is known
};

/// Where the Service of the clients leads.
enum class Traffic {
    none,     ///< the spec names no Service
    missing,  ///< there is no Service of that name
    old_server,
    proxy,
    new_server,
};

/// SHOW STATUS, as far as it matters here.
struct TurnoutStatus {
    std::string phase;   ///< "new", "syncing", "synced", "switching", "switched", "finished", "uncertain"
    std::string active;  ///< "blue", "green" or empty
    std::int64_t generation = 0;
    std::string running;  ///< the verb that runs, whoever began it; empty: none
    std::string progress;
    std::optional<std::int64_t> lag_bytes;  ///< the greatest
    std::string trouble;                    ///< why nobody is served, with what to do
    bool watching = false;                  ///< a switch that was made is watched, and left again if things get worse
    std::optional<Window> window{};         ///< of the switch that made this generation, where it is still known
};

enum class Verb { check, sync, switch_over, rollback, finish, abort };
std::string_view name(Verb verb);

/// How a verb ended that this operator has run. Kept in memory only.
struct VerbResult {
    Verb verb = Verb::check;
    bool done = false;
    std::string message;                ///< of a failure, with detail and hint: a sentence or more
    std::vector<std::string> refusals;  ///< of a check: each with its remedy
    std::optional<Window> window;       ///< of a switch or a rollback
    WallClock::time_point ended;
    int failures = 0;      ///< in a row, this one included
    std::string undone{};  ///< why a switch that was watched was left again; empty: it was not
};

/// What the operator found when it asked the old server itself, before anything is made.
struct OldServer {
    std::vector<SpecProblem> problems;
    WallClock::time_point asked;
};

struct Observed {
    std::int64_t generation = 0;  ///< metadata.generation
    bool deleting = false;
    bool finalizer = false;
    boost::json::object spec;
    Status status;

    std::vector<SpecProblem> secrets;  ///< what is wrong with the Secrets that the spec names
    std::optional<OldServer> old_server;
    Workload server;
    Workload proxy;
    Workload old_workload;
    Traffic traffic = Traffic::none;
    std::optional<TurnoutStatus> turnout;  ///< nothing: it does not answer
    std::string unreachable;               ///< why it does not
    std::optional<Verb> running;           ///< that this operator runs now
    std::optional<VerbResult> last;        ///< of this operator since its start, of this object
    WallClock::time_point now;
};

enum class ActionKind {
    add_finalizer,
    remove_finalizer,
    ask_old_server,
    apply_server,  ///< with its Service, and the Service that keeps leading to the old server
    apply_proxy,   ///< with its Service and configuration
    move_traffic,  ///< `to`
    run_verb,      ///< `verb`, by `command`
    cancel_verb,
    remove_old_workload,
    remove_proxy,
    remove_server,  ///< `volume`: with it
};

struct Action {
    ActionKind kind = ActionKind::add_finalizer;
    Traffic to = Traffic::proxy;
    Verb verb = Verb::check;
    std::string command{};  ///< as the console takes it
    bool volume = false;
};

/// An Event to be told.
struct Note {
    bool warning = false;
    std::string reason;
    std::string message;
    bool operator==(const Note&) const = default;
};

struct Decision {
    Status status;                ///< to be written before anything is done, if it differs
    std::vector<Note> notes;      ///< told when the status was written
    std::vector<Action> actions;  ///< in this order; if one fails the rest is left for the next time
    std::optional<std::chrono::milliseconds> again_in;  ///< look again, even if nothing is heard
};

Decision reconcile(const Observed& observed);

/// How long to wait after so many failures in a row.
std::chrono::milliseconds back_off(int failures);

}  // namespace turnout::kubernetes
