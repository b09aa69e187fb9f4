#include "control/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

namespace turnout::control {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

double seconds(Microseconds duration) { return std::chrono::duration<double>(duration).count(); }

/// From 100 µs, the cost of a round trip or two, to the longest max_pause anybody would allow.
const prometheus::Histogram::BucketBoundaries kWindowBounds{0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075,
                                                            0.01,   0.025,   0.05,   0.1,   0.25,  0.5,   1.0,   2.5};

ClientMetric sample(double value, MetricType type, std::vector<ClientMetric::Label> labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (type == MetricType::Counter)
        metric.counter.value = value;
    else
        metric.gauge.value = value;
    return metric;
}

MetricFamily family(std::string name, std::string help, MetricType type) {
    return {std::move(name), std::move(help), type, {}};
}

void add(std::vector<MetricFamily>& families, std::string name, std::string help, MetricType type, double value) {
    families.push_back(family(std::move(name), std::move(help), type));
    families.back().metric.push_back(sample(value, type));
}

void add_totals(std::vector<MetricFamily>& families, const DataPlaneCounters& counters) {
    const struct {
        const char* name;
        const char* help;
        std::uint64_t value;
    } totals[] = {
        {"turnout_logins_total", "Sessions whose login succeeded.", counters.logins},
        {"turnout_login_failures_total", "Sessions whose login failed.", counters.logins_failed},
        {"turnout_queries_total", "Answered requests: ReadyForQuery messages after something was asked.",
         counters.queries},
        {"turnout_transactions_total", "Transactions ended.", counters.transactions},
        {"turnout_client_received_bytes_total", "Bytes received from clients.", counters.client_bytes},
        {"turnout_server_received_bytes_total", "Bytes received from servers.", counters.server_bytes},
        {"turnout_cancels_total", "Cancel requests of clients.", counters.cancels},
        {"turnout_moves_total", "Sessions moved from one side to the other.", counters.moves},
        {"turnout_moves_recovered_total",
         "Statements run again and transactions taken over by a move, unnoticed by their clients.",
         counters.moves_recovered},
        {"turnout_move_failures_total", "Sessions that could not be moved and were told so.", counters.moves_failed},
        {"turnout_sessions_ended_total", "Sessions ended by the policy for pinned ones.", counters.sessions_ended},
    };
    for (const auto& total : totals)
        add(families, total.name, total.help, MetricType::Counter, static_cast<double>(total.value));
}

void add_sessions(std::vector<MetricFamily>& families, const DataPlaneCounters& counters) {
    constexpr std::array<const char*, 5> kStates{"login", "idle", "active", "in_transaction", "held"};
    families.push_back(family("turnout_sessions", "Sessions now, by state.", MetricType::Gauge));
    for (std::size_t i = 0; i < kStates.size(); ++i)
        families.back().metric.push_back(
            sample(static_cast<double>(counters.sessions[i]), MetricType::Gauge, {{"state", kStates[i]}}));
}

prometheus::ClientMetric::Histogram histogram(const std::array<std::uint64_t, 15>& buckets,
                                              std::uint64_t microseconds) {
    prometheus::ClientMetric::Histogram histogram;
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
        cumulative += buckets[i];
        const double bound = i < DataPlaneCounters::kQuerySecondsBounds.size()
                                 ? DataPlaneCounters::kQuerySecondsBounds[i]
                                 : std::numeric_limits<double>::infinity();
        histogram.bucket.push_back({cumulative, bound});
    }
    histogram.sample_count = cumulative;
    histogram.sample_sum = seconds(Microseconds(microseconds));
    return histogram;
}

void add_move_seconds(std::vector<MetricFamily>& families, const DataPlaneCounters& counters) {
    families.push_back(family("turnout_move_seconds",
                              "Time from a move's first question to its change-over, of moves that succeeded.",
                              MetricType::Histogram));
    ClientMetric metric;
    metric.histogram = histogram(counters.move_buckets, counters.move_microseconds);
    families.back().metric.push_back(std::move(metric));
}

void add_query_seconds(std::vector<MetricFamily>& families, const DataPlaneCounters& counters) {
    families.push_back(family("turnout_query_seconds",
                              "Time from a request's first byte to its ReadyForQuery, by side.",
                              MetricType::Histogram));
    for (const Side side : {Side::blue, Side::green}) {
        ClientMetric metric;
        metric.label = {{"side", std::string(name(side))}};
        metric.histogram = histogram(counters.query_buckets[index(side)], counters.query_microseconds[index(side)]);
        families.back().metric.push_back(std::move(metric));
    }
}

void add_query_errors(std::vector<MetricFamily>& families, const DataPlaneCounters& counters) {
    families.push_back(family("turnout_query_errors_total",
                              "Errors of servers that clients were told of, and lost connections, by side.",
                              MetricType::Counter));
    for (const Side side : {Side::blue, Side::green})
        families.back().metric.push_back(sample(static_cast<double>(counters.query_errors[index(side)]),
                                                MetricType::Counter, {{"side", std::string(name(side))}}));
}

