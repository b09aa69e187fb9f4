#include "control/dismantle.hpp"

#include <fmt/format.h>

#include <array>
#include <map>
#include <optional>

#include "control/fence.hpp"
#include "control/journal.hpp"
#include "control/names.hpp"
#include "control/replication.hpp"
#include "control/stream_setup.hpp"

namespace turnout::control {

namespace {

constexpr Milliseconds kSlotPatience{15000};

/// Slots of turnout's in a server, of either direction.
constexpr const char* kSlots =
    "SELECT slot_name FROM pg_replication_slots WHERE slot_name ~ '^turnout_to_(blue|green)_[0-9]+$'";

class Dismantling {
  public:
    Dismantling(const Cluster& cluster, Side active) : cluster_(cluster), active_(active) {}

    /// Subscriptions, slots, publications and markers on both sides.
    asio::awaitable<void> remove_streams();
    asio::awaitable<void> finish_journals();
    asio::awaitable<void> abort_journals();
    DismantleReport take() { return std::move(report_); }

  private:
    asio::awaitable<void> reach(Side side);
    asio::awaitable<PgConnection::Ptr> database_connection(Side side, std::string database);
    asio::awaitable<void> remove_subscriptions(Side side);
    asio::awaitable<void> remove_slots(Side side);
    asio::awaitable<void> remove_publications(Side side);
    asio::awaitable<void> lift(Side side);
    asio::awaitable<void> leave_old_side();
    void leave(Side side, std::string object, std::string remedy) {
        report_.leftovers.push_back({side, std::move(object), std::move(remedy)});
    }
    void leave_unreachable(Side side);

