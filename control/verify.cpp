#include "control/verify.hpp"

#include <fmt/format.h>
#include <boost/asio/this_coro.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "control/awaited.hpp"
#include "control/both.hpp"
#include "control/names.hpp"
#include "control/pg_connection.hpp"
#include "control/replication.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

/// The comparison of a large table may take hours; a lost server is noticed by the connection's keepalives.
constexpr std::chrono::hours kComparison{24 * 7};
constexpr Milliseconds kBackOff{200};

/// One database on both sides.
struct Pair {
    std::string database;
    PgConnection::Ptr active;
    PgConnection::Ptr standby;
    PgConnection::Ptr nudge;  ///< commits the marker: the other one must not have a snapshot yet
};

/// Opens the gate when it goes, however that comes about.
class ClosedGate {
  public:
    ClosedGate(DataPlane& data_plane, std::uint64_t attempt) : data_plane_(data_plane), attempt_(attempt) {}
    ~ClosedGate() { data_plane_.give_up(attempt_); }
    ClosedGate(const ClosedGate&) = delete;
    ClosedGate& operator=(const ClosedGate&) = delete;

  private:
    DataPlane& data_plane_;
    std::uint64_t attempt_;
};

asio::awaitable<std::vector<Pair>> open_pairs(const Cluster& cluster, Side active) {
    std::vector<Pair> pairs;
    for (const std::string& database : cluster.databases()) {
        Pair pair;
        pair.database = database;
        pair.active = co_await cluster.connect(active, database);
        pair.nudge = co_await cluster.connect(active, database);
        pair.standby = co_await cluster.connect(other(active), database);
        const auto stream = co_await find_stream(*pair.standby);
        if (!stream || !stream->enabled || stream->narrowed)
            throw VerifyRefused(fmt::format("{} does not follow {} in database {}: run turnout sync first",
                                            name(other(active)), name(active), database));
        pairs.push_back(std::move(pair));
    }
    co_return pairs;
}

asio::awaitable<void> begin_snapshot(PgConnection& connection, Clock::time_point deadline) {
    co_await connection.query_by(
        deadline, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT pg_catalog.pg_current_snapshot()");
}

/// Everything committed on the active side is visible on the standby; then both snapshots.
asio::awaitable<void> catch_up_and_begin(Pair& pair, Clock::time_point deadline) {
    co_await probe(*pair.nudge, *pair.standby, deadline);
    co_await both(begin_snapshot(*pair.active, deadline), begin_snapshot(*pair.standby, deadline));
}

asio::awaitable<void> end_snapshots(std::vector<Pair>& pairs) {
    for (Pair& pair : pairs) {
        co_await pair.active->query("ROLLBACK");
        co_await pair.standby->query("ROLLBACK");
    }
}

/// One attempt: how long the gate was closed, or why there are no snapshots.
asio::awaitable<std::optional<Microseconds>> open_snapshots(std::vector<Pair>& pairs, DataPlane& data_plane,
                                                            const VerifyRequest& request, std::string& why) {
    CloseRequest close;
    close.attempt = request.next_attempt();
    const Clock::time_point begun = Clock::now();
    close.deadline = begun + request.max_pause;
    close.pinned = PinnedPolicy::end;  // nobody moves, so nobody is in the way; give_up() ends nobody
    const ClosedGate gate(data_plane, close.attempt);
    const DrainReport drain =
        co_await called_back<DrainReport>([&data_plane, &close](DataPlane::Callback<DrainReport> done) {
            data_plane.close_gate(close, std::move(done));
        });
    if (drain.outcome != DrainReport::Outcome::drained) {
        why = fmt::format("{} sessions were still in a transaction after {} ms", drain.holding_up.size(),
                          request.max_pause.count());
        co_return std::nullopt;
    }
    try {
        for (Pair& pair : pairs) co_await catch_up_and_begin(pair, close.deadline);
    } catch (const PgError& error) {
        if (!error.fields().timed_out) throw;
        why = fmt::format("{} did not catch up within {} ms", name(other(request.active)), request.max_pause.count());
        co_return std::nullopt;
    }
    // A gate that expired meanwhile let clients write before the last snapshot.
    if (Clock::now() >= close.deadline) {
        why = fmt::format("the snapshots took longer than {} ms", request.max_pause.count());
        co_return std::nullopt;
    }
    co_return std::chrono::duration_cast<Microseconds>(Clock::now() - begun);
}

struct TableSum {
    std::int64_t rows = 0;
    std::string sums;
    friend bool operator==(const TableSum&, const TableSum&) = default;
};

asio::awaitable<TableSum> sum_table(PgConnection& connection, std::string relation) {
    const PgResult result = co_await connection.query_by(
        Clock::now() + kComparison,
        "SELECT count(*), pg_catalog.concat_ws('/', sum(pg_catalog.hashtextextended(r, 0)::numeric), "
        "sum(pg_catalog.hashtextextended(r, 42)::numeric)) FROM (SELECT t::text AS r FROM " +
            relation + " AS t) AS s");
    co_return TableSum{result.as<std::int64_t>(0, 0), result.as<std::string>(0, 1)};
}

/// Published tables as they are written in SQL, by their plain names: ONLY for those that are no partitioned root.
asio::awaitable<std::map<std::string, std::string>> list_tables(PgConnection& connection) {
    const PgResult result = co_await connection.query(
        "SELECT pg_catalog.concat(n.nspname, '.', c.relname), pg_catalog.concat(CASE WHEN c.relkind = 'p' THEN '' ELSE "
        "'ONLY ' END, pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)) "
        "FROM pg_catalog.pg_publication_tables p JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname "
        "JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE p.pubname = $1",
        names::kTablesPublication);
    std::map<std::string, std::string> tables;
    for (int row = 0; row < result.rows(); ++row)
        tables.emplace(result.as<std::string>(row, 0), result.as<std::string>(row, 1));
    co_return tables;
}

/// Definitions by name.
asio::awaitable<std::map<std::string, std::string>> list_sequences(PgConnection& connection) {
    const PgResult result = co_await connection.query(
        "SELECT pg_catalog.concat(schemaname, '.', sequencename), pg_catalog.concat_ws(' ', data_type, start_value, "
        "min_value, max_value, increment_by, cycle, cache_size) FROM pg_catalog.pg_sequences");
    std::map<std::string, std::string> sequences;
    for (int row = 0; row < result.rows(); ++row)
        sequences.emplace(result.as<std::string>(row, 0), result.as<std::string>(row, 1));
    co_return sequences;
}

asio::awaitable<void> compare_tables(Pair& pair, Side active, VerifyReport& report, const Progress& progress) {
    const auto tables = co_await list_tables(*pair.active);
    const auto standby_tables = co_await list_tables(*pair.standby);
    for (const auto& [table, relation] : tables) {
        ++report.tables;
        if (!standby_tables.contains(table)) {
            report.differences.push_back(
                {pair.database, table, fmt::format("it is missing on {}", name(other(active)))});
            continue;
        }
        progress(fmt::format("comparing {} {} ({} of {})", pair.database, table, report.tables, tables.size()));
        const auto [here, there] = co_await both(sum_table(*pair.active, relation), sum_table(*pair.standby, relation));
        report.rows += static_cast<std::uint64_t>(here.rows);
        if (here == there) continue;
        report.differences.push_back(
            {pair.database, table,
             here.rows == there.rows
                 ? fmt::format("{} rows on both sides, but not the same", here.rows)
                 : fmt::format("{} rows on {}, {} on {}", here.rows, name(active), there.rows, name(other(active)))});
    }
}

asio::awaitable<void> compare_sequences(Pair& pair, Side active, VerifyReport& report) {
    const auto sequences = co_await list_sequences(*pair.active);
    const auto standby_sequences = co_await list_sequences(*pair.standby);
    for (const auto& [sequence, definition] : sequences) {
        ++report.sequences;
        const auto there = standby_sequences.find(sequence);
        if (there == standby_sequences.end())
            report.differences.push_back(
                {pair.database, sequence, fmt::format("the sequence is missing on {}", name(other(active)))});
        else if (there->second != definition)
            report.differences.push_back({pair.database, sequence, "the sequence is defined differently"});
    }
}

}  // namespace

