// How what a transaction costs the proxy grows with the sessions that are connected and idle beside it: with one
// registration for each socket it should not.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/json.hpp>
#include <regex>
#include <sstream>

#include "bench/bench_main.hpp"
#include "bench/cpu_time.hpp"
#include "bench/interrupt.hpp"
#include "bench/peers.hpp"
#include "bench/pq.hpp"
#include "bench/program.hpp"

namespace {

using namespace turnout;
using namespace turnout::bench;

struct Options : BenchOptions {
    std::vector<unsigned> sessions{10, 100, 1000, 5000};
    unsigned connections = 8;
    unsigned seconds = 3;
    unsigned repetitions = 3;
};

struct Sample {
    double per_second = 0;
    double cpu = 0;  ///< µs of the proxy for each transaction
};

/// This process holds the idle sessions.
void raise_descriptor_limit() {
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
}

class ScaleBench {
  public:
    ScaleBench(Options options, Terminal& terminal)
        : options_(std::move(options)),
          terminal_(terminal),
          stage_(options_.major, *std::max_element(options_.sessions.begin(), options_.sessions.end()) + 100),
          peer_("turnout, 1 worker", stage_.served_options(options_.program, 1)) {}

    void run() {
        raise_descriptor_limit();
        terminal_.live("filling pgbench's tables");
        const Peer direct("direct", stage_.server());
        must_run({.arguments = {client_program("pgbench"), "-q", "-i", "-s", "10", stage_.conninfo(direct)}});
        peer_.begin();
        std::sort(options_.sessions.begin(), options_.sessions.end());
        std::vector<Connection> idle;
        std::vector<std::vector<std::string>> rows{
            {"idle sessions", "transactions/s", "proxy's CPU µs/transaction", "of the first"}};
        double first = 0;
        for (const unsigned sessions : options_.sessions) {
            open(idle, sessions);
            std::vector<Sample> samples;
            for (unsigned i = 0; i < options_.repetitions; ++i) samples.push_back(sample());
            const double cpu = median(samples, &Sample::cpu);
            if (first == 0) first = cpu;
            rows.push_back({std::to_string(sessions), fmt::format("{:.0f}", median(samples, &Sample::per_second)),
                            fmt::format("{:.1f}", cpu), fmt::format("{:.2f}", cpu / first)});
            for (const Sample& one : samples)
                figures_.push_back({{"sessions", sessions}, {"tps", one.per_second}, {"cpu_us", one.cpu}});
        }
        idle.clear();
        peer_.end();
        terminal_.heading(fmt::format("select-only, prepared, {} connections beside idle ones", options_.connections));
        terminal_.table(rows);
        write_json(options_, figures_);
    }

  private:
    void open(std::vector<Connection>& idle, unsigned sessions) {
        while (idle.size() < sessions) {
            check_interrupted();
            terminal_.live(fmt::format("{} of {} sessions", idle.size(), sessions));
            idle.push_back(connect(stage_.conninfo(peer_)));
            bench::run(idle.back().get(), "SELECT 1");
        }
    }

    Sample sample() {
        terminal_.live("pgbench");
        const auto before = cpu_time(peer_.pid());
        const Exit exit = must_run({.arguments = {client_program("pgbench"), "-n", "-b", "select-only", "-M",
                                                  "prepared", "-c", std::to_string(options_.connections), "-j", "2",
                                                  "-T", std::to_string(options_.seconds), stage_.conninfo(peer_)}});
        const auto used = cpu_time(peer_.pid()) - before;
        std::smatch tps, count;
        if (!std::regex_search(exit.out, tps, std::regex("tps = ([0-9.]+)")) ||
            !std::regex_search(exit.out, count, std::regex("actually processed: ([0-9]+)")))
            throw std::runtime_error("pgbench told no figures: " + exit.out + exit.err);
        return {std::stod(tps[1]), static_cast<double>(used.count()) / 1e3 / std::stod(count[1])};
    }

    static double median(const std::vector<Sample>& samples, double Sample::*which) {
        std::vector<double> values;
        for (const Sample& sample : samples) values.push_back(sample.*which);
        std::sort(values.begin(), values.end());
        return values[values.size() / 2];
    }

    Options options_;
    Terminal& terminal_;
    PeerStage stage_;
    Peer peer_;
    boost::json::array figures_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    return bench_main(
        argc, argv, "Measures how a transaction's cost grows with the number of idle sessions.", options,
        [&](CLI::App& app) {
            app.add_option("--sessions", options.sessions, "idle at once, one figure for each")->capture_default_str();
            app.add_option("--connections", options.connections, "that work")->capture_default_str();
            app.add_option("--seconds", options.seconds, "of one run of pgbench")->capture_default_str();
            app.add_option("--repetitions", options.repetitions, "with each number")->capture_default_str();
        },
        [&](Terminal& terminal) {
            ScaleBench(options, terminal).run();
            return 0;
        });
}
