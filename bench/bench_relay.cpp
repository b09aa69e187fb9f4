// What it costs to have a proxy in front of everything: pgbench by way of turnout, of its peers, of a bare relay and of
// nobody, in turns, so that a noisy machine is noisy for all.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <regex>

#include "bench/bench_main.hpp"
#include "bench/cpu_time.hpp"
#include "bench/peers.hpp"
#include "bench/program.hpp"
#include "bench/terminal.hpp"
#include "bench/waits.hpp"

namespace {

using namespace turnout;
using namespace turnout::bench;

namespace fs = std::filesystem;

/// The most connections, twice: those of the run before may not have ended yet when the next ones come.
constexpr unsigned kServerSessions = 2 * 512;

/// What pgbench does.
struct Load {
    std::string script;    ///< of pgbench's own: select-only or tpcb-like
    std::string protocol;  ///< simple, extended or prepared
    unsigned connections = 1;
    bool tls = false;
    std::string text() const {
        return fmt::format("{}, {}, {} connection{}, {}", script, protocol, connections, connections == 1 ? "" : "s",
                           tls ? "TLS" : "plain");
    }
};

struct Options : BenchOptions {
    unsigned seconds = 4;
    unsigned repetitions = 3;
    unsigned scale = 20;
    std::string only;
    fs::path before;
    bool all = false;
};

/// One run.
struct Sample {
    double per_second = 0;
    double p50 = 0;  ///< µs
    double p99 = 0;  ///< µs
    double cpu = 0;  ///< µs of the proxy for each transaction
};

struct Figures {
    Load load;
    std::string peer;
    std::vector<Sample> samples;
};

/// Those that the promises are about; or every combination.
std::vector<Load> loads(bool all) {
    if (!all) {
        return {{"select-only", "prepared", 1},       {"select-only", "prepared", 8}, {"select-only", "prepared", 64},
                {"select-only", "prepared", 512},     {"select-only", "simple", 8},   {"select-only", "extended", 8},
                {"select-only", "prepared", 8, true}, {"tpcb-like", "prepared", 8}};
    }
    std::vector<Load> every;
    for (const bool tls : {false, true})
        for (const char* script : {"select-only", "tpcb-like"})
            for (const char* protocol : {"simple", "extended", "prepared"})
                for (const unsigned connections : {1U, 8U, 64U, 512U})
                    every.push_back({script, protocol, connections, tls});
    return every;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values.empty() ? 0 : values[values.size() / 2];
}

/// Transactions' latencies in µs: the third column of pgbench's logs.
std::vector<Microseconds> read_latencies(const fs::path& directory) {
    std::vector<Microseconds> all;
    for (const auto& entry : fs::directory_iterator(directory)) {
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);) {
            long client = 0;
            long number = 0;
            long long latency = 0;
            if (std::sscanf(line.c_str(), "%ld %ld %lld", &client, &number, &latency) == 3) all.emplace_back(latency);
        }
    }
    return all;
}

class RelayBench {
  public:
    RelayBench(Options options, Terminal& terminal)
        : options_(std::move(options)), terminal_(terminal), stage_(options_.major, kServerSessions) {}

    void run() {
        terminal_.live("filling pgbench's tables, starting everyone");
        std::vector<std::string> missing;
        auto peers = stage_.everyone(options_.program, missing);
        if (!options_.before.empty()) {
            for (const unsigned workers : {1U, 2U})
                peers.push_back(
                    std::make_unique<Peer>(fmt::format("before, {} worker{}", workers, workers == 1 ? "" : "s"),
                                           stage_.served_options(options_.before, workers)));
        }
        must_run({.arguments = {client_program("pgbench"), "-q", "-i", "-s", std::to_string(options_.scale),
                                stage_.conninfo(*peers.front())}});
        for (const Load& load : loads(options_.all)) {
            if (load.text().find(options_.only) != std::string::npos) measure(load, peers);
        }
        if (!missing.empty()) terminal_.line(fmt::format("not installed: {}", fmt::join(missing, ", ")));
        write_figures();
    }

  private:
    void measure(const Load& load, const std::vector<std::unique_ptr<Peer>>& peers) {
        std::vector<Figures> figures;
        for (const auto& peer : peers) figures.push_back({load, peer->name(), {}});
        for (unsigned i = 0; i < options_.repetitions; ++i) {
            for (std::size_t p = 0; p < peers.size(); ++p) {
                terminal_.live(
                    fmt::format("{}: {} ({} of {})", load.text(), peers[p]->name(), i + 1, options_.repetitions));
                peers[p]->begin();
                figures[p].samples.push_back(sample(load, *peers[p]));
                peers[p]->end();
            }
        }
        tell(load, figures);
        all_.insert(all_.end(), figures.begin(), figures.end());
    }

    /// Of a run of pgbench.
    struct Cost {
        Exit exit;
        std::chrono::nanoseconds cpu;  ///< of the proxy
        std::chrono::nanoseconds took;
    };

