#include "control/sync_copy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "control/names.hpp"

namespace turnout::control {

namespace {

constexpr Milliseconds kLook{200};
constexpr std::chrono::seconds kRateOver{5};
constexpr std::int64_t kMostFailures = 3;

/// A table's state, and the bytes that its copy has taken so far where the server tells.
std::string states_sql(bool progress) {
    return fmt::format(
        "SELECT format('%I.%I', n.nspname, c.relname), sr.srsubstate, {} FROM pg_subscription s "
        "JOIN pg_subscription_rel sr ON sr.srsubid = s.oid JOIN pg_class c ON c.oid = sr.srrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace {} WHERE s.subname = $1 "
        "AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        progress ? "coalesce(p.bytes_processed, 0)" : "0",
        progress ? "LEFT JOIN pg_stat_progress_copy p ON p.relid = sr.srrelid AND p.datname = current_database()" : "");
}

}  // namespace

asio::awaitable<void> CopyWatch::read_sizes() {
    const PgResult result = co_await source_.query(
        "SELECT format('%I.%I', n.nspname, c.relname), "
        "(SELECT coalesce(sum(pg_table_size(t.relid)), 0) FROM pg_partition_tree(c.oid) t WHERE t.isleaf)::bigint "
        "+ CASE WHEN c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_partition_tree(c.oid)) THEN pg_table_size(c.oid) "
        "ELSE 0 END FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = "
        "r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1",
        names::kTablesPublication);
    for (int i = 0; i < result.rows(); ++i) {
        const auto size = result.as<std::uint64_t>(i, 1);
        sizes_[result.as<std::string>(i, 0)] = size;
        total_ += size;
    }
}

asio::awaitable<void> CopyWatch::wait() {
    co_await read_sizes();
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        if (co_await look()) co_return;
        co_await check_failures();
        timer.expires_after(kLook);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<bool> CopyWatch::look() {
    const PgResult states =
        co_await target_.query(states_sql(target_.server_major() >= 14), names::subscription(target_.side()));
    if (states.empty())
        throw SyncRefused("the subscription has gone while its tables were copied: turnout sync begins anew");
    std::uint64_t ready = 0;
    std::uint64_t bytes = 0;
    bool all = true;
    for (int i = 0; i < states.rows(); ++i) {
        const std::string table = states.as<std::string>(i, 0);
        const auto size = sizes_.find(table);
        const std::uint64_t known = size == sizes_.end() ? 0 : size->second;
        const std::string_view state = states.get(i, 1);
        if (state != "r") all = false;
        if (state == "r" || state == "s" || state == "f") {
            bytes += known;
            if (state == "r" && size != sizes_.end()) ++ready;
        } else if (const auto copied = states.as<std::uint64_t>(i, 2); copied > 0) {
            bytes += known > 0 ? std::min(copied, known) : copied;
            tell_table(table, copied);
        }
    }
    tell(ready, bytes);
    co_return all;
}

void CopyWatch::tell_table(const std::string& table, std::uint64_t bytes) {
    SyncProgress progress;
    progress.phase = "copy";
    progress.database = target_.database();
    progress.table = table;
    progress.bytes = bytes;
    const auto size = sizes_.find(table);
    progress.total_bytes = size == sizes_.end() ? 0 : size->second;
    if (sink_) sink_(progress);
}

void CopyWatch::tell(std::uint64_t ready, std::uint64_t done_bytes) {
    const auto now = Clock::now();
    samples_.emplace_back(now, done_bytes);
    while (samples_.size() > 2 && now - samples_.front().first > kRateOver) samples_.pop_front();
    SyncProgress progress;
    progress.phase = "copy";
    progress.database = target_.database();
    progress.done = ready;
    progress.total = sizes_.size();
    progress.bytes = done_bytes;
    progress.total_bytes = total_;
    const double seconds = std::chrono::duration<double>(now - samples_.front().first).count();
    const std::uint64_t before = samples_.front().second;
    if (seconds > 0 && done_bytes > before) progress.rate = static_cast<double>(done_bytes - before) / seconds;
    if (progress.rate > 0 && total_ >= done_bytes) {
        progress.eta =
            Milliseconds(static_cast<std::int64_t>(1000.0 * static_cast<double>(total_ - done_bytes) / progress.rate));
    }
    if (sink_) sink_(progress);
}

asio::awaitable<void> CopyWatch::check_failures() {
    if (target_.server_major() < 15) co_return;
    const PgResult result = co_await target_.query(
        "SELECT t.sync_error_count FROM pg_subscription s, pg_stat_get_subscription_stats(s.oid) t WHERE s.subname = "
        "$1 "
        "AND s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        names::subscription(target_.side()));
    if (result.empty()) co_return;
    const auto count = result.as<std::int64_t>(0, 0);
    if (failures_ < 0) failures_ = count;
    if (count < failures_ + kMostFailures) co_return;
    throw SyncRefused(fmt::format("copying tables of {} fails again and again on {}: the server's log there says why",
                                  target_.database(), turnout::name(target_.side())));
}

}  // namespace turnout::control
