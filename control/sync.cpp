#include "control/sync.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>

#include "control/fence.hpp"
#include "control/journal.hpp"
#include "control/names.hpp"
#include "control/pg_tools.hpp"
#include "control/preflight.hpp"
#include "control/replication.hpp"
#include "control/sequences.hpp"
#include "control/stream_setup.hpp"
#include "control/sync_adopt.hpp"
#include "control/sync_copy.hpp"
#include "control/sync_steps.hpp"

namespace turnout::control {

namespace {

constexpr Milliseconds kProbePatience{30000};
constexpr Milliseconds kUndoPatience{15000};

/// One database on its way.
struct Database {
    std::string name;
    PgConnection::Ptr source;
    PgConnection::Ptr target;
    bool ours = false;      ///< the copy on the standby was begun by turnout: it may be emptied
    bool complete = false;  ///< its first copy is done, now or earlier: a failure leaves its streams
};

class Sync {
  public:
    Sync(const Cluster& cluster, Side active, SyncSink sink, bool adopts)
        : cluster_(cluster), active_(active), standby_(other(active)), sink_(std::move(sink)), adopts_(adopts) {}

    asio::awaitable<SyncReport> run();

  private:
    void tell(std::string phase, std::string database, std::string message) const;
    asio::awaitable<void> steps();
    asio::awaitable<void> check();
    asio::awaitable<void> prepare_journals();
    asio::awaitable<void> make_roles_and_databases();
    asio::awaitable<void> look_back(Database& database);
    asio::awaitable<void> make_schema(Database& database);
    asio::awaitable<void> begin_copy(Database& database);
    asio::awaitable<void> adopt_copy(Database& database);
    asio::awaitable<void> empty_copies(Database& database, const std::vector<std::string>& tables);
    asio::awaitable<void> remove_slot_left_over(PgConnection& source);
    asio::awaitable<void> finish_schema(Database& database);
    asio::awaitable<void> refresh_views(Database& database);
    asio::awaitable<void> copy_sequences(Database& database);
    asio::awaitable<void> make_way_back(Database& database);
    asio::awaitable<void> end_session(PgConnection& connection, const PgConnection& old);
    asio::awaitable<void> undo();
    asio::awaitable<void> undo(Database& database);