asio::awaitable<VerifyReport> verify(const Cluster& cluster, DataPlane& data_plane, VerifyRequest request,
                                     Progress progress) {
    std::vector<Pair> pairs = co_await open_pairs(cluster, request.active);
    const Clock::time_point deadline = Clock::now() + request.deadline;
    asio::steady_timer pause(co_await asio::this_coro::executor);
    VerifyReport report;
    for (int attempt = 1;; ++attempt) {
        // The standby is let catch up before anybody waits.
        for (Pair& pair : pairs) co_await probe(*pair.nudge, *pair.standby, deadline);
        std::string why;
        const auto closed = co_await open_snapshots(pairs, data_plane, request, why);
        if (closed) {
            report.pause = *closed;
            break;
        }
        progress(fmt::format("attempt {}: {}", attempt, why));
        if (Clock::now() + kBackOff >= deadline)
            throw VerifyRefused(fmt::format("there was no good moment within {} s: {}; the clients go on as before",
                                            request.deadline.count() / 1000, why));
        pause.expires_after(kBackOff);
        co_await pause.async_wait(asio::use_awaitable);
        pairs = co_await open_pairs(cluster, request.active);  // one that timed out is closed
    }
    progress(fmt::format("both snapshots stand; clients waited at most {} us", report.pause.count()));
    const Clock::time_point begun = Clock::now();
    for (Pair& pair : pairs) {
        co_await compare_tables(pair, request.active, report, progress);
        co_await compare_sequences(pair, request.active, report);
    }
    co_await end_snapshots(pairs);
    report.elapsed = std::chrono::duration_cast<Microseconds>(Clock::now() - begun);
    co_return report;
}

Answer verify_answer(const VerifyReport& report, Side active) {
    const bool equal = report.differences.empty();
    boost::json::array differences;
    std::string text;
    for (const Difference& difference : report.differences) {
        differences.push_back(boost::json::object{
            {"database", difference.database}, {"object", difference.object}, {"sentence", difference.sentence}});
        text += fmt::format("DIFFERS {} {}: {}\n", difference.database, difference.object, difference.sentence);
    }
    const double seconds = std::chrono::duration<double>(report.elapsed).count();
    text +=
        fmt::format("{} tables with {} rows and {} sequences compared in {:.1f} s: {} {} {}; clients waited {} us\n",
                    report.tables, report.rows, report.sequences, seconds, name(other(active)),
                    equal ? "equals" : "differs from", name(active), report.pause.count());
    Answer answer = object_answer({{"outcome", equal ? "equal" : "different"},
                                   {"tables", report.tables},
                                   {"rows", report.rows},
                                   {"sequences", report.sequences},
                                   {"pause_us", report.pause.count()},
                                   {"seconds", seconds},
                                   {"differences", std::move(differences)}},
                                  std::move(text));
    if (!equal) answer.exit_status = ExitStatus::refused;
    return answer;
}

}  // namespace turnout::control
