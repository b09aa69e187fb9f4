// Simulated time and chance: events in order of their moment, all randomness from one seed.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "control/data_plane.hpp"

namespace turnout::simulation {

using control::Clock;
using Duration = Clock::duration;

class World {
  public:
    explicit World(std::uint64_t seed) : random_(seed) {}

    Clock::time_point now() const { return now_; }
    void at(Clock::time_point when, std::function<void()> what) {
        events_.push({std::max(when, now_), ++count_, std::move(what)});
    }
    void after(Duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }

    /// Runs what is due until `when`, or until a violation.
    void run_until(Clock::time_point when) {
        while (violation_.empty() && !events_.empty() && events_.top().when <= when) {
            const Event event = events_.top();
            events_.pop();
            now_ = event.when;
            event.what();
        }
        if (violation_.empty()) now_ = when;
    }

    bool chance(double probability) { return std::uniform_real_distribution<>(0, 1)(random_) < probability; }
    /// Evenly between two durations.
    Duration between(Duration low, Duration high) {
        return Duration(std::uniform_int_distribution<Duration::rep>(low.count(), high.count())(random_));
    }
    std::uint64_t pick(std::uint64_t count) { return random_() % count; }

    /// A line of the life's story, for whoever runs one seed alone.
    void tell(const std::string& what) const {
        if (!telling_) return;
        fmt::print("{:>10} us  {}\n", (now_ - Clock::time_point(std::chrono::hours(1))) / std::chrono::microseconds(1),
                   what);
    }
    void tell_all() { telling_ = true; }

    /// The first broken promise; nothing runs after it.
    void violate(std::string what) {
        if (violation_.empty()) violation_ = std::move(what);
    }
    const std::string& violation() const { return violation_; }

  private:
    struct Event {
        Clock::time_point when;
        std::uint64_t order;
        std::function<void()> what;
        bool operator<(const Event& other) const {
            return when != other.when ? when > other.when : order > other.order;
        }
    };

    std::mt19937_64 random_;
    Clock::time_point now_{std::chrono::hours(1)};
    std::uint64_t count_ = 0;
    std::priority_queue<Event> events_;
    std::string violation_;
    bool telling_ = false;
};

}  // namespace turnout::simulation