    const Cluster& cluster_;
    Side active_;
    Side standby_;
    SyncSink sink_;
    bool adopts_;
    SyncReport report_;
    std::vector<Database> databases_;
};

void Sync::tell(std::string phase, std::string database, std::string message) const {
    SyncProgress progress;
    progress.phase = std::move(phase);
    progress.database = std::move(database);
    progress.message = std::move(message);
    if (sink_) sink_(progress);
}

asio::awaitable<SyncReport> Sync::run() {
    const auto began = Clock::now();
    std::exception_ptr failure;
    try {
        co_await steps();
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        // The verb may have been cancelled, but its undoing must not be.
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await undo();
        std::rethrow_exception(failure);
    }
    report_.elapsed = std::chrono::duration_cast<Milliseconds>(Clock::now() - began);
    tell("done", "", fmt::format("{} tables are copied and followed, and the way back is open", report_.tables));
    co_return report_;
}

asio::awaitable<void> Sync::steps() {
    co_await check();
    co_await prepare_journals();
    co_await make_roles_and_databases();
    for (Database& database : databases_) {
        if (adopts_) co_await adopt_copy(database);
        co_await make_schema(database);
    }
    {
        const std::unique_ptr<Journal> journal = co_await Journal::open(cluster_, standby_);
        co_await raise_fence(*journal, cluster_.databases());
    }
    for (Database& database : databases_) co_await begin_copy(database);
    for (Database& database : databases_) {
        CopyWatch watch(*database.source, *database.target, sink_);
        co_await watch.wait();
        report_.tables += watch.tables();
        report_.bytes += watch.bytes();
        if (!database.complete) co_await finish_schema(database);
        database.complete = true;
    }
    for (Database& database : databases_) {
        co_await copy_sequences(database);
        co_await make_way_back(database);
    }
}

/// What would fail later, and worse, is refused first.
asio::awaitable<void> Sync::check() {
    tell("check", "", "looking for what stands in the way");
    PreflightInput input;
    input.active = active_;
    input.stage = PreflightStage::before_sync;
    const PreflightReport found = co_await preflight(cluster_, std::move(input));
    std::string text;
    for (const Finding& finding : found.refusals()) {
        text += (text.empty() ? "" : "; ") + finding.sentence;
        if (!finding.remedy.empty()) text += " (" + finding.remedy + ")";
    }
    if (!text.empty()) throw SyncRefused(text);
}

asio::awaitable<void> Sync::prepare_journals() {
    const std::unique_ptr<Journal> source = co_await Journal::open(cluster_, active_);
    const std::unique_ptr<Journal> target = co_await Journal::open(cluster_, standby_);
    co_await target->create();
    const JournalView there = co_await target->read();
    co_await source->bootstrap(there.highest_generation() + 1);
    co_await source->clear_finished();
}

asio::awaitable<void> Sync::make_roles_and_databases() {
    const PgConnection::Ptr source = co_await cluster_.connect_journal(active_);
    const PgConnection::Ptr target = co_await cluster_.connect_journal(standby_);
    tell("roles", "", "making roles alike");
    co_await sync_roles(*source, *target, report_.notices);
    for (const std::string& name : cluster_.databases()) {
        tell("databases", name, "making the database alike");
        co_await sync_database(*source, *target, name, report_.notices);
        Database database;
        database.name = name;
        database.source = co_await cluster_.connect(active_, name);
        database.target = co_await cluster_.connect(standby_, name);
        databases_.push_back(std::move(database));
    }
}

/// What an earlier sync left. Without a note of its own the standby was once the active side, and its stream is whole.
asio::awaitable<void> Sync::look_back(Database& database) {
    const std::optional<Stream> forward = co_await find_stream(*database.target);
    const PgResult note = co_await database.target->query(
        "SELECT to_regclass('turnout.copy') IS NOT NULL, EXISTS (SELECT FROM pg_attribute WHERE attrelid = "
        "to_regclass('turnout.copy') AND attname = 'completed')");
    database.ours = note.as<bool>(0, 0);
    database.complete = forward && (!database.ours || note.as<bool>(0, 1));
}

/// Loads the schema into an empty database; in one that has tables, every table of the source must be there.
asio::awaitable<void> Sync::make_schema(Database& database) {
    co_await look_back(database);
    const std::vector<std::string> wanted = co_await carried_tables(*database.source);
    const std::vector<std::string> present = co_await carried_tables(*database.target);
    if (present.empty() && !database.complete) {
        tell("schema", database.name, "making tables");
        const PgTools tools = co_await find_pg_tools(cluster_.settings().pg_bin, database.source->server_major());
        const std::unique_ptr<SchemaCopy> schema = co_await SchemaCopy::dump(cluster_, active_, database.name, tools);
        co_await schema->restore_before(cluster_, *database.source);
        co_return;
    }
    std::vector<std::string> missing;
    std::set_difference(wanted.begin(), wanted.end(), present.begin(), present.end(), std::back_inserter(missing));
    if (missing.empty()) co_return;
    throw SyncRefused(fmt::format(
        "database {} has tables on {}, but not {}{}: make {} there as on {}, or DROP DATABASE {} there and sync again",
        database.name, turnout::name(standby_), missing[0],
        missing.size() > 1 ? fmt::format(" and {} more", missing.size() - 1) : "", missing.size() > 1 ? "them" : "it",
        turnout::name(active_), PgConnection::identifier(database.name)));
}

asio::awaitable<void> Sync::begin_copy(Database& database) {
    const std::vector<std::string> tables = co_await carried_tables(*database.source);
    const std::optional<Stream> forward = co_await find_stream(*database.target);
    if (!forward) co_await empty_copies(database, tables);
    tell("publication", database.name, fmt::format("publishing {} tables", tables.size()));
    co_await make_markers(*database.source, false);
    co_await make_markers(*database.target, !database.complete);
    if (!database.complete) {
        co_await database.target->query("CREATE TABLE IF NOT EXISTS turnout.copy (begun timestamptz DEFAULT now())");
    }
    const bool other_list = co_await make_publications(*database.source, tables);
    if (!forward) {
        co_await remove_slot_left_over(*database.source);
        co_await make_subscription(cluster_, *database.target, *database.source, true);
        co_return;
    }
    if (!forward->enabled) co_await enable(*database.target, *forward);
    if (database.complete && !other_list) co_return;
    co_await database.target->query_by(
        Clock::time_point::max(),
        fmt::format("ALTER SUBSCRIPTION {} REFRESH PUBLICATION WITH (copy_data = true)", forward->subscription));
}

asio::awaitable<void> Sync::adopt_copy(Database& database) {
    const std::string theirs = co_await find_adoptable(*database.target, *database.source);
    if (theirs.empty()) co_return;
    tell("adopt", database.name, fmt::format("subscription {} becomes turnout's", theirs));
    co_await make_markers(*database.source, false);
    co_await make_markers(*database.target, false);
    const std::vector<std::string> tables = co_await carried_tables(*database.source);
    co_await make_publications(*database.source, tables);
    co_await remove_slot_left_over(*database.source);
    co_await adopt(cluster_, *database.target, *database.source, theirs);
    database.complete = true;
    report_.notices.push_back(
        fmt::format("{}: subscription {} was adopted, and nothing was copied; turnout verify "
                    "compares the data",
                    database.name, theirs));
}

/// The copy begins from nothing. Rows that turnout did not bring are somebody's, and stay.
asio::awaitable<void> Sync::empty_copies(Database& database, const std::vector<std::string>& tables) {
    std::string list;
    for (const std::string& table : tables) {
        list += (list.empty() ? "" : ", ") + table;
        if (database.ours) continue;
        const PgResult rows = co_await database.target->query(fmt::format("SELECT EXISTS (SELECT FROM {})", table));
        if (rows.as<bool>(0, 0)) {
            throw SyncRefused(fmt::format(
                "table {} of {} is not empty on {}: TRUNCATE it there, or DROP DATABASE {} there and sync again", table,
                database.name, turnout::name(standby_), PgConnection::identifier(database.name)));
        }
    }
    if (!database.ours) co_return;
    if (!list.empty()) co_await database.target->query(fmt::format("TRUNCATE {}", list));
    co_await database.target->query("DROP SCHEMA IF EXISTS turnout CASCADE");
}

/// A slot without its subscription: the standby was made anew since.
asio::awaitable<void> Sync::remove_slot_left_over(PgConnection& source) {
    const PgResult oid = co_await source.query("SELECT oid FROM pg_database WHERE datname = current_database()");
    co_await drop_slot(source, names::slot(standby_, oid.as<std::uint32_t>(0, 0)), 0, Clock::now() + kUndoPatience);
}

asio::awaitable<void> Sync::finish_schema(Database& database) {
    tell("indexes", database.name, "making indexes, constraints and triggers");
    const PgTools tools = co_await find_pg_tools(cluster_.settings().pg_bin, database.source->server_major());
    const std::unique_ptr<SchemaCopy> schema = co_await SchemaCopy::dump(cluster_, active_, database.name, tools);
    co_await schema->restore_after(cluster_, *database.source);
    co_await refresh_views(database);
    tell("analyze", database.name, "collecting statistics");
    co_await database.target->query_by(Clock::time_point::max(), "ANALYZE");
    co_await database.target->query("ALTER TABLE turnout.copy ADD COLUMN completed timestamptz DEFAULT now()");
}

/// Materialized views come without their rows. One that cannot be filled here is named and does not stop the sync.
asio::awaitable<void> Sync::refresh_views(Database& database) {
    const PgResult views = co_await database.target->query(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'm' AND NOT c.relispopulated AND n.nspname !~ '^pg_' ORDER BY c.oid");
    for (int i = 0; i < views.rows(); ++i) {
        try {
            co_await database.target->query_by(Clock::time_point::max(),
                                               fmt::format("REFRESH MATERIALIZED VIEW {}", views.get(i, 0)));
        } catch (const PgError& error) {
            if (!error.refused()) throw;
            report_.notices.push_back(fmt::format("materialized view {} of {} was not filled: {}", views.get(i, 0),
                                                  database.name, error.fields().message));
        }
    }
}

asio::awaitable<void> Sync::copy_sequences(Database& database) {
    tell("sequences", database.name, "setting sequences");
    SequenceReader reader(*database.source);
    const SequenceValues values = co_await reader.prepare();
    co_await prepare_set_sequences(*database.target);
    if (send_set_sequences(*database.target, values)) co_await database.target->receive();
}

asio::awaitable<void> Sync::make_way_back(Database& database) {
    tell("way_back", database.name, "opening the way back");
    const std::vector<std::string> tables = co_await carried_tables(*database.target);
    const bool other_list = co_await make_publications(*database.target, tables);
    std::optional<Stream> back = co_await find_stream(*database.source);
    if (back && other_list) {
        // It holds nothing yet, and can only learn new tables while it would carry them all.
        co_await drop_subscription(*database.source, back->subscription);
        co_await drop_slot(*database.target, back->slot, back->subscription_oid, Clock::now() + kUndoPatience);
        back.reset();
    }
    if (!back) {
        back = co_await make_subscription(cluster_, *database.source, *database.target, false);
    } else if (!back->enabled) {
        co_await enable(*database.source, *back);
    }
    co_await probe(*database.source, *database.target, Clock::now() + kProbePatience);
    co_await probe(*database.target, *database.source, Clock::now() + kProbePatience);
}

/// Ends another session of control's own, and waits until it has gone.
asio::awaitable<void> Sync::end_session(PgConnection& connection, const PgConnection& old) {
    const std::string pid = std::to_string(old.backend_pid());
    asio::steady_timer timer(co_await asio::this_coro::executor);
    const auto deadline = Clock::now() + kUndoPatience;
    while (Clock::now() < deadline) {
        const PgResult gone = co_await connection.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND application_name = $2", pid,
            names::kApplicationName);
        if (gone.empty()) co_return;
        timer.expires_after(Milliseconds(5));
        co_await timer.async_wait(asio::use_awaitable);
    }
}

/// Removes what would hold WAL or stand in the way of the next try.
asio::awaitable<void> Sync::undo() {
    for (Database& database : databases_) {
        if (database.complete) continue;
        try {
            co_await undo(database);
        } catch (const std::exception& error) {
            tell("undo", database.name,
                 fmt::format("could not remove everything: {}; `turnout abort` removes the rest", error.what()));
        }
    }
}

asio::awaitable<void> Sync::undo(Database& database) {
    // The old connections may be in the middle of something, which must not end after this.
    const PgConnection::Ptr source = co_await cluster_.connect(active_, database.name);
    const PgConnection::Ptr target = co_await cluster_.connect(standby_, database.name);
    co_await end_session(*source, *database.source);
    co_await end_session(*target, *database.target);
    if (const std::optional<Stream> forward = co_await find_stream(*target)) {
        tell("undo", database.name, "removing the unfinished copy");
        co_await drop_subscription(*target, forward->subscription);
        co_await drop_slot(*source, forward->slot, forward->subscription_oid, Clock::now() + kUndoPatience);
    }
    co_await remove_slot_left_over(*source);
    const PgResult mark = co_await target->query("SELECT to_regclass('turnout.copy') IS NOT NULL");
    if (mark.as<bool>(0, 0)) {
        std::string list;
        for (const std::string& table : co_await carried_tables(*target)) list += (list.empty() ? "" : ", ") + table;
        if (!list.empty()) co_await target->query("TRUNCATE " + list);
    }
    co_await drop_publications_and_markers(*source);
    co_await drop_publications_and_markers(*target);
}

}  // namespace

asio::awaitable<SyncReport> sync(const Cluster& cluster, Side active, SyncSink sink, bool adopts) {
    Sync work(cluster, active, std::move(sink), adopts);
    co_return co_await work.run();
}

}  // namespace turnout::control
