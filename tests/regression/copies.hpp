// Two servers that are logical copies of each other, and `turnout serve`, which switches between them while tests run.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/served.hpp"
#include "tests/regression/suite.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::regression {

/// What became of the verbs `switch` and `rollback`.
struct CopiesTotals {
    std::uint64_t switches = 0;
    std::uint64_t refused = 0;  ///< no side was changed: the schemas differed just then, or a session was pinned
    std::uint64_t moved = 0;    ///< sessions, each as often as it was
    std::string last_refusal;   ///< as the verb printed it; with the proxy's log, if that has ended by itself
};

/// Makes in the suite's database what its other tests begin with (`test_setup`), with a replica identity for each
/// table, so that it can be replicated. The same wherever results are to be compared.
void prepare(const support::Cluster& server, const SuiteFiles& files);

/// A server that was prepared, its copy, and the proxy. From start() to stop() it switches forth and back, as often as
/// it can.
class Copies {
  public:
    Copies(const support::Cluster& prepared, const SuiteFiles& files, const std::filesystem::path& program);
    ~Copies() { halt(); }
    Copies(const Copies&) = delete;
    Copies& operator=(const Copies&) = delete;

    std::uint16_t port() const { return turnout_->port(); }
    void start();
    /// How often the side has changed by now.
    std::uint64_t switches() const { return switches_; }
    CopiesTotals stop();

  private:
    void run();
    void halt();

    std::unique_ptr<support::Cluster> standby_;
    std::unique_ptr<bench::Served> turnout_;
    std::thread thread_;
    std::atomic<bool> ending_{false};
    std::atomic<std::uint64_t> switches_{0};
    CopiesTotals totals_;  ///< of thread_ while that runs
};

/// Settings of servers that are to switch often: a stream that was turned round begins at once.
std::vector<std::pair<std::string, std::string>> copies_settings();

}  // namespace turnout::regression
