// What Prometheus reads. Control publishes a snapshot once a second and observes each switch; the text is made from
// them when it is asked for, on any thread, without a question to servers or sessions.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/data_plane.hpp"

namespace turnout::control {

/// What the gauges and totals show.
struct MetricsSnapshot {
    DataPlaneCounters counters;
    std::optional<Side> active;  ///< nothing: nobody is served
    std::uint64_t generation = 0;
    std::map<std::string, std::uint64_t> lag_bytes;  ///< by database; missing: not known
};

/// One switch or rollback, when it is over.
struct SwitchObservation {
    std::string_view outcome;            ///< "switched", "rolled_back", "given_up", "refused", "uncertain"
    std::optional<Microseconds> window;  ///< gate closed to gate open; of the attempt that switched
    std::vector<std::pair<std::string_view, Microseconds>> phases;
    std::vector<Microseconds> stalls;  ///< one per held session
};

/// Thread-safe.
class Metrics {
  public:
    explicit Metrics(std::string version);
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    void publish(MetricsSnapshot snapshot);
    void observe(const SwitchObservation& observation);
    /// The last RELOAD could not be taken over, or could.
    void config_load_failed(bool failed) { config_load_failed_.store(failed, std::memory_order_relaxed); }

    /// Prometheus' text format, version 0.0.4.
    std::string text() const;

    /// The side that is served, as last published.
    std::optional<Side> active() const;
    const std::string& version() const { return version_; }

  private:
    struct Switches;

    std::string version_;
    std::atomic<bool> config_load_failed_{false};
    mutable std::mutex mutex_;
    MetricsSnapshot snapshot_;
    std::unique_ptr<Switches> switches_;
};

}  // namespace turnout::control
