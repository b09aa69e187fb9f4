#include "control/journal.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace turnout::control {

namespace {

constexpr const char* kActivate = "turnout_activate";
constexpr const char* kTouch = "turnout_touch";

/// "turnout1" as a number: the key of the single-flight lock.
constexpr std::int64_t kLockKey = 0x7475726E6F757431;

constexpr const char* kCreate = R"(
SELECT pg_advisory_xact_lock(8391171955162739762);
CREATE SCHEMA IF NOT EXISTS turnout;
COMMENT ON SCHEMA turnout IS 'made by turnout; removed by turnout finish and turnout abort';
CREATE TABLE IF NOT EXISTS turnout.journal (
  generation bigint PRIMARY KEY,
  attempt bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('armed', 'active', 'void', 'retired')),
  noted pg_lsn,
  side text NOT NULL,
  system_identifier text NOT NULL,
  finished boolean NOT NULL DEFAULT false,
  changed timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE IF NOT EXISTS turnout.intent (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  generation bigint NOT NULL,
  attempt bigint NOT NULL,
  changed timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE IF NOT EXISTS turnout.fence (
  database name PRIMARY KEY,
  former text);
)";

/// One statement, so one snapshot.
constexpr const char* kReadAll = R"(
SELECT 'journal', generation, attempt, state, noted, side, system_identifier, finished FROM turnout.journal
UNION ALL SELECT 'intent', generation, attempt, NULL, NULL, NULL, NULL, NULL FROM turnout.intent
UNION ALL SELECT 'fence', NULL, NULL, former, NULL, database, NULL, NULL FROM turnout.fence
ORDER BY 1, 2, 6)";

constexpr const char* kIdentifier = "(SELECT system_identifier::text FROM pg_control_system())";

JournalState state_of(std::string_view text) {
    for (const JournalState state :
         {JournalState::armed, JournalState::active, JournalState::voided, JournalState::retired}) {
        if (text == name(state)) return state;
    }
    throw std::runtime_error(fmt::format("the journal has an unknown state \"{}\"", text));
}

JournalRow journal_row(const PgResult& result, int row) {
    JournalRow entry;
    entry.id = {result.as<std::int64_t>(row, 1), result.as<std::int64_t>(row, 2)};
    entry.state = state_of(result.get(row, 3));
    entry.noted = result.maybe<Lsn>(row, 4).value_or(Lsn{});
    entry.side = result.as<std::string>(row, 5);
    entry.system_identifier = result.as<std::string>(row, 6);
    entry.finished = result.as<bool>(row, 7);
    return entry;
}

const JournalRow* highest(const std::vector<JournalRow>& rows, JournalState state) {
    const JournalRow* best = nullptr;
    for (const JournalRow& row : rows) {
        if (row.state == state && (!best || row.id.generation > best->id.generation)) best = &row;
    }
    return best;
}

}  // namespace

std::string_view name(JournalState state) {
    switch (state) {
        case JournalState::armed: return "armed";
        case JournalState::active: return "active";
        case JournalState::voided: return "void";
        case JournalState::retired: return "retired";
    }
    return "";
}

// ------------------------------------------------------------------------------------------------------------ the view

const JournalRow* JournalView::find(std::int64_t generation) const {
    const auto found =
        std::find_if(rows.begin(), rows.end(), [&](const JournalRow& row) { return row.id.generation == generation; });
    return found == rows.end() ? nullptr : &*found;
}

const JournalRow* JournalView::active() const { return highest(rows, JournalState::active); }
const JournalRow* JournalView::retired() const { return highest(rows, JournalState::retired); }

bool JournalView::is_retired() const {
    const JournalRow* last = retired();
    const JournalRow* first = active();
    return last && (!first || last->id.generation > first->id.generation);
}

std::int64_t JournalView::highest_generation() const {
    std::int64_t number = intent ? intent->generation : 0;
    for (const JournalRow& row : rows) number = std::max(number, row.id.generation);
    return number;
}

std::optional<std::string> JournalView::foreign() const {
    for (const JournalRow& row : rows) {
        if (row.side != turnout::name(side)) {
            return fmt::format("the server configured as {} says it is {}: [side.blue] and [side.green] may be swapped",
                               turnout::name(side), row.side);
        }
        if (row.system_identifier != system_identifier) {
            return fmt::format(
                "the journal of {} was written by the server with system identifier {}, and this one has {}: it is "
                "another server, or was made anew with initdb",
                turnout::name(side), row.system_identifier, system_identifier);
        }
    }
    return std::nullopt;
}

