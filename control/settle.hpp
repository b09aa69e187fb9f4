// The steady state of two sides, and what is still to be done until it is reached. The same list settles a switch that
// succeeded, undoes one that did not, and goes on after a crash: it is made from what the servers say, not from what
// was done before.
//
//   the active side     not fenced, no intent; the stream towards it is `probing`: it carries the marker only
//   the standby         fenced, and `retired` if it was active before; the stream towards it is `whole`
//
// Per database, `away` is the stream towards the standby and `back` the one towards the active side. Right after a
// switch both are parked, `away` still narrowed and `back` still whole; what the parked slot of `back` holds beyond
// what was applied are strays, read before anything moves it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "control/data_plane.hpp"
#include "control/lsn.hpp"
#include "control/replication.hpp"

namespace turnout::control {

/// One stream as its subscriber and its source describe it.
struct StreamState {
    Stream stream;
    bool slot_active = false;
    Lsn progress;  ///< Lsn{}: nothing was applied yet
};

struct DatabaseState {
    std::string database;
    std::optional<StreamState> away;
    std::optional<StreamState> back;
    bool fenced_on_standby = false;
};

/// What both sides say at about one moment.
struct PairState {
    Side active = Side::blue;
    std::int64_t generation = 0;
    Lsn noted;  ///< of the active side's activation
    bool active_fenced = false;
    bool intent = false;              ///< on the active side; its outcome is known when this is asked for
    bool standby_was_active = false;  ///< with a lower generation
    bool standby_retired = false;     ///< with this one
    std::vector<DatabaseState> databases;
};

namespace settling {

struct LiftFence {};       ///< of the active side
struct WithdrawIntent {};  ///< on the active side
struct Retire {};          ///< the standby
struct RaiseFence {};      ///< on the standby
struct Disable {
    std::size_t database;
    bool back;
};
/// Waits until the slot is inactive, reads it, then narrows.
struct ReadStraysAndNarrow {
    std::size_t database;
};
/// Waits until the slot is inactive, then sets the position, if the progress is still below it.
struct AdvanceOrigin {
    std::size_t database;
};
struct Widen {
    std::size_t database;
};
struct Enable {
    std::size_t database;
    bool back;
};
struct AwaitStreaming {
    std::size_t database;
    bool back;
};

}  // namespace settling

using SettleStep = std::variant<settling::LiftFence, settling::WithdrawIntent, settling::Retire, settling::RaiseFence,
                                settling::Disable, settling::ReadStraysAndNarrow, settling::AdvanceOrigin,
                                settling::Widen, settling::Enable, settling::AwaitStreaming>;

/// What is to be done, in this order; the streams of different databases are independent of each other. Empty: the
/// steady state is reached. Streams are left alone in databases that have no stream back: they are not copied yet. One
/// that has no other, after a switch without a way back, is narrowed all the same.
std::vector<SettleStep> settle_plan(const PairState& state);

/// "app: enable the stream to green".
std::string text(const SettleStep& step, const PairState& state);

}  // namespace turnout::control
