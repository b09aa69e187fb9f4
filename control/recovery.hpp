// Who is served on start: a pure decision from what the two journals and the state file say.
//
// The table (A: the side with the highest `active`, n; O: the other one):
//
//   no journal anywhere, both sides asked, no state file        the side configured first becomes active with 1
//   A not retired, no attempt above n open                      serve A, then bring both sides into its steady state
//   A not retired, attempt g above n open, O reachable          void or obey g on O, then decide again
//   A not retired, attempt g above n open, O not reachable      nobody
//   A retired, or no `active` to be seen, O not reachable       nobody: the active side is away
//   retired without an active elsewhere, equal generations, a foreign server, less than the state file's generation,
//   a server in recovery, rows without an active                nobody: a person has to look
//
// An attempt g is open if the intent on A, the state file or a register on O names it and O's register does not say
// `void`. Deciding again after each step is what makes recovery repeatable: whatever was interrupted is seen again.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "control/data_plane.hpp"
#include "control/journal.hpp"
#include "control/lsn.hpp"
#include "control/recovery_state.hpp"

namespace turnout::control {

/// By index(Side); nullopt: not reachable.
using JournalViews = std::array<std::optional<JournalView>, 2>;

namespace decision {

/// Clients may be served by this side.
struct Serve {
    Side side = Side::blue;
    std::int64_t generation = 0;
    bool finished = false;  ///< `finish` was done: there is no other side any more
    bool moved = false;     ///< it is not the side that the version change began with
};
/// The outcome of an attempt has to be decided in this side's register; then decide again.
struct Ask {
    Side side = Side::green;
    std::int64_t generation = 0;
};
/// Nothing of turnout's exists yet: make this side active; then decide again.
struct Bootstrap {
    Side side = Side::blue;
    std::int64_t generation = 1;
};
/// Nobody may be served.
struct Nobody {
    bool needs_person = false;  ///< false: it is decided as soon as the other side can be reached
    std::string reason;         ///< a sentence
    std::string hint;
};

}  // namespace decision

using Decision = std::variant<decision::Serve, decision::Ask, decision::Bootstrap, decision::Nobody>;

/// See the file's head. Each view must stand at its own side's index.
Decision decide(const JournalViews& views, const ServedState& state);

/// The number for the next attempt towards `standby`: above all that either side has seen, or the one that is still
/// `armed` there; and an attempt above the one armed.
AttemptId next_attempt(const JournalView& active, const JournalView& standby);

/// What force-active `side` gives it: above everything that can be seen.
std::int64_t forced_generation(const JournalViews& views, const ServedState& state);

/// What force-active may lose, in sentences for whoever is about to do it.
std::vector<std::string> forced_losses(const JournalViews& views, Side side);

/// Where in its life a version change is.
enum class LifePhase { fresh, syncing, synced, switching, switched, finished, uncertain };
/// "new", "syncing", …
std::string_view name(LifePhase phase);

struct LifeFacts {
    std::optional<decision::Serve> served;  ///< nothing: nobody is
    bool sync_runs = false;
    bool switch_runs = false;
    bool streams_ready = false;  ///< both directions of every database, all tables copied
};
LifePhase life_phase(const LifeFacts& facts);

}  // namespace turnout::control
