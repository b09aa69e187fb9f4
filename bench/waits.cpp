#include "bench/waits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace turnout::bench {

namespace {

Microseconds between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration_cast<Microseconds>(to - from);
}

Microseconds ranked(const std::vector<Microseconds>& sorted, double fraction) {
    const auto rank = static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(sorted.size())));
    return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

}  // namespace

Distribution distribution_of(std::vector<Microseconds> sample) {
    if (sample.empty()) return {};
    std::sort(sample.begin(), sample.end());
    return {sample.size(), ranked(sample, 0.5), ranked(sample, 0.99), sample.back()};
}

std::string human(Microseconds duration) {
    const auto us = static_cast<double>(duration.count());
    const auto digits = [](double value) { return value < 9.995 ? 2 : value < 99.95 ? 1 : 0; };
    if (us < 1000) return fmt::format("{} µs", duration.count());
    if (us < 1e6) return fmt::format("{:.{}f} ms", us / 1e3, digits(us / 1e3));
    return fmt::format("{:.{}f} s", us / 1e6, digits(us / 1e6));
}

void WaitLog::sent(Clock::time_point at) {
    const std::lock_guard lock(mutex_);
    pending_ = at;
}

void WaitLog::answered(Clock::time_point at) {
    const std::lock_guard lock(mutex_);
    if (!pending_) return;
    const Wait wait{*pending_, at};
    pending_.reset();
    if (ring_.size() < kRemembered)
        ring_.push_back(wait);
    else
        ring_[next_] = wait;
    next_ = (next_ + 1) % kRemembered;
}

std::vector<Microseconds> WaitLog::overlapping(Clock::time_point from, Clock::time_point to) const {
    std::vector<Microseconds> found;
    const std::lock_guard lock(mutex_);
    for (const Wait& wait : ring_)
        if (wait.from <= to && wait.to >= from) found.push_back(between(wait.from, wait.to));
    if (pending_ && *pending_ <= to) found.push_back(between(*pending_, Clock::now()));
    return found;
}

Waits waits_during(const std::vector<const WaitLog*>& logs, Clock::time_point from, Clock::time_point to) {
    std::vector<Microseconds> statements;
    std::vector<Microseconds> longest;
    for (const WaitLog* log : logs) {
        const std::vector<Microseconds> waits = log->overlapping(from, to);
        if (waits.empty()) continue;
        longest.push_back(*std::max_element(waits.begin(), waits.end()));
        statements.insert(statements.end(), waits.begin(), waits.end());
    }
    return {distribution_of(std::move(statements)), distribution_of(std::move(longest))};
}

}  // namespace turnout::bench
