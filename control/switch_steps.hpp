// What the switch's machine asks to be done, and what it is told. Plain values.
//
// Each request has a ticket; its answer names it. An answer whose ticket the machine has dropped is of the past and
// changes nothing. Requests marked (no answer) have ticket 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "control/data_plane.hpp"
#include "control/journal.hpp"
#include "control/lsn.hpp"
#include "control/pg_error.hpp"
#include "control/switch_report.hpp"

namespace turnout::control {

/// A position in a side's WAL.
struct WrittenTo {
    Lsn lsn;
    bool flushed = false;  ///< all up to there is; otherwise something was acknowledged before it was
};

/// Requests. What each does to the world, and which reply it gets; every one may get reply::Failed instead, or nothing
/// at all.
namespace step {

// ---- before the window

/// Looks at tables = publication = subscription. reply::Rechecked
struct Recheck {
    bool settled = false;  ///< brings both sides into their steady state first, and refuses if that cannot be done
};
/// Parks the stream towards the active side. reply::Done
struct ParkReverse {};
/// Raises the fence on the active side, in one transaction. reply::Done
struct RaiseFence {};
/// Waits until the transactions that ran when the fence was raised are over, the proxy's own excepted. reply::Outwaited
struct OutwaitTransactions {
    Clock::time_point deadline;
};
/// Finds sessions that bypass the proxy; ends them if asked to. reply::Bypassing
struct LookForBypassing {
    bool end = false;
    Clock::time_point deadline;
};
/// DataPlane::arm. reply::Armed
struct ArmSessions {};
/// Opens the window's connections, prepares its statements, ends whatever an earlier attempt left running; then
/// DataPlane::warm, for a bounded time. reply::Done
struct WarmUp {};
/// How far the standby is behind, and what runs. reply::Moment
struct LookAtMoment {};
/// Writes into the state file that `generation` may be served from now on. reply::Done
struct NoteAttempt {
    std::int64_t generation = 0;
};
/// Writes the intent on the active side, and carries a marker behind it to the standby. reply::Done
struct WriteIntent {
    AttemptId id;
};
/// Writes the register on the standby. reply::Registered
struct Register {
    AttemptId id;
};

// ---- in the window

/// DataPlane::close_gate; while that waits for a lull, the servers are asked what the window will ask. reply::Drained
struct CloseGate {
    CloseRequest request;
};
/// Of each database of the active side: where its WAL ends, prepared transactions, whether the schema was changed.
/// reply::Facts
struct ReadFacts {};
/// Waits until the standby has applied one database up to there. reply::Done
struct CatchUp {
    std::size_t database = 0;
    WrittenTo written_to;
};
/// Reads one database's sequences and, unless rehearsing, sets those that changed on the standby. reply::Done
struct CarrySequences {
    std::size_t database = 0;
    bool set = true;
};
/// DataPlane::claim. reply::Claimed
struct Claim {
    std::uint64_t attempt = 0;
};
/// Disables the subscriptions on the standby, in all databases at once. reply::Done
struct DisableForward {};
/// The register's compare-and-set. reply::Activated
struct Activate {
    AttemptId id;
    Clock::time_point deadline;
};
/// DataPlane::claim_alive. (no answer)
struct ClaimAlive {
    std::uint64_t attempt = 0;
};
/// void_or_obey on a fresh connection to the standby. reply::Decided
struct ClearUp {
    std::int64_t generation = 0;
    Clock::time_point deadline;
};
/// DataPlane::open_to. reply::Opened
struct OpenGate {
    std::uint64_t attempt = 0;
    Side side = Side::green;
    std::int64_t generation = 0;
};

// ---- after it

/// Writes into the state file that `generation` is served, and that no other may be. reply::Done
struct NoteServed {
    std::int64_t generation = 0;
};
/// Brings both sides into the steady state of `active` (settle.hpp). reply::Settled
struct Settle {
    Side active = Side::green;
    std::int64_t generation = 0;
    Clock::time_point deadline;
};
/// DataPlane::finish_moves. reply::Moved
struct FinishMoves {};

// ---- undo

/// DataPlane::give_up. (no answer)
struct GiveUpGate {
    std::uint64_t attempt = 0;
};
/// Makes sure that nothing sent for an earlier request can still take effect on either side: waits for the answers, and
/// ends the backends whose answer does not come. reply::Done
struct Quiesce {};
/// Enables the subscriptions on the standby again. reply::Done
struct EnableForward {};
/// Removes the intent. reply::Done
struct WithdrawIntent {
    AttemptId id;
};
/// DataPlane::disarm. (no answer)
struct Disarm {};

}  // namespace step

using SwitchStep =
    std::variant<step::Recheck, step::ParkReverse, step::RaiseFence, step::OutwaitTransactions, step::LookForBypassing,
                 step::ArmSessions, step::WarmUp, step::LookAtMoment, step::NoteAttempt, step::WriteIntent,
                 step::Register, step::CloseGate, step::ReadFacts, step::CatchUp, step::CarrySequences, step::Claim,
                 step::DisableForward, step::Activate, step::ClaimAlive, step::ClearUp, step::OpenGate,
                 step::NoteServed, step::Settle, step::FinishMoves, step::GiveUpGate, step::Quiesce,
                 step::EnableForward, step::WithdrawIntent, step::Disarm>;

/// "recheck", "close gate": for logs and tests.
std::string_view name(const SwitchStep& step);

/// Replies.
namespace reply {

struct Done {};
/// It failed. With Outcome::unknown it may have taken effect, or may yet.
struct Failed {
    Outcome outcome = Outcome::unknown;
    std::string message;
};
struct Rechecked {
    std::vector<std::string> problems;  ///< empty: all is well
};
struct Outwaited {
    std::vector<std::string> left;  ///< still running at the deadline
};
struct Bypassing {
    std::vector<std::string> sessions;  ///< that are there still
};
struct Armed {
    ArmReport report;
};
struct Moment {
    std::int64_t lag_bytes = 0;  ///< of the stream that is furthest behind
    Microseconds lag_time{0};
    std::vector<std::string> broken;       ///< streams that do not stream
    std::vector<std::string> obstacles;    ///< long or large transactions
    std::vector<LockWaiter> lock_waiters;  ///< of the proxy's sessions or others
    bool synchronous_standby = false;      ///< the active side waits for one when it commits
};
struct Registered {
    bool armed = false;  ///< false: the generation is decided already, take the next
};
struct Drained {
    DrainReport report;
};
struct Facts {
    std::vector<std::string> obstacles;  ///< prepared transactions
    std::vector<std::string> changed;    ///< databases whose schema is not as it was at WarmUp
    std::vector<WrittenTo> written_to;   ///< by database
};
struct Claimed {
    bool claimed = false;
};
struct Activated {
    std::optional<Lsn> noted;  ///< nullopt: the register was not armed; it did not and will not happen
};
struct Decided {
    Verdict verdict;
};
struct Opened {
    Clock::time_point at;
};
struct Settled {
    std::vector<std::string> left;  ///< what could not be done; empty: settled
    std::vector<StrayNote> strays;
    std::uint64_t stray_transactions = 0;
};
struct Moved {
    MoveReport report;
};

}  // namespace reply

using SwitchReply =
    std::variant<reply::Done, reply::Failed, reply::Rechecked, reply::Outwaited, reply::Bypassing, reply::Armed,
                 reply::Moment, reply::Registered, reply::Drained, reply::Facts, reply::Claimed, reply::Activated,
                 reply::Decided, reply::Opened, reply::Settled, reply::Moved>;

using Ticket = std::uint64_t;

struct SwitchCommand {
    Ticket ticket = 0;
    SwitchStep step;
};

/// Events.
namespace event {
struct Start {};
struct Answered {
    Ticket ticket = 0;
    SwitchReply reply;
};
/// The time that SwitchMachine::alarm() named has come.
struct Alarm {};
/// The operator wants it to stop: before the claim everything is undone, after it the switch is finished.
struct Cancel {};
/// A person forced the old side active, with this generation, while the outcome was being cleared up.
struct Override {
    std::int64_t generation = 0;
};
}  // namespace event

using SwitchEvent = std::variant<event::Start, event::Answered, event::Alarm, event::Cancel, event::Override>;

}  // namespace turnout::control