// --------------------------------------------------------------------------------------------------------- the journal

asio::awaitable<std::unique_ptr<Journal>> Journal::open(const Cluster& cluster, Side side) {
    // A `new` around the co_await would leak its memory when that throws.
    PgConnection::Ptr connection = co_await cluster.connect_journal(side);
    std::unique_ptr<Journal> journal(new Journal(std::move(connection)));
    if (co_await journal->exists()) co_await journal->prepare_statements();
    co_return journal;
}

asio::awaitable<bool> Journal::exists() {
    const PgResult result = co_await connection_->query("SELECT to_regclass('turnout.fence') IS NOT NULL");
    co_return result.as<bool>(0, 0);
}

asio::awaitable<void> Journal::prepare_statements() {
    if (prepared_) co_return;
    co_await connection_->prepare(kActivate,
                                  "UPDATE turnout.journal SET state = 'active', noted = pg_current_wal_insert_lsn(), "
                                  "changed = clock_timestamp() "
                                  "WHERE generation = $1 AND attempt = $2 AND state = 'armed' RETURNING noted");
    co_await connection_->prepare(kTouch,
                                  "UPDATE turnout.journal SET changed = clock_timestamp() "
                                  "WHERE generation = $1 AND attempt = $2 AND state = 'armed'");
    prepared_ = true;
}

asio::awaitable<void> Journal::create() {
    co_await connection_->query(kCreate);
    co_await prepare_statements();
}

asio::awaitable<JournalView> Journal::read() {
    JournalView view;
    view.side = side();
    view.server_version = connection_->server_version();
    const PgResult server = co_await connection_->query(
        "SELECT to_regclass('turnout.fence') IS NOT NULL, system_identifier, pg_is_in_recovery() FROM "
        "pg_control_system()");
    view.exists = server.as<bool>(0, 0);
    view.system_identifier = server.as<std::string>(0, 1);
    view.in_recovery = server.as<bool>(0, 2);
    if (!view.exists) co_return view;
    const PgResult all = co_await connection_->query(kReadAll);
    for (int i = 0; i < all.rows(); ++i) {
        const std::string_view kind = all.get(i, 0);
        if (kind == "journal") {
            view.rows.push_back(journal_row(all, i));
        } else if (kind == "intent") {
            view.intent = AttemptId{all.as<std::int64_t>(i, 1), all.as<std::int64_t>(i, 2)};
        } else {
            view.fence.push_back({all.as<std::string>(i, 5), all.maybe<std::string>(i, 3)});
        }
    }
    co_return view;
}

asio::awaitable<bool> Journal::bootstrap(std::int64_t generation) {
    co_await create();
    const PgResult result = co_await connection_->query(
        fmt::format("INSERT INTO turnout.journal (generation, attempt, state, noted, side, system_identifier) "
                    "SELECT $1, 0, 'active', pg_current_wal_insert_lsn(), $2, {} "
                    "WHERE NOT EXISTS (SELECT FROM turnout.journal) ON CONFLICT DO NOTHING",
                    kIdentifier),
        generation, turnout::name(side()));
    co_return result.affected() == 1;
}

asio::awaitable<void> Journal::set_intent(AttemptId id) {
    co_await connection_->query(
        "INSERT INTO turnout.intent (generation, attempt) VALUES ($1, $2) ON CONFLICT (only_row) DO UPDATE "
        "SET generation = excluded.generation, attempt = excluded.attempt, changed = excluded.changed",
        id.generation, id.attempt);
}

asio::awaitable<bool> Journal::withdraw_intent(AttemptId id) {
    const PgResult result = co_await connection_->query(
        "DELETE FROM turnout.intent WHERE generation = $1 AND attempt = $2", id.generation, id.attempt);
    co_return result.affected() == 1;
}

asio::awaitable<bool> Journal::arm(AttemptId id) {
    const PgResult result = co_await connection_->query(
        fmt::format("INSERT INTO turnout.journal AS j (generation, attempt, state, side, system_identifier) "
                    "VALUES ($1, $2, 'armed', $3, {}) ON CONFLICT (generation) DO UPDATE "
                    "SET attempt = excluded.attempt, changed = excluded.changed "
                    "WHERE j.state = 'armed' AND j.attempt < excluded.attempt",
                    kIdentifier),
        id.generation, id.attempt, turnout::name(side()));
    // The activation's plan and its table's catalog entries are to be warm when the window comes.
    co_await prepare_statements();
    co_await connection_->exec_prepared(kActivate, -1, -1);
    co_return result.affected() == 1;
}

