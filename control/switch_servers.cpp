#include "control/switch_servers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "control/catalog.hpp"
#include "control/fence.hpp"
#include "control/names.hpp"
#include "control/schema_watch.hpp"

namespace turnout::control {

namespace {

/// No statement of a switch takes so long; what does is given up, and its backend ended.
constexpr Milliseconds kCall{10000};
/// How long the transactions that began before the schema was watched are waited for. Where one runs longer, the
/// schema mark is read behind the gate.
constexpr Milliseconds kOlderTransactions{1000};
/// Looks for the last client's commit on the standby that follow each other at once, about 150 µs of a processor each.
/// Where those do not find it, a worker is at work on what comes before it, and wants the same processor.
constexpr std::size_t kLooksAtOnce = 3;
constexpr Microseconds kBetweenLooks{200};
/// Both sides tell of a position that is flushed as soon as a stream is so far. Should neither, a marker is sent.
constexpr Microseconds kMarkerAfter{5000};
/// A sequence takes a server some microseconds. Where there are more than so many, others help to ask for them.
constexpr std::size_t kSequencesEach = 250;
constexpr std::size_t kMostHelpers = 3;
/// How many there are, and how many locks the server has room for: clients are left half of it.
constexpr const char* kSequenceCount =
    "SELECT (SELECT count(*) FROM pg_catalog.pg_sequence), "
    "current_setting('max_locks_per_transaction')::bigint * current_setting('max_connections')::bigint";
/// The bound on each of its two waits of the session that holds the apply workers: nobody is held longer, whatever
/// becomes of this process.
constexpr const char* kHolding = "SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '2s'; BEGIN";

[[noreturn]] void refuse(Side side, std::string database, std::string message) {
    PgError::Fields fields;
    fields.outcome = Outcome::refused;
    fields.side = side;
    fields.database = std::move(database);
    fields.message = std::move(message);
    throw PgError(std::move(fields));
}

std::string unpublished(const Uncarried& table) {
    std::string text = fmt::format("{}: {} {}", table.database, table.table, table.sentence);
    return table.remedy.empty() ? text : fmt::format("{}; {}", text, table.remedy);
}

/// Transactions that have run for long: the drain would wait for them.
constexpr const char* kLongTransactions =
    "SELECT pid, usename, datname, application_name, state, "
    "extract(epoch FROM clock_timestamp() - xact_start)::float8 FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND datname = ANY ($1::text[]) AND application_name <> $2 "
    "AND xact_start < clock_timestamp() - make_interval(secs => $3::float8) "
    "AND wait_event IS DISTINCT FROM 'advisory' ORDER BY xact_start LIMIT 20";

/// Who waits for an advisory lock, with the number of those that it was granted; and whether commits are synchronous.
constexpr const char* kLockWaiters = "turnout_lock_waiters";
constexpr const char* kLockWaitersSql =
    "WITH locks AS MATERIALIZED (SELECT pid, granted FROM pg_locks WHERE locktype = 'advisory') "
    "SELECT pid, (SELECT count(*) FROM locks held WHERE held.pid = locks.pid AND held.granted) FROM locks "
    "WHERE NOT granted";
constexpr const char* kSynchronous = "SELECT current_setting('synchronous_standby_names') <> ''";

}  // namespace

SwitchServers::SwitchServers(const Cluster& cluster, Side from, DoubtfulBackends& doubtful,
                             std::vector<std::string> schema_marks)
    : cluster_(cluster),
      from_(from),
      to_(other(from)),
      doubtful_(doubtful),
      databases_(cluster.databases().size()),
      schema_marks_(std::move(schema_marks)) {}

// --------------------------------------------------------------------------------------------------------- connections

/// What was prepared on a connection went with it, and so did what refers to it.
asio::awaitable<void> SwitchServers::open(std::size_t i, PgConnection::Ptr Database::*which, bool synchronous) {
    Database& database = databases_[i];
    PgConnection::Ptr& connection = database.*which;
    drop_if_broken(connection);
    if (connection) co_return;
    database.prepared = false;
    database.sequences.reset();
    database.standby_sequences.reset();
    const bool on_standby = which == &Database::setter;
    connection = co_await connect(on_standby ? to_ : from_, cluster_.databases()[i], synchronous);
}

asio::awaitable<PgConnection::Ptr> SwitchServers::connect(Side side, const std::string& database, bool synchronous) {
    PgConnection::Ptr fresh = co_await cluster_.connect(side, database, synchronous);
    fresh->set_call_timeout(kCall);
    // What is asked a few times only would be planned anew each time.
    co_await fresh->query("SET plan_cache_mode = force_generic_plan");
    co_return fresh;
}

asio::awaitable<void> SwitchServers::open_watchers() {
    drop_watchers_if_broken();
    if (replay_watch_) co_return;
    if (!active_watcher_) active_watcher_ = co_await connect(from_, cluster_.journal_database(), true);
    if (!standby_watcher_) standby_watcher_ = co_await connect(to_, cluster_.journal_database(), true);
    // As in prepare().
    co_await active_watcher_->query("DEALLOCATE ALL");
    co_await standby_watcher_->query("DEALLOCATE ALL");
    auto watch = std::make_unique<ReplayWatch>(*active_watcher_, *standby_watcher_);
    co_await watch->prepare();
    replay_watch_ = std::move(watch);
}

asio::awaitable<void> SwitchServers::open_journal(std::unique_ptr<Journal>& journal, Side side) {
    drop_if_broken(journal);
    if (journal) co_return;
    journal = co_await Journal::open(cluster_, side);
    journal->connection().set_call_timeout(kCall);
}

asio::awaitable<void> SwitchServers::open_all(std::size_t i) {
    drop_broken(databases_[i]);
    co_await open(i, &Database::nudge, true);
    co_await open(i, &Database::reader, true);
    co_await open(i, &Database::setter, false);
}

/// Where they cannot be had, the window is longer and nothing else.
asio::awaitable<void> SwitchServers::open_helpers(std::size_t i) {
    Database& database = databases_[i];
    const PgResult count = co_await database.reader->query(kSequenceCount);
    const auto sequences = count.as<std::size_t>(0, 0);
    database.may_hold_sequences = sequences * 2 * databases_.size() <= count.as<std::size_t>(0, 1);
    const std::size_t wanted = std::min(kMostHelpers, sequences / kSequencesEach);
    try {
        while (database.helpers.size() < wanted) {
            PgConnection::Ptr fresh = co_await cluster_.connect(from_, cluster_.databases()[i], true);
            fresh->set_call_timeout(kCall);
            database.helpers.push_back(std::move(fresh));
        }
    } catch (const PgError&) {
        co_return;
    }
}

asio::awaitable<PgConnection*> SwitchServers::active() {
    co_await open(0, &Database::reader, true);
    co_return databases_[0].reader.get();
}

asio::awaitable<Journal*> SwitchServers::active_journal() {
    co_await open_journal(active_journal_, from_);
    co_return active_journal_.get();
}

void SwitchServers::drop_if_broken(PgConnection::Ptr& connection) {
    if (connection && doubtful_.note(*connection)) connection.reset();
}

void SwitchServers::drop_watchers_if_broken() {
    drop_if_broken(active_watcher_);
    drop_if_broken(standby_watcher_);
    if (!active_watcher_ || !standby_watcher_) replay_watch_.reset();
}

void SwitchServers::drop_broken(Database& database) {
    for (auto* it : {&database.nudge, &database.reader, &database.setter}) {
        drop_if_broken(*it);
    }
    for (PgConnection::Ptr& helper : database.helpers) drop_if_broken(helper);
    if (std::erase(database.helpers, nullptr) == 0) return;
    database.prepared = false;
    database.sequences.reset();
}

void SwitchServers::drop_if_broken(std::unique_ptr<Journal>& journal) {
    if (journal && doubtful_.note(journal->connection())) journal.reset();
}

asio::awaitable<void> SwitchServers::quiesce(Clock::time_point deadline) {
    for (Database& database : databases_) drop_broken(database);
    drop_watchers_if_broken();
    drop_if_broken(holder_);
    holder_.reset();
    drop_if_broken(active_journal_);
    drop_if_broken(standby_journal_);
    co_await doubtful_.end(cluster_, from_, deadline);
    co_await doubtful_.end(cluster_, to_, deadline);
}

// ---------------------------------------------------------------------------------------------- while nobody waits yet

asio::awaitable<void> SwitchServers::find_streams(Database& database) {
    database.forward = co_await find_stream(*database.setter);
    database.reverse = co_await find_stream(*database.reader);
}

asio::awaitable<std::vector<std::string>> SwitchServers::find_uncarried_tables(bool no_way_back) {
    std::vector<std::string> problems;
    for (std::size_t i = 0; i < databases_.size(); ++i) {
        Database& database = databases_[i];
        const std::string& name = cluster_.databases()[i];
        co_await open_all(i);
        co_await find_streams(database);
        if (!database.forward || (!database.reverse && !no_way_back)) {
            problems.push_back(fmt::format("{}: there is no stream to {}; run `turnout sync`", name,
                                           turnout::name(database.forward ? from_ : to_)));
            continue;
        }
        if (!database.forward->enabled || database.forward->narrowed) {
            problems.push_back(
                fmt::format("{}: the stream to {} does not carry everything now", name, turnout::name(to_)));
        }
        for (const Uncarried& table : co_await find_uncarried(*database.reader, *database.setter)) {
            problems.push_back(unpublished(table));
        }
        if (no_way_back) continue;
        for (const Uncarried& table : co_await find_uncarried(*database.setter, *database.reader)) {
            problems.push_back(unpublished(table));
        }
    }
    co_return problems;
}

void SwitchServers::check_parked() const {
    for (std::size_t i = 0; i < databases_.size(); ++i) {
        if (!databases_[i].reverse || !databases_[i].reverse->enabled) continue;
        refuse(from_, cluster_.databases()[i], "somebody has enabled the parked stream");
    }
}

asio::awaitable<void> SwitchServers::park_reverse(Clock::time_point deadline) {
    for (Database& database : databases_) {
        if (database.reverse) co_await disable(*database.reader, *database.reverse);
    }
    for (Database& database : databases_) {
        if (!database.reverse) continue;
        co_await wait_until_inactive(*database.setter, database.reverse->slot, deadline);
    }
}

asio::awaitable<void> SwitchServers::raise_fence() {
    Journal* journal = co_await active_journal();
    co_await control::raise_fence(*journal, cluster_.databases());
}

asio::awaitable<void> SwitchServers::warm_up(bool set) {
    before_.clear();
    co_await open_journal(active_journal_, from_);
    co_await open_journal(standby_journal_, to_);
    co_await open_watchers();
    for (std::size_t i = 0; i < databases_.size(); ++i) co_await warm_up_database(i, set);
}

asio::awaitable<void> SwitchServers::warm_up_database(std::size_t i, bool set) {
    Database& database = databases_[i];
    co_await open_all(i);
    co_await find_streams(database);
    if (!database.forward) refuse(to_, cluster_.databases()[i], "the stream is gone");
    if (!database.watch_raised) {
        if (co_await raise_schema_watch(*database.reader)) {
            database.before_watch = co_await running_transactions(*database.reader);
        }
        database.watch_raised = true;
    }
    if (!database.prepared) co_await prepare(i);
    co_await warm_up_sequences(database, set);
    co_await watch_schema(database);
}

asio::awaitable<void> SwitchServers::prepare(std::size_t i) {
    Database& database = databases_[i];
    database.sequences.reset();
    co_await open_helpers(i);
    // A preparation that failed half-way has left statements behind.
    for (auto* it : {&database.nudge, &database.reader, &database.setter}) {
        co_await (*it)->query("DEALLOCATE ALL");
    }
    std::vector<PgConnection*> helpers;
    for (const PgConnection::Ptr& helper : database.helpers) {
        co_await helper->query("DEALLOCATE ALL");
        helpers.push_back(helper.get());
    }
    // Locks are the whole server's.
    if (i == 0) co_await database.reader->prepare(kLockWaiters, kLockWaitersSql);
    co_await prepare_nudge(*database.nudge);
    co_await prepare_set_sequences(*database.setter);
    co_await prepare_schema_mark(*database.reader);
    co_await prepare_barrier(*database.reader, !database.before_watch.empty());
    database.sequences = std::make_unique<SequenceReader>(*database.reader, std::move(helpers));
    database.standby_sequences = std::make_unique<SequenceReader>(*database.setter);
    database.prepared = true;
}

asio::awaitable<void> SwitchServers::warm_up_sequences(Database& database, bool set) {
    database.set_meanwhile.clear();
    const SequenceValues now = co_await database.sequences->prepare();
    if (!set) co_return;
    const SequenceValues standby = co_await database.standby_sequences->prepare();
    if (send_set_sequences(*database.setter, changed(standby, now))) co_await database.setter->receive();
}

/// The number of changes is read before the mark: what comes between the two shows in both.
asio::awaitable<void> SwitchServers::watch_schema(Database& database) {
    database.schema_changes.reset();
    const bool watched = !database.before_watch.empty() &&
                         co_await outwait(*database.reader, database.before_watch, Clock::now() + kOlderTransactions);
    if (watched) {
        const PgResult answer = co_await database.reader->exec_prepared(kBarrier);
        database.schema_changes = barrier(answer).schema_changes;
    }
    const PgResult mark = co_await database.reader->exec_prepared(kSchemaMark);
    const std::size_t i = static_cast<std::size_t>(&database - databases_.data());
    database.schema_mark = schema_marks_.empty() ? schema_mark(mark) : schema_marks_.at(i);
    // What was changed before the watch counts as a change behind the gate does: the mark decides there.
    if (database.schema_mark != schema_mark(mark)) database.schema_changes.reset();
}

asio::awaitable<reply::Moment> SwitchServers::look_at_moment(Milliseconds long_transaction) {
    reply::Moment moment;
    PgConnection& active = *databases_[0].reader;
    const std::vector<StreamLag> lags = co_await read_lag(active, to_);
    for (const std::string& name : cluster_.databases()) {
        const auto lag = std::find_if(lags.begin(), lags.end(), [&](const auto& it) { return it.database == name; });
        if (lag == lags.end() || !lag->streaming) {
            moment.broken.push_back(fmt::format("{}: the stream to {} does not run", name, turnout::name(to_)));
        } else {
            moment.lag_bytes = std::max(moment.lag_bytes, lag->bytes);
        }
    }
    const PgResult running =
        co_await active.query(kLongTransactions, cluster_.databases(), names::kApplicationName,
                              fmt::format("{}", static_cast<double>(long_transaction.count()) / 1e3));
    for (int i = 0; i < running.rows(); ++i) {
        moment.obstacles.push_back(fmt::format("pid {}, {} on {} ({}), {} for {:.1f} s", running.get(i, 0),
                                               running.get(i, 1), running.get(i, 2), running.get(i, 3),
                                               running.get(i, 4), running.as<double>(i, 5)));
    }
    moment.lock_waiters = co_await find_lock_waiters();
    const PgResult synchronous = co_await active.query(kSynchronous);
    moment.synchronous_standby = synchronous.as<bool>(0, 0);
    if (!moment.broken.empty()) co_return moment;
    for (std::size_t i = 0; i < databases_.size(); ++i) {
        const auto began = Clock::now();
        co_await carry_marker(i);
        moment.lag_time = std::max(moment.lag_time, std::chrono::duration_cast<Microseconds>(Clock::now() - began));
    }
    co_return moment;
}

asio::awaitable<std::vector<LockWaiter>> SwitchServers::find_lock_waiters() {
    std::vector<LockWaiter> waiters;
    const auto seen = Clock::now();
    const PgResult rows = co_await databases_[0].reader->exec_prepared(kLockWaiters);
    for (int i = 0; i < rows.rows(); ++i) {
        waiters.push_back({rows.as<std::int32_t>(i, 0), rows.as<std::uint64_t>(i, 1), seen});
    }
    co_return waiters;
}

asio::awaitable<void> SwitchServers::carry_marker(std::size_t i) {
    databases_[i].nudge->send_prepared(kNudge, next_beat());
    co_await marker_sent(i);
    const PgResult answer = co_await databases_[i].reader->exec_prepared(kBarrier);
    const Barrier at = barrier(answer);
    co_await catch_up(i, {at.lsn, at.flushed});
}

asio::awaitable<void> SwitchServers::write_intent(AttemptId id) {
    Journal* journal = co_await active_journal();
    co_await journal->set_intent(id);
}

asio::awaitable<bool> SwitchServers::withdraw_intent(AttemptId id) {
    Journal* journal = co_await active_journal();
    co_return co_await journal->withdraw_intent(id);
}

asio::awaitable<bool> SwitchServers::register_attempt(AttemptId id) {
    co_await open_journal(standby_journal_, to_);
    co_await standby_journal_->create();
    const bool armed = co_await standby_journal_->arm(id);
    if (!armed) co_return false;
    for (Database& database : databases_) {
        co_await database.setter->query("BEGIN");
        co_await database.setter->query(disable_command(*database.forward));
    }
    for (Database& database : databases_) co_await hold_sequences(database);
    co_await hold_apply_workers();
    co_return true;
}

/// An apply worker that learns that its stream is disabled ends, and so does its walsender: two processes that take
/// themselves down, milliseconds of a processor each, just when the activation and the opening want one. The worker
/// learns it from pg_subscription. The lock on that is asked for behind the transactions that disable the streams, so
/// that it is granted when the last of them commits; the workers queue behind it and apply nothing. Where it cannot be
/// had, time is lost and nothing else.
asio::awaitable<void> SwitchServers::hold_apply_workers() {
    try {
        holder_ = co_await cluster_.connect(to_, cluster_.journal_database(), false);
        co_await holder_->query(kHolding);
        holder_->send("LOCK TABLE pg_catalog.pg_subscription IN ACCESS EXCLUSIVE MODE");
    } catch (const PgError&) {
        drop_if_broken(holder_);
        holder_.reset();
    }
}

/// Whoever wants to restart one waits from here on, and so keeps the gate from being drained until the attempt is given
/// up: only where there are so many that it shows are they held.
asio::awaitable<void> SwitchServers::hold_sequences(Database& database) {
    if (database.helpers.empty() || !database.may_hold_sequences) co_return;
    database.holds_sequences = true;
    co_await database.sequences->hold();
}

void SwitchServers::release() {
    holder_.reset();
    for (Database& database : databases_) {
        if (!std::exchange(database.holds_sequences, false)) continue;
        database.sequences.reset();
        database.helpers.clear();
        database.reader.reset();
    }
}

asio::awaitable<void> SwitchServers::enable_forward() {
    for (std::size_t i = 0; i < databases_.size(); ++i) {
        co_await open(i, &Database::setter, false);
        if (databases_[i].forward) co_await enable(*databases_[i].setter, *databases_[i].forward);
    }
}

// ------------------------------------------------------------------------------------------------------- in the window

/// Everything that clients had acknowledged lies before the position; once the standby has applied up to it, all of
/// that is visible there. A walsender that has sent everything asks for the position before it sleeps, so that no
/// marker is needed, unless some of it was acknowledged before it was flushed (synchronous_commit off): its commit
/// flushes that. A look is a round trip for all databases together.
asio::awaitable<void> SwitchServers::catch_up(std::size_t i, WrittenTo to) {
    Database& database = databases_[i];
    bool marked = !to.flushed;
    if (marked) database.nudge->send_prepared(kNudge, next_beat());
    const auto late = Clock::now() + kMarkerAfter;
    asio::steady_timer pause(database.nudge->executor());
    for (std::size_t looks = 1;; ++looks) {
        if (co_await replay_watch_->look(*database.forward, to.lsn)) co_return;
        if (!marked && Clock::now() >= late) {
            marked = true;
            database.nudge->send_prepared(kNudge, next_beat());
        }
        co_await marker_sent(i);
        if (looks < kLooksAtOnce) continue;
        pause.expires_after(kBetweenLooks);
        co_await pause.async_wait(asio::use_awaitable);
    }
}

/// What the marker's commits were answered, where that is still to come: without its row nothing is flushed and nothing
/// is carried, and the server says no word of it. It is asked for while nobody waits; in the window what was caught up
/// with is there all the same.
asio::awaitable<void> SwitchServers::marker_sent(std::size_t i) {
    PgConnection& nudge = *databases_[i].nudge;
    while (nudge.outstanding() != 0) {
        const PgResult sent = co_await nudge.receive();
        if (sent.affected() == 1) continue;
        refuse(from_, cluster_.databases()[i],
               fmt::format("the marker table {} has lost its row: run `turnout sync`",
                           names::qualified_marker_table(from_)));
    }
}

asio::awaitable<void> SwitchServers::carry_sequences(std::size_t i, bool set) {
    Database& database = databases_[i];
    std::optional<SequenceValues> read = std::exchange(database.changes, std::nullopt);
    if (!read) read = co_await database.sequences->changes();
    if (!set) co_return;
    SequenceValues changes = std::move(*read);
    // One that stay_warm() has set may have been set back here since.
    for (const auto& [name, value] : database.set_meanwhile) {
        const auto known = database.sequences->known().find(name);
        if (known != database.sequences->known().end()) changes.insert(*known);
    }
    if (send_set_sequences(*database.setter, changes)) co_await database.setter->receive();
}

asio::awaitable<bool> SwitchServers::stay_warm(std::optional<AttemptId> registered, Clock::time_point deadline) {
    if (registered) standby_journal_->send_touch(*registered);
    for (Database& database : databases_) {
        database.reader->send_prepared(kBarrier);
        database.sequences->ask();
    }
    replay_watch_->send_warm(streams());
    std::vector<Lsn> written_to;
    for (Database& database : databases_) {
        const PgResult answer = co_await database.reader->receive_by(deadline);
        written_to.push_back(barrier(answer).lsn);
        const SequenceValues changes = co_await database.sequences->changes();
        if (registered && send_set_sequences(*database.setter, changes)) {
            database.set_meanwhile.insert(changes.begin(), changes.end());
            co_await database.setter->receive_by(deadline);
        }
    }
    const std::vector<Lsn> applied_to = co_await replay_watch_->receive_warm(deadline);
    if (registered) co_await standby_journal_->connection().receive_by(deadline);
    const bool near = std::equal(applied_to.begin(), applied_to.end(), before_.begin(), before_.end(),
                                 [](Lsn applied, Lsn before) { return before <= applied; });
    before_ = std::move(written_to);
    co_return near;
}

std::vector<const Stream*> SwitchServers::streams() const {
    std::vector<const Stream*> all;
    for (const Database& database : databases_) all.push_back(&*database.forward);
    return all;
}

/// One backend answers for the position and the sequences: another one would have to be woken, mostly on the same
/// processor.
asio::awaitable<reply::Facts> SwitchServers::read_facts() {
    for (Database& database : databases_) {
        database.changes.reset();
        database.reader->send_prepared(kBarrier);
        if (database.schema_changes)
            database.sequences->ask();
        else
            database.reader->send_prepared(kSchemaMark);
    }
    replay_watch_->look_ahead(streams());
    reply::Facts facts;
    for (std::size_t i = 0; i < databases_.size(); ++i) {
        Database& database = databases_[i];
        const std::string& name = cluster_.databases()[i];
        const PgResult answer = co_await database.reader->receive();
        const Barrier at = barrier(answer);
        facts.written_to.push_back({at.lsn, at.flushed});
        if (at.prepared_transactions) {
            facts.obstacles.push_back(fmt::format(
                "{}: {} has prepared transactions (pg_prepared_xacts): COMMIT PREPARED or ROLLBACK PREPARED them", name,
                turnout::name(from_)));
        }
        if (database.schema_changes) {
            if (at.schema_changes == database.schema_changes) continue;
            database.changes = co_await database.sequences->changes();
            database.reader->send_prepared(kSchemaMark);
        }
        const PgResult mark = co_await database.reader->receive();
        if (schema_mark(mark) == database.schema_mark) continue;
        facts.changed.push_back(fmt::format("{}: the schema on {} was changed", name, turnout::name(from_)));
    }
    co_return facts;
}

/// COMMIT of a transaction that has failed meanwhile is answered ROLLBACK, and no error.
asio::awaitable<void> SwitchServers::disable_forward() {
    for (Database& database : databases_) database.setter->send("COMMIT");
    for (std::size_t i = 0; i < databases_.size(); ++i) {
        const PgResult committed = co_await databases_[i].setter->receive();
        if (committed.tag() != "COMMIT") refuse(to_, cluster_.databases()[i], "the stream could not be disabled");
    }
}

/// Over the connection that was opened before the gate closed, and no other: should the standby crash after it caught
/// up and come back without what it had not flushed, this connection is broken and the activation does not take place.
asio::awaitable<std::optional<Lsn>> SwitchServers::activate(AttemptId id, Clock::time_point deadline) {
    return standby_journal_->activate(id, deadline);
}

}  // namespace turnout::control
