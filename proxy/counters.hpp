// What a worker counts. Written by its own thread only, read by any: relaxed atomics without read-modify-write.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "control/data_plane.hpp"

namespace turnout::proxy {

/// A counter with one writer.
class Count {
  public:
    void add(std::uint64_t n = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void subtract(std::uint64_t n = 1) {
        value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
    }
    std::uint64_t load(std::memory_order order = std::memory_order_relaxed) const { return value_.load(order); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// What a session is doing, in the order of DataPlaneCounters::sessions.
enum class Phase : std::uint8_t { login, idle, active, in_transaction, held };

/// control::DatabaseCounters, of one worker.
struct DatabaseCounts {
    Count assignments, queries, transactions, client_bytes, server_bytes, parses, binds;
    Count transaction_microseconds, query_microseconds, wait_microseconds;

    void add_to(control::DatabaseCounters& sum) const {
        sum.assignments += assignments.load();
        sum.queries += queries.load();
        sum.transactions += transactions.load();
        sum.client_bytes += client_bytes.load();
        sum.server_bytes += server_bytes.load();
        sum.parses += parses.load();
        sum.binds += binds.load();
        sum.transaction_microseconds += transaction_microseconds.load();
        sum.query_microseconds += query_microseconds.load();
        sum.wait_microseconds += wait_microseconds.load();
    }
};

struct WorkerCounters {
    Count clients;                ///< gauge
    std::array<Count, 5> phases;  ///< gauges, by Phase
    Count logins, logins_failed, cancels, moves, moves_failed, moves_recovered, ended;
    std::array<std::array<Count, control::DataPlaneCounters::kQuerySecondsBounds.size() + 1>, 2> query_buckets;
    std::array<Count, 2> query_microseconds;
    std::array<Count, 2> query_errors;
    std::array<Count, control::DataPlaneCounters::kQuerySecondsBounds.size() + 1> move_buckets;
    Count move_microseconds;

    /// Those of a database; they stay where they are as long as the worker lives. By the worker's own thread.
    DatabaseCounts& of(const std::string& database) {
        const std::lock_guard lock(mutex_);
        return databases_[database];
    }

    static std::size_t bucket_of(control::Microseconds time) {
        const double seconds = static_cast<double>(time.count()) * 1e-6;
        std::size_t bucket = 0;
        while (bucket < control::DataPlaneCounters::kQuerySecondsBounds.size() &&
               seconds > control::DataPlaneCounters::kQuerySecondsBounds[bucket]) {
            ++bucket;
        }
        return bucket;
    }

    void move_took(control::Microseconds time) {
        move_buckets[bucket_of(time)].add();
        move_microseconds.add(static_cast<std::uint64_t>(time.count()));
    }

    void query_took(Side side, control::Microseconds time) {
        query_buckets[index(side)][bucket_of(time)].add();
        query_microseconds[index(side)].add(static_cast<std::uint64_t>(time.count()));
    }

    void add_to(control::DataPlaneCounters& sum) const {
        sum.logins += logins.load();
        sum.logins_failed += logins_failed.load();
        sum.cancels += cancels.load();
        sum.moves += moves.load();
        sum.moves_failed += moves_failed.load();
        sum.moves_recovered += moves_recovered.load();
        sum.sessions_ended += ended.load();
        for (std::size_t bucket = 0; bucket < move_buckets.size(); ++bucket) {
            sum.move_buckets[bucket] += move_buckets[bucket].load();
        }
        sum.move_microseconds += move_microseconds.load();
        for (std::size_t phase = 0; phase < phases.size(); ++phase) sum.sessions[phase] += phases[phase].load();
        for (std::size_t side = 0; side < 2; ++side) {
            for (std::size_t bucket = 0; bucket < query_buckets[side].size(); ++bucket) {
                sum.query_buckets[side][bucket] += query_buckets[side][bucket].load();
            }
            sum.query_microseconds[side] += query_microseconds[side].load();
            sum.query_errors[side] += query_errors[side].load();
        }
        add_databases_to(sum);
    }

  private:
    void add_databases_to(control::DataPlaneCounters& sum) const {
        const std::lock_guard lock(mutex_);
        for (const auto& [name, counts] : databases_) {
            counts.add_to(sum.databases[name]);
            sum.queries += counts.queries.load();
            sum.transactions += counts.transactions.load();
            sum.client_bytes += counts.client_bytes.load();
            sum.server_bytes += counts.server_bytes.load();
        }
    }

    mutable std::mutex mutex_;  ///< of the map, not of what is in it
    std::map<std::string, DatabaseCounts> databases_;
};

}  // namespace turnout::proxy