void Journal::send_touch(AttemptId id) { connection_->send_prepared(kTouch, id.generation, id.attempt); }

asio::awaitable<std::optional<Lsn>> Journal::activate(AttemptId id, Clock::time_point deadline) {
    connection_->send_prepared(kActivate, id.generation, id.attempt);
    const PgResult result = co_await connection_->receive_by(deadline);
    if (result.rows() != 1) co_return std::nullopt;
    co_return result.as<Lsn>(0, 0);
}

asio::awaitable<Verdict> Journal::void_or_obey(std::int64_t generation, Clock::time_point deadline) {
    if (!co_await exists()) co_await create();
    // What is decided and can be seen stays so; the write below would wait for a synchronous standby even if it changed
    // nothing.
    const PgResult decided = co_await connection_->query_by(
        deadline, "SELECT state, noted FROM turnout.journal WHERE generation = $1 AND state <> 'armed'", generation);
    if (!decided.empty()) co_return Verdict{state_of(decided.get(0, 0)), decided.maybe<Lsn>(0, 1).value_or(Lsn{})};
    co_await connection_->query_by(
        deadline,
        fmt::format("INSERT INTO turnout.journal AS j (generation, attempt, state, side, system_identifier) "
                    "VALUES ($1, 0, 'void', $2, {}) ON CONFLICT (generation) DO UPDATE "
                    "SET state = 'void', changed = excluded.changed WHERE j.state = 'armed'",
                    kIdentifier),
        generation, turnout::name(side()));
    const PgResult result = co_await connection_->query_by(
        deadline, "SELECT state, noted FROM turnout.journal WHERE generation = $1", generation);
    co_return Verdict{state_of(result.get(0, 0)), result.maybe<Lsn>(0, 1).value_or(Lsn{})};
}

asio::awaitable<void> Journal::retire(std::int64_t generation) {
    co_await connection_->query(
        fmt::format("WITH withdrawn AS (DELETE FROM turnout.intent WHERE generation <= $1) "
                    "INSERT INTO turnout.journal (generation, attempt, state, side, system_identifier) "
                    "VALUES ($1, 0, 'retired', $2, {}) ON CONFLICT (generation) DO NOTHING",
                    kIdentifier),
        generation, turnout::name(side()));
}

asio::awaitable<Lsn> Journal::force_active(std::int64_t generation) {
    co_await create();
    const PgResult result = co_await connection_->query(
        fmt::format("WITH withdrawn AS (DELETE FROM turnout.intent) "
                    "INSERT INTO turnout.journal AS j (generation, attempt, state, noted, side, system_identifier) "
                    "VALUES ($1, 0, 'active', pg_current_wal_insert_lsn(), $2, {}) ON CONFLICT (generation) DO UPDATE "
                    "SET state = 'active', noted = excluded.noted, changed = excluded.changed RETURNING noted",
                    kIdentifier),
        generation, turnout::name(side()));
    co_return result.as<Lsn>(0, 0);
}

asio::awaitable<void> Journal::mark_finished() {
    co_await connection_->query(
        "DELETE FROM turnout.journal WHERE generation <> "
        "(SELECT max(generation) FROM turnout.journal WHERE state = 'active');"
        "UPDATE turnout.journal SET finished = true; DELETE FROM turnout.intent");
}

asio::awaitable<void> Journal::clear_finished() {
    co_await connection_->query("UPDATE turnout.journal SET finished = false WHERE finished");
}

asio::awaitable<void> Journal::drop() {
    if (prepared_) co_await connection_->query("DEALLOCATE ALL");
    prepared_ = false;
    co_await connection_->query("DROP SCHEMA IF EXISTS turnout CASCADE");
}

asio::awaitable<bool> Journal::try_lock() {
    const PgResult result = co_await connection_->query("SELECT pg_try_advisory_lock($1)", kLockKey);
    co_return result.as<bool>(0, 0);
}

asio::awaitable<std::optional<std::int32_t>> Journal::lock_holder() {
    const PgResult result = co_await connection_->query(
        "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND d.datname = current_database() "
        "AND (l.classid::bigint << 32) + l.objid::bigint = $1",
        kLockKey);
    if (result.empty()) co_return std::nullopt;
    co_return result.as<std::int32_t>(0, 0);
}

asio::awaitable<bool> Journal::holds_lock() {
    if (!connection_->is_alive()) co_return false;
    try {
        const auto holder = co_await lock_holder();
        co_return holder == connection_->backend_pid();
    } catch (const PgError&) {
        co_return false;
    }
}

}  // namespace turnout::control
