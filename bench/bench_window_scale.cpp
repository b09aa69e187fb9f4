// How the window grows with what the servers hold: tables, sequences (and such as were never used, which are asked in
// another way), databases. For each number two fresh servers, a copy, and switches back and forth without load, so that
// nothing but the number makes the difference.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <future>
#include <map>

#include "bench/bench_main.hpp"
#include "bench/interrupt.hpp"
#include "bench/json_fields.hpp"
#include "bench/ledger.hpp"
#include "bench/pq.hpp"
#include "bench/served.hpp"
#include "bench/terminal.hpp"
#include "tests/support/cluster.hpp"

namespace {

using namespace turnout;
using namespace turnout::bench;

struct Options : BenchOptions {
    int green = 17;
    std::vector<unsigned> tables{10, 200, 2000};
    std::vector<unsigned> sequences{10, 200, 2000};
    std::vector<unsigned> unused{200, 2000};
    std::vector<unsigned> databases{1, 5, 20};
    unsigned switches = 10;
};

/// What the servers hold.
struct Contents {
    unsigned tables = 10;
    unsigned sequences = 10;
    unsigned unused = 0;  ///< sequences that never gave a number
    unsigned databases = 1;
};

/// One size and its switches.
struct Point {
    std::string dimension;
    unsigned size = 0;
    std::vector<Microseconds> windows;
    std::map<std::string, std::vector<Microseconds>> phases;
};

std::unique_ptr<support::Cluster> make_server(int major, const std::string& name, const Contents& contents) {
    support::ClusterOptions options;
    options.major = major;
    options.name = name;
    options.settings = {{"shared_buffers", "256MB"},
                        {"max_wal_size", "4GB"},
                        {"max_connections", "400"},
                        {"max_locks_per_transaction", "512"},
                        {"max_worker_processes", std::to_string(20 + 4 * contents.databases)},
                        {"max_logical_replication_workers", std::to_string(8 + 3 * contents.databases)},
                        {"max_sync_workers_per_subscription", "4"},
                        {"max_replication_slots", std::to_string(20 + 6 * contents.databases)},
                        {"max_wal_senders", std::to_string(20 + 6 * contents.databases)}};
    return std::make_unique<support::Cluster>(std::move(options));
}

std::string database_name(unsigned i) { return fmt::format("app{}", i); }

void fill(support::Cluster& server, const Contents& contents) {
    for (unsigned i = 0; i < contents.databases; ++i) {
        server.execute("CREATE DATABASE " + database_name(i));
        server.execute(fmt::format("DO $$BEGIN "
                                   "FOR i IN 1..{} LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, n int)', "
                                   "i); END LOOP; "
                                   "FOR i IN 1..{} LOOP EXECUTE format('CREATE SEQUENCE s%s', i); "
                                   "PERFORM nextval('s' || i); END LOOP; "
                                   "FOR i IN 1..{} LOOP EXECUTE format('CREATE SEQUENCE u%s', i); END LOOP; END$$",
                                   contents.tables, contents.sequences, contents.unused),
                       database_name(i));
    }
}

class ScaleBench {
  public:
    ScaleBench(Options options, Terminal& terminal) : options_(std::move(options)), terminal_(terminal) {}

    int run() {
        std::vector<Point> all;
        for (const unsigned n : options_.tables) all.push_back(measure("tables", n, {.tables = n}));
        for (const unsigned n : options_.sequences) all.push_back(measure("sequences", n, {.sequences = n}));
        for (const unsigned n : options_.unused) all.push_back(measure("unused sequences", n, {.unused = n}));
        for (const unsigned n : options_.databases) all.push_back(measure("databases", n, {.databases = n}));
        tell(all);
        write_figures(all);
        return 0;
    }

  private:
    Point measure(const std::string& dimension, unsigned size, Contents contents);
    void tell(const std::vector<Point>& all);
    void write_figures(const std::vector<Point>& all) const;

    Options options_;
    Terminal& terminal_;
};

Point ScaleBench::measure(const std::string& dimension, unsigned size, Contents contents) {
    Point point{.dimension = dimension, .size = size};
    const std::string title = fmt::format("{} {}", size, dimension);
    terminal_.live(title + ": starting two servers, filling one, copying");
    auto green_later = std::async(std::launch::async, make_server, options_.green, "green", contents);
    const auto blue = make_server(options_.major, "blue", contents);
    const auto green = green_later.get();
    fill(*blue, contents);
    ServedOptions served;
    served.program = options_.program;
    served.blue = blue->conninfo("");
    served.green = green->conninfo("");
    served.databases.clear();
    for (unsigned i = 0; i < contents.databases; ++i) served.databases.push_back(database_name(i));
    const Served turnout(std::move(served));
    turnout.report({"sync"}, [&](std::string_view line) { terminal_.live(fmt::format("{}: {}", title, line)); });
    for (unsigned i = 1; i <= options_.switches; ++i) {
        check_interrupted();
        terminal_.live(fmt::format("{}: switch {} of {}", title, i, options_.switches));
        const boost::json::object report = turnout.change();
        point.windows.emplace_back(integer(report, "window_us"));
        for (const std::string& name : phase_names(report)) point.phases[name].emplace_back(phase_us(report, name));
    }
    return point;
}

void ScaleBench::tell(const std::vector<Point>& all) {
    terminal_.heading(
        fmt::format("{} switches for each, no load, PostgreSQL {} and {}, fsync on, µs: p50 / max; phases' p50",
                    options_.switches, options_.major, options_.green));
    std::vector<std::vector<std::string>> rows;
    Microseconds least{0};
    for (const Point& point : all) {
        const Distribution window = distribution_of(point.windows);
        if (&point == &all.front() || (&point - 1)->dimension != point.dimension) least = window.p50;
        std::vector<std::string> phases;
        for (const auto& [name, times] : point.phases) {
            phases.push_back(fmt::format("{} {}", name, grouped(distribution_of(times).p50.count())));
        }
        rows.push_back(
            {fmt::format("{} {}", point.size, point.dimension),
             fmt::format("{} / {}", grouped(window.p50.count()), grouped(window.max.count())),
             fmt::format("{:.1f} times the first", static_cast<double>(window.p50.count()) /
                                                       static_cast<double>(std::max<std::int64_t>(least.count(), 1))),
             fmt::format("{}", fmt::join(phases, ", "))});
    }
    terminal_.table(rows);
}

void ScaleBench::write_figures(const std::vector<Point>& all) const {
    boost::json::array list;
    for (const Point& point : all) {
        boost::json::array windows;
        for (const Microseconds window : point.windows) windows.emplace_back(window.count());
        list.push_back({{"dimension", point.dimension}, {"size", point.size}, {"window_us", windows}});
    }
    write_json(options_, list);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    return bench_main(
        argc, argv, "Measures how the window grows with tables, sequences and databases.", options,
        [&](CLI::App& app) {
            app.add_option("--green", options.green, "major version of green")->capture_default_str();
            app.add_option("--tables", options.tables, "numbers of tables")->capture_default_str();
            app.add_option("--sequences", options.sequences, "numbers of sequences")->capture_default_str();
            app.add_option("--unused", options.unused, "numbers of sequences that were never used")
                ->capture_default_str();
            app.add_option("--databases", options.databases, "numbers of databases")->capture_default_str();
            app.add_option("--switches", options.switches, "with each number")->capture_default_str();
        },
        [&](Terminal& terminal) { return ScaleBench(options, terminal).run(); });
}