void add_sides(std::vector<MetricFamily>& families, const MetricsSnapshot& snapshot) {
    families.push_back(family("turnout_active_side", "1 for the side that serves the clients.", MetricType::Gauge));
    for (const Side side : {Side::blue, Side::green})
        families.back().metric.push_back(
            sample(snapshot.active == side ? 1 : 0, MetricType::Gauge, {{"side", std::string(name(side))}}));
    add(families, "turnout_generation", "Generation of the active side: counts switches.", MetricType::Gauge,
        static_cast<double>(snapshot.generation));
    if (snapshot.lag_bytes.empty()) return;
    families.push_back(family("turnout_replication_lag_bytes",
                              "WAL of the active side that the standby has not applied.", MetricType::Gauge));
    for (const auto& [database, bytes] : snapshot.lag_bytes)
        families.back().metric.push_back(
            sample(static_cast<double>(bytes), MetricType::Gauge, {{"database", database}}));
}

/// By the names that Prometheus' own client libraries use.
void add_process(std::vector<MetricFamily>& families) {
    std::error_code gone;
    double descriptors = 0;
    for (auto it = std::filesystem::directory_iterator("/proc/self/fd", gone);
         !gone && it != std::filesystem::directory_iterator(); it.increment(gone))
        ++descriptors;
    double pages_in_all = 0;
    double pages_resident = 0;
    std::ifstream("/proc/self/statm") >> pages_in_all >> pages_resident;
    add(families, "process_open_fds", "Number of open file descriptors.", MetricType::Gauge, descriptors);
    add(families, "process_resident_memory_bytes", "Resident memory size in bytes.", MetricType::Gauge,
        pages_resident * static_cast<double>(::sysconf(_SC_PAGESIZE)));
}

}  // namespace

struct Metrics::Switches {
    prometheus::Registry registry;
    prometheus::Family<prometheus::Counter>& outcomes = prometheus::BuildCounter()
                                                            .Name("turnout_switches_total")
                                                            .Help("Switches and rollbacks, by outcome.")
                                                            .Register(registry);
    prometheus::Histogram& window = prometheus::BuildHistogram()
                                        .Name("turnout_switch_window_seconds")
                                        .Help("Gate closed to gate open, of switches that succeeded.")
                                        .Register(registry)
                                        .Add({}, kWindowBounds);
    prometheus::Family<prometheus::Histogram>& phases = prometheus::BuildHistogram()
                                                            .Name("turnout_switch_phase_seconds")
                                                            .Help("Phases of the window.")
                                                            .Register(registry);
    prometheus::Histogram& stalls = prometheus::BuildHistogram()
                                        .Name("turnout_session_stall_seconds")
                                        .Help("What held sessions waited because of a switch.")
                                        .Register(registry)
                                        .Add({}, kWindowBounds);
};

Metrics::Metrics(std::string version) : version_(std::move(version)), switches_(std::make_unique<Switches>()) {
    // A counter that is there from the start can be alerted on; one that appears with its first event cannot.
    for (const char* outcome : {"switched", "rolled_back", "given_up", "refused", "uncertain"})
        switches_->outcomes.Add({{"outcome", outcome}});
}

Metrics::~Metrics() = default;

void Metrics::publish(MetricsSnapshot snapshot) {
    const std::lock_guard lock(mutex_);
    snapshot_ = std::move(snapshot);
}

void Metrics::observe(const SwitchObservation& observation) {
    switches_->outcomes.Add({{"outcome", std::string(observation.outcome)}}).Increment();
    if (observation.window) switches_->window.Observe(seconds(*observation.window));
    for (const auto& [phase, duration] : observation.phases)
        switches_->phases.Add({{"phase", std::string(phase)}}, kWindowBounds).Observe(seconds(duration));
    for (const Microseconds stall : observation.stalls) switches_->stalls.Observe(seconds(stall));
}

std::string Metrics::text() const {
    MetricsSnapshot snapshot;
    {
        const std::lock_guard lock(mutex_);
        snapshot = snapshot_;
    }
    std::vector<MetricFamily> families;
    families.push_back(family("turnout_build_info", "Always 1; the version is a label.", MetricType::Gauge));
    families.back().metric.push_back(sample(1, MetricType::Gauge, {{"version", version_}}));
    add(families, "turnout_config_load_failed",
        "1 while the configuration that was last to be loaded is not in force, because it could not be taken over.",
        MetricType::Gauge, config_load_failed_.load(std::memory_order_relaxed) ? 1 : 0);
    add_sides(families, snapshot);
    add_sessions(families, snapshot.counters);
    add_totals(families, snapshot.counters);
    add_query_seconds(families, snapshot.counters);
    add_query_errors(families, snapshot.counters);
    add_move_seconds(families, snapshot.counters);
    add_process(families);
    auto observed = switches_->registry.Collect();
    families.insert(families.end(), std::make_move_iterator(observed.begin()), std::make_move_iterator(observed.end()));
    return prometheus::TextSerializer().Serialize(families);
}

std::optional<Side> Metrics::active() const {
    const std::lock_guard lock(mutex_);
    return snapshot_.active;
}

}  // namespace turnout::control
