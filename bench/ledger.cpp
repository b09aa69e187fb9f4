#include "bench/ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "bench/pq.hpp"

namespace turnout::bench {

namespace {

constexpr std::int64_t kBalances = 256;

bool has_accounts(PGconn* connection) {
    return value(connection, "SELECT to_regclass('pgbench_accounts')").has_value();
}

std::unordered_map<std::int64_t, std::int64_t> read_pairs(PGconn* connection, const std::string& sql) {
    const Result result = run(connection, sql);
    std::unordered_map<std::int64_t, std::int64_t> pairs;
    for (int row = 0; row < PQntuples(result.get()); ++row)
        pairs[field_number(result, row, 0)] = field_number(result, row, 1);
    return pairs;
}

}  // namespace

void install_ledger(const std::string& conninfo) {
    const Connection connection = connect(conninfo);
    // No unique key on (writer, entry): a row that was written twice must be able to stand twice.
    run(connection.get(), R"(
        CREATE SEQUENCE IF NOT EXISTS ledger_tickets;
        CREATE TABLE IF NOT EXISTS ledger_entries (
            id bigserial PRIMARY KEY,
            writer bigint NOT NULL,
            entry bigint NOT NULL,
            revision bigint NOT NULL DEFAULT 0,
            ticket bigint NOT NULL DEFAULT nextval('ledger_tickets'),
            note text NOT NULL DEFAULT 'written by the ledger load and looked for by its audit');
        CREATE INDEX IF NOT EXISTS ledger_entries_by_writer ON ledger_entries (writer, entry);
        CREATE TABLE IF NOT EXISTS ledger_counters (writer bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0);
        CREATE TABLE IF NOT EXISTS ledger_balances (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0))");
    run(connection.get(),
        fmt::format("INSERT INTO ledger_balances (id) SELECT generate_series(0, {}) ON CONFLICT DO NOTHING",
                    kBalances - 1));
}

Snapshot read_ledger(const std::string& conninfo, const Scope& scope) {
    const Connection connection = connect(conninfo);
    run(connection.get(), "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    Snapshot snapshot;
    const Result rows = run(connection.get(), "SELECT writer, entry, revision, ticket FROM ledger_entries");
    snapshot.rows.reserve(static_cast<std::size_t>(PQntuples(rows.get())));
    for (int row = 0; row < PQntuples(rows.get()); ++row)
        snapshot.rows.push_back({field_number(rows, row, 0), field_number(rows, row, 1), field_number(rows, row, 2),
                                 field_number(rows, row, 3)});
    snapshot.counters = read_pairs(connection.get(), "SELECT writer, n FROM ledger_counters");
    if (scope.balances) snapshot.balances = read_pairs(connection.get(), "SELECT id, n FROM ledger_balances");
    if (scope.accounts)
        snapshot.accounts =
            read_pairs(connection.get(), "SELECT aid, abalance FROM pgbench_accounts WHERE abalance <> 0");
    run(connection.get(), "COMMIT");
    return snapshot;
}

void Ledger::start() {
    const Connection connection = connect(settings_.conninfo);
    scope_.balances = settings_.shared_rows;
    scope_.accounts = settings_.shared_rows && has_accounts(connection.get());
    const std::int64_t accounts =
        scope_.accounts ? number(connection.get(), "SELECT coalesce(max(aid), 0) FROM pgbench_accounts") : 0;
    before_ = read_ledger(settings_.conninfo, scope_);
    // A number is taken for good by its counter's row.
    const std::int64_t first = number(
        connection.get(),
        fmt::format("WITH last AS (SELECT coalesce(max(writer), 0) AS n FROM ledger_counters), taken AS "
                    "(INSERT INTO ledger_counters (writer) SELECT last.n + i FROM last, generate_series(1, {}) AS i) "
                    "SELECT n + 1 FROM last",
                    settings_.writers));
    for (unsigned i = 0; i < settings_.writers; ++i) {
        Writer::Settings writer;
        writer.conninfo = settings_.conninfo;
        writer.mode = settings_.modes[i % settings_.modes.size()];
        writer.pace = settings_.pace;
        writer.writer = first + i;
        writer.balances = scope_.balances ? kBalances : 0;
        writer.accounts = accounts;
        writer.seed = settings_.seed * 1000003 + i;
        writers_.push_back(std::make_unique<Writer>(std::move(writer)));
    }
    for (const auto& writer : writers_) writer->start();
}

void Ledger::stop(std::chrono::milliseconds patience) {
    const Clock::time_point until = Clock::now() + patience;
    for (const auto& writer : writers_) writer->ask_to_stop();
    for (const auto& writer : writers_) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
        writer->stop(std::max(left, std::chrono::milliseconds(0)));
    }
}

void Ledger::hold(std::chrono::milliseconds patience) {
    const Clock::time_point until = Clock::now() + patience;
    for (const auto& writer : writers_) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
        if (!writer->hold(std::max(left, std::chrono::milliseconds(0))))
            throw std::runtime_error("a connection of the load has waited for its answer for seconds");
    }
}

void Ledger::release() {
    for (const auto& writer : writers_) writer->release();
}

Totals Ledger::totals() const {
    Totals totals;
    for (const auto& writer : writers_) totals += writer->totals();
    return totals;
}

Waits Ledger::waits(Clock::time_point from, Clock::time_point to) const {
    std::vector<const WaitLog*> logs;
    for (const auto& writer : writers_) logs.push_back(&writer->waits());
    return waits_during(logs, from, to);
}

Audit audit(const std::vector<const Ledger*>& ledgers, const std::string& conninfo) {
    std::vector<const Book*> books;
    for (const Ledger* ledger : ledgers)
        for (const auto& writer : ledger->writers_) books.push_back(&writer->book());
    const Ledger& first = *ledgers.front();
    return compare(books, first.before_, read_ledger(conninfo, first.scope_));
}

}  // namespace turnout::bench
