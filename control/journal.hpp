// The journal: who is active, decided by compare-and-set on one row. It lives in a database of each side that is never
// switched, schema turnout:
//
//   journal  one row per generation that this side has seen
//              armed    an attempt to make this side active may still decide so
//              active   this side became active with that generation
//              void     that generation never will; its number is not used again
//              retired  the other side became active with that generation, this one stopped being it
//   intent   at most one row, on the active side: an attempt is about to close the gate, so that a restart must ask the
//            other side what became of it
//   fence    the value of default_transaction_read_only that each fenced database had before (fence.hpp)
//
// `armed` is the only state that changes, once, to active or void, by whoever's UPDATE comes first. Nothing is ever
// concluded from not seeing an activation.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/data_plane.hpp"
#include "control/lsn.hpp"
#include "control/pg_connection.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// One attempt of a switch. The generation stays while attempts are repeated and is skipped once void.
struct AttemptId {
    std::int64_t generation = 0;
    std::int64_t attempt = 0;
    friend bool operator==(const AttemptId&, const AttemptId&) = default;
};

enum class JournalState { armed, active, voided, retired };
/// "armed", "active", "void", "retired": as stored.
std::string_view name(JournalState state);

struct JournalRow {
    AttemptId id;
    JournalState state = JournalState::voided;
    /// active: pg_current_wal_insert_lsn() of this side in the activation; where the other side's subscription goes on.
    Lsn noted;
    std::string side;               ///< the name this side had when the row was written
    std::string system_identifier;  ///< of the server that wrote it
    bool finished = false;          ///< active: `finish` was done, nothing else of turnout is left
};

struct FenceRow {
    std::string database;
    std::optional<std::string> former;  ///< nullopt: the database had no setting of its own
};

/// All that one side's journal says at one moment (one snapshot), and what recovery needs besides.
struct JournalView {
    Side side = Side::blue;
    bool exists = false;            ///< there is a journal
    std::string system_identifier;  ///< of the server as it is now
    bool in_recovery = false;       ///< a physical standby: it can be asked, not written
    int server_version = 0;         ///< server_version_num
    std::vector<JournalRow> rows;   ///< by generation, ascending
    std::optional<AttemptId> intent;
    std::vector<FenceRow> fence;

    /// The row of that generation, or nullptr.
    const JournalRow* find(std::int64_t generation) const;
    /// The highest `active`, or nullptr.
    const JournalRow* active() const;
    /// The highest `retired`, or nullptr.
    const JournalRow* retired() const;
    /// True if the highest retired is above the highest active: the other side took over.
    bool is_retired() const;
    /// The highest number in any state, intent included; 0 if none. The next switch takes the greater of both sides'
    /// plus 1, unless that one is still `armed`.
    std::int64_t highest_generation() const;
    /// Why this journal is not this side's (urls swapped, another server under the address), or nullopt.
    std::optional<std::string> foreign() const;
};

/// What stands in the register after void_or_obey: decided, for good.
struct Verdict {
    JournalState state =
        JournalState::voided;  ///< voided or active (or retired, if that side was left with this number)
    Lsn noted;                 ///< with active
};

/// One side's journal over a connection of its own. Every write commits synchronously, whatever the server's default.
class Journal {
  public:
    /// Connects; the journal need not exist yet. Throws PgError.
    static boost::asio::awaitable<std::unique_ptr<Journal>> open(const Cluster& cluster, Side side);

    /// Makes schema and tables where they are missing, and prepares the statements below (open() does so if they
    /// exist).
    boost::asio::awaitable<void> create();
    /// Reads everything. Works without a journal and on a server in recovery.
    boost::asio::awaitable<JournalView> read();

    /// First start: this side is active with `generation` (1, or what the proxy's state file says). Makes the journal.
    /// False: a row is there already, and stays.
    boost::asio::awaitable<bool> bootstrap(std::int64_t generation);

    /// On the active side: an attempt begins. Replaces an older intent.
    boost::asio::awaitable<void> set_intent(AttemptId id);
    /// Removes exactly that intent; false: it was not there. One that claimed must not be withdrawn unless the verdict
    /// is void.
    boost::asio::awaitable<bool> withdraw_intent(AttemptId id);

    /// On the standby: the register of this attempt, whose number must be above those of earlier ones with the same
    /// generation. False: the generation is decided, or a later attempt has it (take the next generation).
    boost::asio::awaitable<bool> arm(AttemptId id);
    /// On the standby, before the window: sends an update of the register that changes nothing but its time, and is
    /// committed like the activation. The answer is the caller's to receive from connection(). The journal must exist.
    void send_touch(AttemptId id);
    /// On the standby, in the window: armed becomes active, in one synchronous commit. The noted position, or nullopt:
    /// the row was not `armed` with this attempt, so it did not and will not happen. Throws PgError; after
    /// Outcome::unknown only void_or_obey on a new connection tells.
    boost::asio::awaitable<std::optional<Lsn>> activate(AttemptId id, Clock::time_point deadline);
    /// On the standby: makes the generation void unless it is active (also where no row stands yet), then tells what
    /// stands. Blocks while an activation is undecided; throws PgError (deadline: still not known).
    boost::asio::awaitable<Verdict> void_or_obey(std::int64_t generation, Clock::time_point deadline);

    /// On the old side, after the window: writes (generation, retired) and removes the intent, in one commit.
    /// Repeatable.
    boost::asio::awaitable<void> retire(std::int64_t generation);
    /// force-active: (generation, active) with a noted position, whatever stood there; removes the intent. Returns
    /// noted.
    boost::asio::awaitable<Lsn> force_active(std::int64_t generation);
    /// Marks the highest active row finished, and removes all other rows and the intent.
    boost::asio::awaitable<void> mark_finished();
    /// A new version change begins: nothing is finished any more.
    boost::asio::awaitable<void> clear_finished();
    /// Drops the journal, schema and all.
    boost::asio::awaitable<void> drop();

    /// Single flight: a lock of this session on this side. False: somebody holds it.
    boost::asio::awaitable<bool> try_lock();
    /// Who holds it (pid and application), for the message; nullopt: nobody.
    boost::asio::awaitable<std::optional<std::int32_t>> lock_holder();
    /// Whether this session still holds it; asks the server. False also after a lost connection.
    boost::asio::awaitable<bool> holds_lock();

    PgConnection& connection() { return *connection_; }
    Side side() const { return connection_->side(); }

  private:
    explicit Journal(PgConnection::Ptr connection) : connection_(std::move(connection)) {}
    boost::asio::awaitable<bool> exists();
    boost::asio::awaitable<void> prepare_statements();

    PgConnection::Ptr connection_;
    bool prepared_ = false;
};

}  // namespace turnout::control
