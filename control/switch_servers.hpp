// The switch's side of the servers: connections that are warm before the window, and what is done over them.
//
// Per database: a connection to the active side that commits the marker (nudge), one that asks for the position, schema
// changes, prepared transactions and sequences (reader; where there are many sequences others help it); on the standby
// one that sets sequences and disables the stream (setter, synchronous_commit off). For all databases together: one to
// either side that sees how far the streams are (watchers), one to either journal, and one that holds the apply
// workers. Each may be used by one coroutine at a time; what the window does at once never shares one.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/journal.hpp"
#include "control/pg_connection.hpp"
#include "control/replay_watch.hpp"
#include "control/replication.hpp"
#include "control/sequences.hpp"
#include "control/side.hpp"
#include "control/switch_doubtful.hpp"
#include "control/switch_steps.hpp"

namespace turnout::control {

class SwitchServers {
  public:
    /// `doubtful` outlives this object and the switch. `schema_marks`: see SwitchOptions.
    SwitchServers(const Cluster& cluster, Side from, DoubtfulBackends& doubtful, std::vector<std::string> schema_marks);

    // ---- while nobody waits; all throw PgError
    asio::awaitable<std::vector<std::string>> find_uncarried_tables(bool no_way_back);
    /// Throws PgError if a stream towards the active side is not parked any more.
    void check_parked() const;
    asio::awaitable<void> park_reverse(Clock::time_point deadline);
    asio::awaitable<void> raise_fence();
    /// Opens what is not open, prepares, and sets on the standby the sequences that have fallen behind (`set`), so that
    /// the window has only those to set that change until then.
    asio::awaitable<void> warm_up(bool set);
    /// Sends a marker through every stream, and looks for what runs longer than `long_transaction`.
    asio::awaitable<reply::Moment> look_at_moment(Milliseconds long_transaction);
    /// Who waits for an advisory lock on the active side. Not while the window asks it.
    asio::awaitable<std::vector<LockWaiter>> find_lock_waiters();
    asio::awaitable<void> write_intent(AttemptId id);
    asio::awaitable<bool> withdraw_intent(AttemptId id);
    /// Also opens the transactions that will disable the forward streams: in the window only their commits are left to
    /// do. From those on the apply workers stand still, and many sequences cannot be restarted, until release().
    /// quiesce() ends all of that.
    asio::awaitable<bool> register_attempt(AttemptId id);
    /// The gate is open: the workers of the disabled streams may end, and nothing is asked of sequences any more.
    void release();
    asio::awaitable<void> enable_forward();
    /// A connection to the active side, for questions about sessions.
    asio::awaitable<PgConnection*> active();
    asio::awaitable<Journal*> active_journal();

    /// Asks what the window will ask, so that it is answered as fast as it can be then. `registered`: the standby is
    /// written to as well. Its sequences are set to the present values; the register is touched, as the activation
    /// will, whose commit flushes the WAL there: an apply worker's commits are not flushed one by one, and the
    /// activation would have to wait for all of that. True: all that had been written when this was asked the last time
    /// is applied by now, so that there is little to catch up with; the first time it is false. Throws PgError, also at
    /// the deadline.
    asio::awaitable<bool> stay_warm(std::optional<AttemptId> registered, Clock::time_point deadline);

    // ---- in the window: everything is open and prepared
    asio::awaitable<reply::Facts> read_facts();
    /// Behind read_facts().
    asio::awaitable<void> catch_up(std::size_t database, WrittenTo to);
    /// Behind read_facts(), which has asked for them.
    asio::awaitable<void> carry_sequences(std::size_t database, bool set);
    asio::awaitable<void> disable_forward();
    asio::awaitable<std::optional<Lsn>> activate(AttemptId id, Clock::time_point deadline);

    /// Nobody uses a connection any more: closes those that are broken or owe an answer, ends their backends, and waits
    /// until those are gone. Throws PgError if a side cannot be asked: then they stay doubtful.
    asio::awaitable<void> quiesce(Clock::time_point deadline);

  private:
    /// The connections of one database, and what was read over them before the window.
    struct Database {
        PgConnection::Ptr nudge, reader, setter;
        std::vector<PgConnection::Ptr> helpers;             ///< of reader
        std::unique_ptr<SequenceReader> sequences;          ///< over those; what it read is what the standby has
        std::unique_ptr<SequenceReader> standby_sequences;  ///< over setter
        std::string schema_mark;
        bool watch_raised = false;                   ///< or tried: it may not be possible
        std::string before_watch;                    ///< transactions that the watch may not see
        std::optional<std::int64_t> schema_changes;  ///< nothing: the mark itself must be read
        std::optional<Stream> forward, reverse;
        bool prepared = false;
        SequenceValues set_meanwhile;           ///< on the standby, by stay_warm()
        std::optional<SequenceValues> changes;  ///< where read_facts() had to receive them before carry_sequences()
        bool may_hold_sequences = false, holds_sequences = false;
    };

    asio::awaitable<void> open(std::size_t database, PgConnection::Ptr Database::*which, bool synchronous);
    asio::awaitable<PgConnection::Ptr> connect(Side side, const std::string& database, bool synchronous);
    asio::awaitable<void> open_watchers();
    asio::awaitable<void> open_journal(std::unique_ptr<Journal>& journal, Side side);
    asio::awaitable<void> open_all(std::size_t database);
    asio::awaitable<void> open_helpers(std::size_t database);
    void drop_broken(Database& database);
    asio::awaitable<void> find_streams(Database& database);
    asio::awaitable<void> warm_up_database(std::size_t i, bool set);
    asio::awaitable<void> prepare(std::size_t i);
    asio::awaitable<void> warm_up_sequences(Database& database, bool set);
    asio::awaitable<void> watch_schema(Database& database);
    asio::awaitable<void> hold_apply_workers();
    asio::awaitable<void> hold_sequences(Database& database);
    std::vector<const Stream*> streams() const;
    /// Sends a marker through one stream and waits until it has arrived.
    asio::awaitable<void> carry_marker(std::size_t database);
    asio::awaitable<void> marker_sent(std::size_t database);
    void drop_if_broken(PgConnection::Ptr& connection);
    void drop_watchers_if_broken();
    void drop_if_broken(std::unique_ptr<Journal>& journal);

    const Cluster& cluster_;
    Side from_;
    Side to_;
    DoubtfulBackends& doubtful_;
    std::vector<Database> databases_;
    std::vector<std::string> schema_marks_;
    PgConnection::Ptr active_watcher_, standby_watcher_;
    std::unique_ptr<ReplayWatch> replay_watch_;  ///< over those
    std::vector<Lsn> before_;                    ///< where the active side was at the last stay_warm(), by database
    std::unique_ptr<Journal> active_journal_;
    std::unique_ptr<Journal> standby_journal_;
    PgConnection::Ptr holder_;  ///< to the standby; its transaction holds the apply workers
};

}  // namespace turnout::control
