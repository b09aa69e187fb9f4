#include "control/switch_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace turnout::control {

namespace {

/// Fewer say nothing.
constexpr std::uint64_t kEnough = 100;
constexpr std::chrono::seconds kPeriod{60};
/// A side that answers nothing for so long may be restarting, or hang.
constexpr std::chrono::seconds kSilence{5};
/// More looks than these are not kept, however little happens.
constexpr std::size_t kMostLooks = 4096;

std::optional<double> percent(std::string_view text) {
    if (!text.ends_with('%')) return std::nullopt;
    text.remove_suffix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !(value > 0) || value > 1e6) return std::nullopt;
    return value;
}

bool take(std::string_view text, WatchLimits& limits) {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view name = text.substr(0, equals);
    std::optional<double>* limit = name == "errors" ? &limits.errors : name == "latency" ? &limits.latency : nullptr;
    if (limit == nullptr || *limit) return false;
    *limit = percent(text.substr(equals + 1));
    return limit->has_value();
}

std::uint64_t queries(const DataPlaneCounters& counters, Side side) {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counters.query_buckets[index(side)]) sum += count;
    return sum;
}

/// Sessions whose server has not answered yet.
std::uint64_t waiting(const DataPlaneCounters& counters) { return counters.sessions[2]; }

}  // namespace

std::optional<WatchLimits> parse_watch_limits(std::string_view text) {
    WatchLimits limits;
    for (;;) {
        const std::size_t comma = text.find(',');
        if (!take(text.substr(0, comma), limits)) return std::nullopt;
        if (comma == std::string_view::npos) return limits;
        text.remove_prefix(comma + 1);
    }
}

double SideHealth::failed_percent() const {
    return requests == 0 ? 0 : 100 * static_cast<double>(failed) / static_cast<double>(requests);
}

SideHealth health(const RecentCounters::Sample& earlier, const RecentCounters::Sample& later, Side side) {
    const DataPlaneCounters& from = earlier.counters;
    const DataPlaneCounters& to = later.counters;
    SideHealth health;
    health.seconds = std::chrono::duration<double>(later.at - earlier.at).count();
    health.queries = queries(to, side) - queries(from, side);
    health.failed =
        to.query_errors[index(side)] - from.query_errors[index(side)] + to.logins_failed - from.logins_failed;
    // An error that ends its session has no ReadyForQuery.
    health.requests =
        std::max(health.failed, health.queries + to.logins - from.logins + to.logins_failed - from.logins_failed);
    health.p95_seconds = query_seconds(from, to, side, 95);
    return health;
}

void SwitchWatch::look(Clock::time_point at, const DataPlaneCounters& counters) {
    if (looks_.empty() || waiting(counters) == 0 ||
        queries(counters, side_) != queries(looks_.back().counters, side_)) {
        answered_at_ = at;
    }
    looks_.push_back({at, counters});
    const auto old = [&] {
        return looks_.size() > 2 &&
               ((looks_[1].at <= at - kPeriod && health(looks_[1], looks_.back(), side_).requests >= kEnough) ||
                looks_.size() > kMostLooks);
    };
    while (old()) looks_.pop_front();
}

SideHealth SwitchWatch::after() const {
    return looks_.empty() ? SideHealth() : health(looks_.front(), looks_.back(), side_);
}

std::string SwitchWatch::crossed() const {
    const SideHealth now = after();
    std::string why = too_many_fail(now);
    if (why.empty()) why = too_slow(now);
    if (why.empty()) why = nothing_answered();
    return why;
}

std::string SwitchWatch::too_many_fail(const SideHealth& after) const {
    if (!limits_.errors || after.requests < kEnough) return {};
    if (after.failed_percent() <= before_.failed_percent() + *limits_.errors) return {};
    return fmt::format("{:.2f} % of the requests fail, {:.2f} % did before, and {} more are allowed",
                       after.failed_percent(), before_.failed_percent(), *limits_.errors);
}

std::string SwitchWatch::too_slow(const SideHealth& after) const {
    if (!limits_.latency || before_.queries < kEnough || after.queries < kEnough) return {};
    if (after.p95_seconds <= before_.p95_seconds * *limits_.latency / 100) return {};
    return fmt::format("95 % of the queries take up to {:.3f} ms, and took {:.3f} ms before; {} % are allowed",
                       after.p95_seconds * 1e3, before_.p95_seconds * 1e3, *limits_.latency);
}

/// A query that is never answered has no time that could be compared.
std::string SwitchWatch::nothing_answered() const {
    if (!limits_.latency || looks_.empty() || before_.queries < kEnough || before_.seconds <= 0) return {};
    const double silent = std::chrono::duration<double>(looks_.back().at - answered_at_).count();
    const double longest =
        std::max(std::chrono::duration<double>(kSilence).count(), before_.p95_seconds * *limits_.latency / 100);
    const double expected = silent * static_cast<double>(before_.queries) / before_.seconds;
    if (silent < longest || expected < static_cast<double>(kEnough)) return {};
    return fmt::format("no query was answered for {:.0f} s, and {} sessions wait", silent,
                       waiting(looks_.back().counters));
}

}  // namespace turnout::control
