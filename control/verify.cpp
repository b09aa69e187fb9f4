#include "control/verify.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "control/awaited.hpp"
#include "control/both.hpp"
#include "control/pg_connection.hpp"
#include "control/replication.hpp"
#include "control/switch_words.hpp"
#include "control/verify_rows.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

/// The snapshots hold back VACUUM on both sides; after this they are given up.
constexpr std::chrono::hours kLongest{12};
constexpr Milliseconds kBackOff{200};

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

asio::awaitable<std::vector<VerifyPair>> open_pairs(const Cluster& cluster, Side active) {
    std::vector<VerifyPair> pairs;
    for (const std::string& database : cluster.databases()) {
        VerifyPair pair;
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
asio::awaitable<void> catch_up_and_begin(VerifyPair& pair, Clock::time_point deadline) {
    co_await probe(*pair.nudge, *pair.standby, deadline);
    co_await both(begin_snapshot(*pair.active, deadline), begin_snapshot(*pair.standby, deadline));
}

asio::awaitable<void> end_snapshots(std::vector<VerifyPair>& pairs) {
    for (VerifyPair& pair : pairs) {
        co_await pair.active->query("ROLLBACK");
        co_await pair.standby->query("ROLLBACK");
    }
}

/// One attempt: how long the gate was closed, or why there are no snapshots.
asio::awaitable<std::optional<Microseconds>> open_snapshots(std::vector<VerifyPair>& pairs, DataPlane& data_plane,
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
        for (VerifyPair& pair : pairs) co_await catch_up_and_begin(pair, close.deadline);
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

struct Sequence {
    std::string definition;
    std::optional<std::int64_t> last;  ///< nothing: it was never used
    std::int64_t increment = 1;
    bool cycles = false;
};

/// By name. Sequences have no snapshots: these are their values now.
asio::awaitable<std::map<std::string, Sequence>> list_sequences(PgConnection& connection) {
    const PgResult result = co_await connection.query(
        "SELECT pg_catalog.concat(schemaname, '.', sequencename), pg_catalog.concat_ws(' ', data_type, start_value, "
        "min_value, max_value, increment_by, cycle, cache_size), last_value, increment_by, cycle "
        "FROM pg_catalog.pg_sequences");
    std::map<std::string, Sequence> sequences;
    for (int row = 0; row < result.rows(); ++row) {
        Sequence sequence{result.as<std::string>(row, 1), result.maybe<std::int64_t>(row, 2),
                          result.as<std::int64_t>(row, 3), result.as<bool>(row, 4)};
        sequences.emplace(result.as<std::string>(row, 0), std::move(sequence));
    }
    co_return sequences;
}

bool is_ahead(const Sequence& standby, const Sequence& active) {
    if (!standby.last || standby.cycles) return false;
    if (!active.last) return true;
    return active.increment > 0 ? *standby.last > *active.last : *standby.last < *active.last;
}

/// The standby's are read first: the active side's go on meanwhile.
asio::awaitable<void> compare_sequences(VerifyPair& pair, Side active, VerifyReport& report) {
    const auto standby_sequences = co_await list_sequences(*pair.standby);
    const auto sequences = co_await list_sequences(*pair.active);
    const auto there = name(other(active));
    for (const auto& [sequence, here] : sequences) {
        ++report.sequences;
        const auto twin = standby_sequences.find(sequence);
        std::string sentence;
        if (twin == standby_sequences.end())
            sentence = fmt::format("the sequence is missing on {}", there);
        else if (twin->second.definition != here.definition)
            sentence = "the sequence is defined differently";
        else if (is_ahead(twin->second, here))
            sentence = fmt::format(
                "the sequence stands at {} on {} and at {} on {}: it was used where nobody may write",
                *twin->second.last, there, here.last ? std::to_string(*here.last) : "no value", name(active));
        if (!sentence.empty()) report.differences.push_back({pair.database, sequence, "", sentence});
    }
}

}  // namespace

asio::awaitable<VerifyReport> verify(const Cluster& cluster, DataPlane& data_plane, VerifyRequest request,
                                     Progress progress) {
    std::vector<VerifyPair> pairs = co_await open_pairs(cluster, request.active);
    const Clock::time_point deadline = Clock::now() + request.deadline;
    asio::steady_timer pause(co_await asio::this_coro::executor);
    VerifyReport report;
    for (int attempt = 1;; ++attempt) {
        // The standby is let catch up before anybody waits.
        for (VerifyPair& pair : pairs) co_await probe(*pair.nudge, *pair.standby, deadline);
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
    progress(
        fmt::format("both snapshots stand; clients waited at most {}; until the end VACUUM is held back on both "
                    "sides, for {} hours at most",
                    words::span(report.pause), kLongest.count()));
    const Clock::time_point begun = Clock::now();
    const auto executor = co_await asio::this_coro::executor;
    for (VerifyPair& pair : pairs) {
        RowComparison rows(cluster, request.active, pair, report, progress, executor);
        co_await rows.run(begun + kLongest);
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
        differences.push_back(boost::json::object{{"database", difference.database},
                                                  {"object", difference.object},
                                                  {"row", difference.row},
                                                  {"sentence", difference.sentence}});
        text += fmt::format("DIFFERS {} {}{}{}: {}\n", difference.database, difference.object,
                            difference.row.empty() ? "" : ", ", difference.row, difference.sentence);
    }
    const double seconds = std::chrono::duration<double>(report.elapsed).count();
    const double megabytes = static_cast<double>(report.bytes) / 1e6;
    const double per = std::max(seconds, 1e-6);
    text += fmt::format(
        "{} tables with {} rows ({:.1f} MB) and {} sequences compared in {:.1f} s ({:.0f} rows, {:.1f} MB a "
        "second): {} {} {}; clients waited {}\n",
        report.tables, report.rows, megabytes, report.sequences, seconds, static_cast<double>(report.rows) / per,
        megabytes / per, name(other(active)), equal ? "equals" : "differs from", name(active),
        words::span(report.pause));
    Answer answer = object_answer({{"outcome", equal ? "equal" : "different"},
                                   {"tables", report.tables},
                                   {"rows", report.rows},
                                   {"bytes", report.bytes},
                                   {"chunks", report.chunks},
                                   {"sequences", report.sequences},
                                   {"pause_us", report.pause.count()},
                                   {"seconds", seconds},
                                   {"differences", std::move(differences)}},
                                  std::move(text));
    if (!equal) answer.exit_status = ExitStatus::refused;
    return answer;
}

}  // namespace turnout::control