    Cost run_pgbench(const Load& load, const Peer& peer, const std::vector<std::string>& how_long) {
        std::vector<std::string> arguments{client_program("pgbench"),
                                           "-n",
                                           "-b",
                                           load.script,
                                           "-M",
                                           load.protocol,
                                           "-c",
                                           std::to_string(load.connections),
                                           "-j",
                                           std::to_string(std::min(load.connections, 2U))};
        arguments.insert(arguments.end(), how_long.begin(), how_long.end());
        arguments.push_back(stage_.conninfo(peer, load.tls));
        const auto cpu = [&] { return peer.pid() == 0 ? std::chrono::nanoseconds(0) : cpu_time(peer.pid()); };
        const auto began = std::chrono::steady_clock::now();
        const auto before = cpu();
        Exit exit = must_run({.arguments = std::move(arguments)});
        return {std::move(exit), cpu() - before, std::chrono::steady_clock::now() - began};
    }

    /// pgbench's time runs from before its connections are made, and the proxy's from its start: so what it takes to
    /// log everyone in, with one transaction each, is measured first, given to the one and taken from the other.
    Sample sample(const Load& load, const Peer& peer) {
        const Cost login = run_pgbench(load, peer, {"-t", "1"});
        const auto seconds = options_.seconds + std::chrono::round<std::chrono::seconds>(login.took).count();
        std::string directory = (fs::temp_directory_path() / "turnout-pgbench-XXXXXX").string();
        if (::mkdtemp(directory.data()) == nullptr) throw std::runtime_error("cannot make a directory");
        const Cost all =
            run_pgbench(load, peer, {"-T", std::to_string(seconds), "--log", "--log-prefix=" + directory + "/log"});
        const Distribution latencies = distribution_of(read_latencies(directory));
        fs::remove_all(directory);
        std::smatch found;
        if (latencies.count <= load.connections ||
            !std::regex_search(all.exit.out, found, std::regex("tps = ([0-9.]+)")))
            throw std::runtime_error("pgbench by way of " + peer.name() + " told no figures: " + all.exit.out +
                                     all.exit.err);
        return {std::stod(found[1]), static_cast<double>(latencies.p50.count()),
                static_cast<double>(latencies.p99.count()),
                static_cast<double>((all.cpu - login.cpu).count()) / 1e3 /
                    static_cast<double>(latencies.count - load.connections)};
    }

    static std::vector<double> column(const Figures& figures, double Sample::*which) {
        std::vector<double> values;
        for (const Sample& sample : figures.samples) values.push_back(sample.*which);
        return values;
    }

    static std::string spread(const std::vector<double>& values) {
        const auto [low, high] = std::minmax_element(values.begin(), values.end());
        return fmt::format("{:.1f} ({:.1f} to {:.1f})", median(values), *low, *high);
    }

    void tell(const Load& load, const std::vector<Figures>& figures) {
        terminal_.heading(load.text());
        std::vector<std::vector<std::string>> rows{
            {"", "transactions/s", "p50 µs", "p99 µs", "proxy's CPU µs/transaction"}};
        for (const Figures& it : figures) {
            rows.push_back({it.peer, spread(column(it, &Sample::per_second)),
                            fmt::format("{:.0f}", median(column(it, &Sample::p50))),
                            fmt::format("{:.0f}", median(column(it, &Sample::p99))),
                            it.peer == "direct" ? "" : spread(column(it, &Sample::cpu))});
        }
        terminal_.table(rows);
    }

    void write_figures() const {
        boost::json::array found;
        for (const Figures& it : all_) {
            boost::json::array samples;
            for (const Sample& one : it.samples)
                samples.push_back(
                    {{"tps", one.per_second}, {"p50_us", one.p50}, {"p99_us", one.p99}, {"cpu_us", one.cpu}});
            found.push_back({{"script", it.load.script},
                             {"protocol", it.load.protocol},
                             {"connections", it.load.connections},
                             {"tls", it.load.tls},
                             {"peer", it.peer},
                             {"samples", samples}});
        }
        write_json(options_, found);
    }

    Options options_;
    Terminal& terminal_;
    PeerStage stage_;
    std::vector<Figures> all_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    return bench_main(
        argc, argv, "Measures pgbench by way of turnout, of its peers, of a bare relay and of nobody.", options,
        [&](CLI::App& app) {
            app.add_option("--seconds", options.seconds, "of one run of pgbench")->capture_default_str();
            app.add_option("--repetitions", options.repetitions, "of each, in turns")->capture_default_str();
            app.add_option("--only", options.only, "loads whose name has these words");
            app.add_option("--before", options.before, "another build of turnout, to be measured in the same turns")
                ->check(CLI::ExistingFile);
            app.add_flag("--all", options.all,
                         "every script, protocol, number of connections and transport: over an hour");
        },
        [&](Terminal& terminal) {
            RelayBench(options, terminal).run();
            return 0;
        });
}