    const Cluster& cluster_;
    Side active_;
    std::array<std::unique_ptr<Journal>, 2> journals_;
    std::array<std::string, 2> unreachable_;                   ///< why; empty: it can be reached
    std::array<std::vector<std::string>, 2> slots_elsewhere_;  ///< on that side, by what subscriptions to it said
    DismantleReport report_;
};

asio::awaitable<void> Dismantling::reach(Side side) {
    try {
        journals_[index(side)] = co_await Journal::open(cluster_, side);
    } catch (const PgError& error) {
        unreachable_[index(side)] = error.what();
    }
}

/// nullptr: there is no such database (any more).
asio::awaitable<PgConnection::Ptr> Dismantling::database_connection(Side side, std::string database) {
    const PgResult there =
        co_await journals_[index(side)]->connection().query("SELECT FROM pg_database WHERE datname = $1", database);
    if (there.empty()) co_return nullptr;
    co_return co_await cluster_.connect(side, database);
}

asio::awaitable<void> Dismantling::remove_subscriptions(Side side) {
    for (const std::string& database : cluster_.databases()) {
        const PgConnection::Ptr connection = co_await database_connection(side, database);
        if (!connection) continue;
        const std::optional<Stream> stream = co_await find_stream(*connection);
        if (!stream) continue;
        slots_elsewhere_[index(other(side))].push_back(stream->slot);
        co_await drop_subscription(*connection, stream->subscription);
        report_.done.push_back(
            fmt::format("removed subscription {} in {} on {}", stream->subscription, database, turnout::name(side)));
    }
}

asio::awaitable<void> Dismantling::remove_slots(Side side) {
    PgConnection& connection = journals_[index(side)]->connection();
    const PgResult slots = co_await connection.query(kSlots);
    for (int i = 0; i < slots.rows(); ++i) {
        const std::string slot = slots.as<std::string>(i, 0);
        std::string failure;
        try {
            co_await drop_slot(connection, slot, 0, Clock::now() + kSlotPatience);
        } catch (const PgError& error) {
            failure = error.what();
        }
        if (failure.empty()) {
            report_.done.push_back(fmt::format("removed slot {} on {}", slot, turnout::name(side)));
        } else {
            leave(side, fmt::format("slot {} ({})", slot, failure),
                  fmt::format("SELECT pg_drop_replication_slot('{}')", slot));
        }
    }
}

asio::awaitable<void> Dismantling::remove_publications(Side side) {
    for (const std::string& database : cluster_.databases()) {
        const PgConnection::Ptr connection = co_await database_connection(side, database);
        if (connection) co_await drop_publications_and_markers(*connection);
    }
    report_.done.push_back(fmt::format("removed publications and schema turnout of {} on {}",
                                       fmt::join(cluster_.databases(), ", "), turnout::name(side)));
}

void Dismantling::leave_unreachable(Side side) {
    for (const std::string& slot : slots_elsewhere_[index(side)]) {
        leave(side, fmt::format("slot {}: it keeps WAL until it is dropped", slot),
              fmt::format("SELECT pg_drop_replication_slot('{}')", slot));
    }
    for (const std::string& database : cluster_.databases()) {
        const std::string subscription = names::subscription(side);
        leave(side, fmt::format("subscription {} in {}", subscription, database),
              fmt::format("ALTER SUBSCRIPTION {0} DISABLE; ALTER SUBSCRIPTION {0} SET (slot_name = NONE); "
                          "DROP SUBSCRIPTION {0}",
                          subscription));
        leave(side, fmt::format("publications and schema turnout in {}", database),
              fmt::format("DROP PUBLICATION IF EXISTS {}, {}; DROP SCHEMA IF EXISTS turnout CASCADE",
                          names::kTablesPublication, names::kMarkerPublication));
    }
    leave(side, fmt::format("the side as a whole: {}", unreachable_[index(side)]),
          "repeat the verb when it can be reached again");
}

/// Subscriptions first, on both sides: while one is there its worker takes the slot again.
asio::awaitable<void> Dismantling::remove_streams() {
    for (const Side side : {Side::blue, Side::green}) co_await reach(side);
    for (const Side side : {Side::blue, Side::green}) {
        if (journals_[index(side)]) co_await remove_subscriptions(side);
    }
    for (const Side side : {Side::blue, Side::green}) {
        if (!journals_[index(side)]) {
            leave_unreachable(side);
            continue;
        }
        co_await remove_slots(side);
        co_await remove_publications(side);
    }
}

asio::awaitable<void> Dismantling::lift(Side side) {
    Journal& journal = *journals_[index(side)];
    const JournalView view = co_await journal.read();
    if (view.fence.empty()) co_return;
    co_await lift_fence(journal);
    report_.done.push_back(
        fmt::format("gave the databases on {} their former default_transaction_read_only back", turnout::name(side)));
}

/// Its data is old from here on: it stays fenced, and says itself that it is not the active side.
asio::awaitable<void> Dismantling::leave_old_side() {
    const Side old = other(active_);
    Journal& journal = *journals_[index(old)];
    std::int64_t generation = 0;
    if (journals_[index(active_)]) {
        const JournalView view = co_await journals_[index(active_)]->read();
        if (view.active()) generation = view.active()->id.generation;
    }
    co_await journal.create();
    if (generation > 0) co_await journal.retire(generation);
    co_await raise_fence(journal, cluster_.databases());
    std::string statements;
    for (const std::string& database : cluster_.databases()) {
        statements += fmt::format("{}ALTER DATABASE {} RESET default_transaction_read_only",
                                  statements.empty() ? "" : "; ", PgConnection::identifier(database));
    }
    report_.done.push_back(fmt::format("left {} fenced and marked as retired; to write there all the same: {}",
                                       turnout::name(old), statements));
}

asio::awaitable<void> Dismantling::finish_journals() {
    if (journals_[index(other(active_))]) co_await leave_old_side();
    if (!journals_[index(active_)]) co_return;
    co_await lift(active_);
    co_await journals_[index(active_)]->mark_finished();
    report_.done.push_back(
        fmt::format("{} is active and clean but for one row in its journal", turnout::name(active_)));
}

/// Who is active must not be forgotten once it has changed: then the journals stay.
asio::awaitable<void> Dismantling::abort_journals() {
    bool switched = false;
    for (const Side side : {other(active_), active_}) {
        if (!journals_[index(side)]) continue;
        co_await lift(side);
        const JournalView view = co_await journals_[index(side)]->read();
        switched = switched || view.retired() || (side != active_ && view.active());
    }
    if (switched) {
        if (journals_[index(active_)]) co_await journals_[index(active_)]->mark_finished();
        report_.done.push_back("kept the journals: there has been a switch, and they say which side is active");
        co_return;
    }
    for (const Side side : {other(active_), active_}) {
        if (!journals_[index(side)]) continue;
        co_await journals_[index(side)]->drop();
        report_.done.push_back(fmt::format("removed the journal on {}", turnout::name(side)));
    }
}

}  // namespace

asio::awaitable<DismantleReport> finish(const Cluster& cluster, Side active) {
    Dismantling work(cluster, active);
    co_await work.remove_streams();
    co_await work.finish_journals();
    co_return work.take();
}

asio::awaitable<DismantleReport> abort(const Cluster& cluster, Side active) {
    Dismantling work(cluster, active);
    co_await work.remove_streams();
    co_await work.abort_journals();
    co_return work.take();
}

asio::awaitable<std::vector<std::string>> list_objects(const Cluster& cluster, Side side) {
    std::vector<std::string> objects;
    const auto take = [&](const PgResult& result, const std::string& where) {
        for (int i = 0; i < result.rows(); ++i) objects.push_back(fmt::format("{} in {}", result.get(i, 0), where));
    };
    const PgConnection::Ptr journal = co_await cluster.connect_journal(side);
    const PgResult server = co_await journal->query(
        "SELECT 'schema turnout' FROM pg_namespace WHERE nspname = 'turnout' UNION ALL "
        "SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE slot_name ~ '^turnout_' UNION ALL "
        "SELECT 'origin ' || roname FROM pg_replication_origin WHERE roname ~ '^pg_[0-9]+$' AND NOT EXISTS "
        "(SELECT FROM pg_subscription WHERE roname ~ ('^pg_' || oid || '(_|$)'))");
    take(server, cluster.journal_database());
    for (const std::string& database : cluster.databases()) {
        const PgResult there = co_await journal->query("SELECT FROM pg_database WHERE datname = $1", database);
        if (there.empty()) continue;
        const PgConnection::Ptr connection = co_await cluster.connect(side, database);
        const PgResult result = co_await connection->query(
            "SELECT 'schema turnout' FROM pg_namespace WHERE nspname = 'turnout' UNION ALL "
            "SELECT 'publication ' || pubname FROM pg_publication WHERE pubname ~ '^turnout_' UNION ALL "
            "SELECT 'subscription ' || subname FROM pg_subscription WHERE subname ~ '^turnout_' "
            "AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())");
        take(result, database);
    }
    co_return objects;
}

}  // namespace turnout::control
