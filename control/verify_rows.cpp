#include "control/verify_rows.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>

#include "control/both.hpp"

namespace turnout::control {

namespace {

constexpr std::size_t kWorkers = 4;
constexpr std::int64_t kChunkRows = 20'000;
constexpr std::size_t kWaitingChunks = 64;
/// Of each table; the others are counted by chunks.
constexpr std::uint64_t kNamedRows = 20;
constexpr std::chrono::seconds kTellEvery{2};

/// Buckets of about kChunkRows, a power of two.
int buckets_for(std::int64_t rows) {
    const auto wanted = static_cast<std::uint64_t>(std::clamp<std::int64_t>(rows / kChunkRows, 1, 1 << 20));
    return static_cast<int>(std::bit_ceil(wanted));
}

}  // namespace

RowComparison::RowComparison(const Cluster& cluster, Side active, VerifyPair& pair, VerifyReport& report,
                             const Progress& progress, asio::any_io_executor executor)
    : cluster_(cluster),
      active_(active),
      pair_(pair),
      report_(report),
      progress_(progress),
      changed_(executor, Clock::time_point::max()) {}

asio::awaitable<void> RowComparison::run(Clock::time_point deadline) {
    deadline_ = deadline;
    co_await find_tables();
    const auto snapshots = co_await export_snapshots();
    for (std::size_t i = 0; i < kWorkers; ++i) {
        Worker worker = co_await open_worker(snapshots);
        workers_.push_back(std::move(worker));
    }
    co_await both(cut(), work_all());
    conclude();
}

/// A table that one side lacks is a difference, and not compared.
asio::awaitable<void> RowComparison::find_tables() {
    co_await pair_.active->query(kExactText);
    co_await pair_.standby->query(kExactText);
    std::vector<VerifyTable> here = co_await list_verify_tables(*pair_.active);
    const std::vector<VerifyTable> there = co_await list_verify_tables(*pair_.standby);
    for (VerifyTable& table : here) {
        const auto twin =
            std::find_if(there.begin(), there.end(), [&](const auto& it) { return it.name == table.name; });
        ++report_.tables;
        if (twin == there.end() || twin->columns.size() != table.columns.size()) {
            report_.differences.push_back({pair_.database, table.name, "",
                                           twin == there.end()
                                               ? fmt::format("it is missing on {}", name(other(active_)))
                                               : fmt::format("it has other columns on {}", name(other(active_)))});
            continue;
        }
        report_.bytes += static_cast<std::uint64_t>(table.bytes);
        tables_.push_back(std::move(table));
    }
    tallies_.resize(tables_.size());
}

asio::awaitable<std::array<std::string, 2>> RowComparison::export_snapshots() {
    const PgResult active = co_await pair_.active->query("SELECT pg_catalog.pg_export_snapshot()");
    const PgResult standby = co_await pair_.standby->query("SELECT pg_catalog.pg_export_snapshot()");
    std::array<std::string, 2> snapshots{active.as<std::string>(0, 0), standby.as<std::string>(0, 0)};
    co_return snapshots;
}

asio::awaitable<RowComparison::Worker> RowComparison::open_worker(std::array<std::string, 2> snapshots) {
    Worker worker;
    for (const bool standby : {false, true}) {
        PgConnection::Ptr connection = co_await cluster_.connect(standby ? other(active_) : active_, pair_.database);
        co_await connection->query(kExactText);
        const std::string begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT " +
                                  PgConnection::literal(snapshots[standby ? 1 : 0]);
        co_await connection->query(begin);
        worker.connections[standby ? 1 : 0] = std::move(connection);
    }
    co_return worker;
}

// -------------------------------------------------------------------------------------------------------------- chunks

/// Finds where the chunks end, on the active side, ahead of those who compare them.
asio::awaitable<void> RowComparison::cut() {
    for (std::size_t i = 0; i < tables_.size(); ++i) {
        const VerifyTable& table = tables_[i];
        if (!table.ranges) {
            VerifyChunk whole{i, "true", buckets_for(table.estimated_rows)};
            co_await push(std::move(whole));
            continue;
        }
        std::string after;
        for (;;) {
            const std::string sql = table.bound_query(after, kChunkRows);
            const PgResult end = co_await pair_.active->query_by(deadline_, sql);
            const std::string until = end.empty() ? std::string() : table.bound(end);
            VerifyChunk chunk{i, table.condition(after, until), 1};
            co_await push(std::move(chunk));
            if (until.empty()) break;
            after = until;
        }
    }
    cut_all_ = true;
    changed_.cancel();
}

asio::awaitable<void> RowComparison::push(VerifyChunk chunk) {
    boost::system::error_code woken;
    while (chunks_.size() >= kWaitingChunks)
        co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    chunks_.push_back(std::move(chunk));
    changed_.cancel();
}

asio::awaitable<void> RowComparison::work_all() {
    static_assert(kWorkers == 4);
    co_await both(both(work(workers_[0]), work(workers_[1])), both(work(workers_[2]), work(workers_[3])));
}

asio::awaitable<void> RowComparison::work(Worker& worker) {
    boost::system::error_code woken;
    for (;;) {
        while (chunks_.empty() && !cut_all_)
            co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        if (chunks_.empty()) co_return;
        VerifyChunk chunk = std::move(chunks_.front());
        chunks_.pop_front();
        changed_.cancel();
        co_await compare(worker, std::move(chunk));
    }
}

// ---------------------------------------------------------------------------------------------------------- comparison

asio::awaitable<RowComparison::Sums> RowComparison::sum(PgConnection& connection, const VerifyChunk& chunk,
                                                        std::int64_t& rows) {
    const std::string sql = tables_[chunk.table].sum_query(chunk);
    const PgResult result = co_await connection.query_by(deadline_, sql);
    Sums sums;
    for (int row = 0; row < result.rows(); ++row) {
        rows += result.as<std::int64_t>(row, 1);
        sums.emplace(result.as<std::string>(row, 0), fmt::format("{} {}", result.get(row, 1), result.get(row, 2)));
    }
    co_return sums;
}

asio::awaitable<void> RowComparison::compare(Worker& worker, VerifyChunk chunk) {
    Tally& tally = tallies_[chunk.table];
    ++report_.chunks;
    std::int64_t rows_active = 0;
    std::int64_t rows_standby = 0;
    const auto [here, there] = co_await both(sum(*worker.connections[0], chunk, rows_active),
                                             sum(*worker.connections[1], chunk, rows_standby));
    tally.rows_active += rows_active;
    tally.rows_standby += rows_standby;
    report_.rows += static_cast<std::uint64_t>(rows_active);
    tell(chunk.table);
    std::set<std::string> differing;
    for (const auto& [bucket, value] : here) {
        const auto twin = there.find(bucket);
        if (twin == there.end() || twin->second != value) differing.insert(bucket);
    }
    for (const auto& [bucket, value] : there) {
        if (!here.contains(bucket)) differing.insert(bucket);
    }
    if (differing.empty()) co_return;
    if (tally.named >= kNamedRows) {
        ++tally.unread_chunks;
        co_return;
    }
    const std::string first = *differing.begin();
    const bool few = differing.size() <= 8;
    if (!few) ++tally.unread_chunks;
    const std::string buckets = few ? fmt::format("{}", fmt::join(differing, ", ")) : first;
    co_await name_rows(worker, chunk, buckets);
}

asio::awaitable<RowComparison::Rows> RowComparison::read_rows(PgConnection& connection, std::string sql) {
    const PgResult result = co_await connection.query_by(deadline_, sql);
    Rows rows;
    for (int row = 0; row < result.rows(); ++row)
        rows.emplace(result.as<std::string>(row, 0), result.as<std::string>(row, 1));
    co_return rows;
}

asio::awaitable<void> RowComparison::name_rows(Worker& worker, const VerifyChunk& chunk, std::string buckets) {
    const std::string sql = tables_[chunk.table].rows_query(chunk, buckets);
    const auto [here, there] =
        co_await both(read_rows(*worker.connections[0], sql), read_rows(*worker.connections[1], sql));
    const std::string missing_there = fmt::format("the row is missing on {}", name(other(active_)));
    const std::string missing_here = fmt::format("the row stands on {} only", name(other(active_)));
    std::vector<std::string> changed;
    for (auto it = here.begin(); it != here.end(); it = here.upper_bound(it->first)) {
        const auto count_here = here.count(it->first);
        const auto count_there = there.count(it->first);
        if (count_there < count_here) add(chunk.table, it->first, missing_there);
        if (count_there > count_here) add(chunk.table, it->first, missing_here);
        if (count_there == 1 && count_here == 1 && there.find(it->first)->second != it->second)
            changed.push_back(it->first);
    }
    for (auto it = there.begin(); it != there.end(); it = there.upper_bound(it->first)) {
        if (!here.contains(it->first)) add(chunk.table, it->first, missing_here);
    }
    for (const std::string& row : changed) {
        if (tallies_[chunk.table].named >= kNamedRows) {
            add(chunk.table, row, "");
            continue;
        }
        const std::string columns = co_await differing_columns(worker, chunk, row);
        add(chunk.table, row, columns);
    }
}

/// "differs in balance, note".
asio::awaitable<std::string> RowComparison::differing_columns(Worker& worker, const VerifyChunk& chunk,
                                                              std::string row) {
    const VerifyTable& table = tables_[chunk.table];
    const std::string sql = table.columns_query(chunk);
    std::array<std::vector<std::string>, 2> hashes;
    for (std::size_t side = 0; side < 2; ++side) {
        const PgResult result = co_await worker.connections[side]->query_by(deadline_, sql, row);
        std::string all = result.as<std::string>(0, 0);
        std::replace(all.begin(), all.end(), ' ', '\n');
        for (std::size_t begin = 0; begin < all.size();) {
            const std::size_t end = std::min(all.find('\n', begin), all.size());
            hashes[side].push_back(all.substr(begin, end - begin));
            begin = end + 1;
        }
    }
    std::vector<std::string> columns;
    for (std::size_t i = 0; i < table.columns.size() && i < hashes[0].size() && i < hashes[1].size(); ++i) {
        if (hashes[0][i] != hashes[1][i]) columns.push_back(table.columns[i]);
    }
    co_return fmt::format("the row differs in {}", fmt::join(columns, ", "));
}

/// No value of a row is shown but its key; of a row without one nothing.
void RowComparison::add(std::size_t table, std::string row, std::string sentence) {
    Tally& tally = tallies_[table];
    if (++tally.named > kNamedRows) return;
    if (tables_[table].key.empty()) row = "a row without a key";
    report_.differences.push_back({pair_.database, tables_[table].name, std::move(row), std::move(sentence)});
}

void RowComparison::tell(std::size_t table) {
    if (Clock::now() < told_ + kTellEvery) return;
    told_ = Clock::now();
    progress_(fmt::format("comparing {} {}: {} of about {} rows; {} in all", pair_.database, tables_[table].name,
                          tallies_[table].rows_active,
                          std::max(tables_[table].estimated_rows, tallies_[table].rows_active), report_.rows));
}

void RowComparison::conclude() {
    for (std::size_t i = 0; i < tables_.size(); ++i) {
        const Tally& tally = tallies_[i];
        const auto difference = [&](std::string sentence) {
            report_.differences.push_back({pair_.database, tables_[i].name, "", std::move(sentence)});
        };
        if (tally.rows_active != tally.rows_standby)
            difference(fmt::format("{} rows on {}, {} on {}", tally.rows_active, name(active_), tally.rows_standby,
                                   name(other(active_))));
        if (tally.named > kNamedRows) difference(fmt::format("and {} more rows differ", tally.named - kNamedRows));
        if (tally.unread_chunks > 0)
            difference(fmt::format("and {} more chunks of about {} rows differ", tally.unread_chunks, kChunkRows));
    }
}

}  // namespace turnout::control
