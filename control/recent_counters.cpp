#include "control/recent_counters.hpp"

#include <array>
#include <chrono>
#include <cstddef>

namespace turnout::control {

namespace {

constexpr std::chrono::seconds kPeriod{60};

/// Totals only grow; a snapshot is not atomic across fields.
std::uint64_t grown(std::uint64_t earlier, std::uint64_t later) { return later > earlier ? later - earlier : 0; }

}  // namespace

void RecentCounters::add(Clock::time_point at, const DataPlaneCounters& counters) {
    samples_.push_back({at, counters});
    while (samples_.size() > 2 && samples_[1].at <= at - kPeriod) samples_.pop_front();
}

Rates rates(const RecentCounters::Sample& earlier, const RecentCounters::Sample& later) {
    Rates rates;
    rates.seconds = std::chrono::duration<double>(later.at - earlier.at).count();
    if (rates.seconds <= 0) return {};
    const auto per_second = [&](std::uint64_t DataPlaneCounters::*total) {
        return static_cast<double>(grown(earlier.counters.*total, later.counters.*total)) / rates.seconds;
    };
    rates.transactions_per_second = per_second(&DataPlaneCounters::transactions);
    rates.queries_per_second = per_second(&DataPlaneCounters::queries);
    rates.client_bytes_per_second = per_second(&DataPlaneCounters::client_bytes);
    rates.server_bytes_per_second = per_second(&DataPlaneCounters::server_bytes);
    std::uint64_t microseconds = 0;
    for (const std::size_t side : {0U, 1U})
        microseconds += grown(earlier.counters.query_microseconds[side], later.counters.query_microseconds[side]);
    const std::uint64_t queries = grown(earlier.counters.queries, later.counters.queries);
    if (queries > 0) rates.query_microseconds = static_cast<double>(microseconds) / static_cast<double>(queries);
    return rates;
}

double query_seconds(const DataPlaneCounters& earlier, const DataPlaneCounters& later, Side side, unsigned percent) {
    const auto& bounds = DataPlaneCounters::kQuerySecondsBounds;
    std::array<std::uint64_t, bounds.size() + 1> counts{};
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        counts[i] = grown(earlier.query_buckets[index(side)][i], later.query_buckets[index(side)][i]);
        total += counts[i];
    }
    if (total == 0) return 0;
    const double wanted = static_cast<double>(total) * percent / 100;
    double below = 0;
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        const auto here = static_cast<double>(counts[i]);
        if (here > 0 && below + here >= wanted) {
            const double least = i == 0 ? 0 : bounds[i - 1];
            return least + (bounds[i] - least) * (wanted - below) / here;
        }
        below += here;
    }
    return bounds.back();
}

}  // namespace turnout::control
