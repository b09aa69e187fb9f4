// What the status page is told, once a second, while somebody looks.
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cmath>
#include <utility>

#include "control/both.hpp"
#include "control/controller.hpp"
#include "control/pg_error.hpp"
#include "control/show.hpp"
#include "control/switch_record.hpp"

namespace turnout::control {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr Milliseconds kPatience{1'000};
constexpr std::size_t kMostPinned = 20;
constexpr std::size_t kMostHistory = 20;
/// Latency is that of the last seconds: with one alone the curve would jump.
constexpr std::size_t kLatencySamples = 4;

json::object sessions_now(const DataPlaneCounters& counters) {
    constexpr std::array<const char*, 5> kStates{"login", "idle", "active", "in_transaction", "held"};
    json::object object;
    for (std::size_t i = 0; i < kStates.size(); ++i) object[kStates[i]] = counters.sessions[i];
    return object;
}

json::array pinned_now(const std::vector<SessionView>& sessions) {
    json::array array;
    for (const SessionView& session : sessions) {
        if (session.movable != Movable::pinned || array.size() == kMostPinned) continue;
        array.push_back(
            {{"id", session.id}, {"user", session.user}, {"database", session.database}, {"reason", session.reason}});
    }
    return array;
}

json::array lag_now(const std::vector<StreamLag>& lag) {
    json::array array;
    for (const StreamLag& stream : lag)
        array.push_back({{"database", stream.database},
                         {"bytes", stream.bytes},
                         {"seconds", stream.seconds},
                         {"streaming", stream.streaming},
                         {"retained_bytes", stream.retained},
                         {"wal_status", stream.wal_status}});
    return array;
}

json::array history_now(const std::vector<ReportSummary>& reports) {
    json::array array;
    for (const ReportSummary& it : reports) {
        if (array.size() == kMostHistory) break;
        array.push_back({{"id", it.id},
                         {"time", it.time},
                         {"verb", it.verb},
                         {"outcome", it.outcome},
                         {"from", it.from},
                         {"to", it.to},
                         {"generation", it.generation},
                         {"window_us", it.window_us ? json::value(*it.window_us) : json::value(nullptr)},
                         {"stall_max_us", it.stall_max_us},
                         {"sessions", it.sessions},
                         {"held", it.held},
                         {"kept", !it.path.empty()}});
    }
    return array;
}

void add_latency(json::object& side, Side which, const RecentCounters& recent) {
    const auto& samples = recent.samples();
    side["p50_us"] = side["p99_us"] = nullptr;
    if (samples.size() < 2) return;
    const auto& earlier = samples[samples.size() - std::min(samples.size(), kLatencySamples)].counters;
    const auto& now = samples.back().counters;
    if (query_seconds(earlier, now, which, 50) <= 0) return;
    side["p50_us"] = std::llround(query_seconds(earlier, now, which, 50) * 1e6);
    side["p99_us"] = std::llround(query_seconds(earlier, now, which, 99) * 1e6);
}

}  // namespace

/// Never throws for what a server does: then it says what is wrong.
asio::awaitable<json::object> Controller::side_now(Side side) {
    PgConnection::Ptr connection = std::move(page_connections_[index(side)]);
    json::object now{{"side", name(side)}};
    try {
        if (!connection || !connection->is_alive()) {
            connection = co_await cluster_.connect_by(Clock::now() + kPatience, side, cluster_.journal_database());
            connection->set_call_timeout(kPatience);
        }
        const PgResult read = co_await connection->query(
            "SELECT split_part(current_setting('server_version'), ' ', 1), "
            "CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') "
            "END::bigint, "
            "coalesce(sum(tup_inserted + tup_updated + tup_deleted), 0)::bigint, "
            "coalesce(sum(tup_returned + tup_fetched), 0)::bigint, coalesce(sum(blks_read), 0)::bigint "
            "FROM pg_catalog.pg_stat_database WHERE datname = ANY ($1)",
            cluster_.databases());
        now["version"] = read.as<std::string>(0, 0);
        now["wal"] = read.as<std::int64_t>(0, 1);
        now["rows_written"] = read.as<std::int64_t>(0, 2);
        now["rows_read"] = read.as<std::int64_t>(0, 3);
        now["blocks_read"] = read.as<std::int64_t>(0, 4);
        if (!switcher_->running()) page_connections_[index(side)] = std::move(connection);
    } catch (const PgError& error) {
        now["problem"] = error.fields().message;
    }
    co_return now;
}

asio::awaitable<void> Controller::tell_the_page() {
    if (feed_ == nullptr || feed_->watchers() == 0 || stopping_) {
        page_connections_ = {};
        co_return;
    }
    if (!switcher_->running()) {
        auto [blue, green] = co_await both(side_now(Side::blue), side_now(Side::green));
        page_sides_ = {std::move(blue), std::move(green)};
    }
    const std::vector<SessionView> views = co_await sessions();
    json::array sides;
    for (const Side side : {Side::blue, Side::green}) {
        json::object object = page_sides_[index(side)];
        object["side"] = name(side);
        add_latency(object, side, recent_);
        sides.push_back(std::move(object));
    }
    const Answer status = co_await show_status_now();
    const auto at = std::chrono::system_clock::now();
    json::object event{
        {"at_ms", std::chrono::duration_cast<Milliseconds>(at.time_since_epoch()).count()},
        {"version", version_},
        {"status", status.json},
        {"sides", std::move(sides)},
        {"lag", lag_now(lag_)},
        {"sessions", sessions_now(data_plane_->counters())},
        {"pinned", pinned_now(views)},
        {"rates", {{"transactions_per_second", transactions_per_second()}}},
        {"history", history_now(reports_.list())},
        {"last", last_switch_ ? json::value(to_json(*last_switch_)) : json::value(nullptr)},
    };
    feed_->publish(json::serialize(event));
}

}  // namespace turnout::control
