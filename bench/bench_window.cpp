// The window: how long nobody can write while everybody moves, over many switches back and forth, beside the floor that
// physics sets (a row committed on one server until a busy reader sees it on the other) and beside the ways of others,
// in the same run.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "bench/bench_main.hpp"
#include "bench/interrupt.hpp"
#include "bench/json_fields.hpp"
#include "bench/ledger.hpp"
#include "bench/other_ways.hpp"
#include "bench/pq.hpp"
#include "bench/rig.hpp"
#include "bench/terminal.hpp"

namespace {

using namespace turnout;
using namespace turnout::bench;
using namespace std::chrono_literals;

struct Options : BenchOptions {
    int green = 17;
    unsigned switches = 50;
    unsigned pause_milliseconds = 300;
    unsigned others = 5;
    std::string only;
};

/// One kind of load and what the switches under it took.
struct Series {
    std::string name;
    unsigned writers = 0;
    std::chrono::milliseconds think{0};
    std::vector<Microseconds> windows;
    std::vector<Microseconds> longest_stalls;  ///< of each switch, by turnout's report
    std::vector<Microseconds> longest_waits;   ///< of each switch, by the load's own clock
    std::vector<Microseconds> usual_waits;     ///< before each, in as long a time as the one before took
    std::map<std::string, std::vector<Microseconds>> phases;
    std::vector<std::string> phase_order;
    std::uint64_t attempts = 0;
    Totals totals;
    Audit audit;
    boost::json::array reports;
};

RigPlan plan(const Options& options) {
    RigPlan plan{.blue = options.major, .green = options.green};
    plan.fill = [](const support::Cluster& blue) {
        blue.execute(
            "CREATE TABLE floor (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO floor VALUES (1, 0); "
            "ALTER TABLE floor OWNER TO app",
            "app");
    };
    plan.served.program = options.program;
    // The next switch waits for the last one's settling, which waits for this (5 s); no window does.
    plan.settings.emplace_back("wal_retrieve_retry_interval", "200ms");
    return plan;
}

class WindowBench {
  public:
    WindowBench(Options options, Terminal& terminal) : options_(std::move(options)), terminal_(terminal) {}

    int run() {
        rig_.emplace(plan(options_), terminal_);
        measure_floor();
        terminal_.heading(
            fmt::format("Windows of {} switches each, PostgreSQL {} and {}, fsync on, µs: p50 / p99 / max",
                        options_.switches, options_.major, options_.green));
        std::vector<Series> all;
        all.push_back({.name = "16 writers flat out", .writers = 16});
        all.push_back({.name = "8 writers, 1 ms think time", .writers = 8, .think = 1ms});
        all.push_back({.name = "16 idle sessions", .writers = 16, .think = 1h});
        std::erase_if(all, [this](const Series& it) { return it.name.find(options_.only) == std::string::npos; });
        for (Series& series : all) {
            measure(series);
            tell(series);
        }
        rig_.reset();
        const auto thinking = std::find_if(all.begin(), all.end(), [](const Series& it) { return it.think == 1ms; });
        if (options_.others > 0 && thinking != all.end()) {
            take_other_ways(*thinking);
            tell_other_ways(*thinking);
        }
        write_figures(all);
        bool clean = true;
        for (const Series& series : all)
            clean = clean && series.audit.clean() && series.totals.errors + series.totals.reconnects == 0;
        return clean ? 0 : 1;
    }

  private:
    void measure_floor();
    void measure(Series& series);
    void note(Series& series, const boost::json::object& report) const;
    void take_other_ways(const Series& like);
    void tell(const Series& series);
    void tell_other_ways(const Series& like);
    void write_figures(const std::vector<Series>& all) const;

    Options options_;
    Terminal& terminal_;
    std::optional<Rig> rig_;
    std::vector<Microseconds> floor_;
    std::vector<OtherWay> others_;
    std::vector<std::string> missing_;
};

std::string three(const std::vector<Microseconds>& sample) {
    const Distribution d = distribution_of(sample);
    return fmt::format("{} / {} / {}", grouped(d.p50.count()), grouped(d.p99.count()), grouped(d.max.count()));
}

void WindowBench::measure_floor() {
    terminal_.live("the floor: commit on blue until visible on green");
    const Connection writer = connect(rig_->blue().conninfo("app"));
    const Connection reader = connect(rig_->green().conninfo("app"));
    for (std::int64_t n = 1; n <= 1000; ++n) {
        const Clock::time_point started = Clock::now();
        bench::run(writer.get(), fmt::format("UPDATE floor SET n = {}", n));
        while (number(reader.get(), "SELECT n FROM floor") < n) check_interrupted();
        floor_.push_back(std::chrono::duration_cast<Microseconds>(Clock::now() - started));
    }
}

void WindowBench::measure(Series& series) {
    LedgerSettings settings;
    settings.conninfo = rig_->conninfo();
    settings.writers = series.writers;
    settings.pace.think = series.think;
    Ledger ledger(settings);
    ledger.start();
    const std::chrono::milliseconds pause(options_.pause_milliseconds);
    std::chrono::milliseconds quiet = pause;
    for (unsigned i = 1; i <= options_.switches; ++i) {
        terminal_.live(fmt::format("{}: switch {} of {}", series.name, i, options_.switches));
        const Clock::time_point began = Clock::now();
        rest(quiet);
        const Clock::time_point started = Clock::now();
        note(series, rig_->turnout().change());
        const Clock::time_point ended = Clock::now();
        series.usual_waits.push_back(ledger.waits(began, started).statements.max);
        series.longest_waits.push_back(ledger.waits(started, ended).statements.max);
        quiet = std::max(pause, std::chrono::ceil<std::chrono::milliseconds>(ended - started));
    }
    ledger.stop();
    series.totals = ledger.totals();
    series.audit = audit({&ledger}, rig_->conninfo());
}

void WindowBench::take_other_ways(const Series& like) {
    OtherWaysPlan plan;
    plan.blue = options_.major;
    plan.green = options_.green;
    plan.changes = options_.others;
    plan.load.writers = like.writers;
    plan.load.pace.think = like.think;
    plan.pause = std::chrono::milliseconds(options_.pause_milliseconds);
    plan.tell = [this](std::string_view line) { terminal_.live(line); };
    others_ = bench::take_other_ways(plan, missing_);
}

void WindowBench::note(Series& series, const boost::json::object& report) const {
    series.reports.push_back(report);
    series.windows.emplace_back(integer(report, "window_us"));
    series.longest_stalls.emplace_back(integer(member(report, "stall_us"), "max"));
    series.attempts += static_cast<std::uint64_t>(integer(report, "attempts"));
    if (series.phase_order.empty()) series.phase_order = phase_names(report);
    for (const std::string& name : phase_names(report)) series.phases[name].emplace_back(phase_us(report, name));
}

void WindowBench::tell(const Series& series) {
    const Microseconds floor = distribution_of(floor_).p50;
    terminal_.heading(series.name);
    std::vector<std::vector<std::string>> rows{{"window", three(series.windows)}};
    for (const std::string& name : series.phase_order) rows.push_back({"  " + name, three(series.phases.at(name))});
    rows.push_back({"longest stall of a switch", three(series.longest_stalls)});
    rows.push_back({"longest wait that the load saw, from the verb to its answer", three(series.longest_waits)});
    rows.push_back({"the same beforehand, in as long a time without a change", three(series.usual_waits)});
    rows.push_back({"floor (commit here until visible there)", three(floor_)});
    rows.push_back({"window / floor, medians",
                    fmt::format("{:.1f}", static_cast<double>(distribution_of(series.windows).p50.count()) /
                                              static_cast<double>(std::max<std::int64_t>(floor.count(), 1)))});
    rows.push_back(
        {"attempts, writes, errors, reconnects", fmt::format("{}, {}, {}, {}", series.attempts, series.totals.writes,
                                                             series.totals.errors, series.totals.reconnects)});
    rows.push_back({"audit", series.audit.summary()});
    terminal_.table(rows);
}

void WindowBench::tell_other_ways(const Series& like) {
    terminal_.heading(fmt::format("Beside it, {}: the longest wait of a client in a change, µs", like.name));
    std::vector<std::vector<std::string>> rows{{"", "p50 / p99 / max", "errors", "sessions lost",
                                                "written on the old side", "lost", "doubled", "numbers twice"}};
    const auto row = [&](const std::string& name, const std::vector<Microseconds>& waits, std::uint64_t stray,
                         const Totals& totals, const Audit& audit) {
        rows.push_back({name, three(waits), grouped(static_cast<std::int64_t>(totals.errors)),
                        grouped(static_cast<std::int64_t>(totals.reconnects)),
                        grouped(static_cast<std::int64_t>(stray)),
                        grouped(static_cast<std::int64_t>(audit.lost + audit.counters_low)),
                        grouped(static_cast<std::int64_t>(audit.duplicated + audit.counters_high)),
                        grouped(static_cast<std::int64_t>(audit.tickets_doubled))});
    };
    row("turnout, from the verb to its answer", like.longest_waits, 0, like.totals, like.audit);
    row("turnout, the switch itself", like.longest_stalls, 0, like.totals, like.audit);
    row("turnout, as long a time without a change", like.usual_waits, 0, like.totals, like.audit);
    for (const OtherWay& way : others_) row(way.name, way.longest_waits, way.stray, way.totals, way.audit);
    terminal_.table(rows);
    for (const std::string& name : missing_) terminal_.line(name + " is not installed and was left out");
}

void WindowBench::write_figures(const std::vector<Series>& all) const {
    const auto list = [](const std::vector<Microseconds>& sample) {
        boost::json::array array;
        for (const Microseconds value : sample) array.emplace_back(value.count());
        return array;
    };
    boost::json::object object{{"blue", options_.major}, {"green", options_.green}, {"floor_us", list(floor_)}};
    boost::json::array& found = object["series"].emplace_array();
    for (const Series& series : all)
        found.push_back({{"name", series.name},
                         {"window_us", list(series.windows)},
                         {"longest_stall_us", list(series.longest_stalls)},
                         {"longest_wait_us", list(series.longest_waits)},
                         {"usual_wait_us", list(series.usual_waits)},
                         {"errors", series.totals.errors},
                         {"reconnects", series.totals.reconnects},
                         {"clean", series.audit.clean()},
                         {"reports", series.reports}});
    boost::json::array& others = object["others"].emplace_array();
    for (const OtherWay& way : others_)
        others.push_back({{"name", way.name},
                          {"longest_wait_us", list(way.longest_waits)},
                          {"errors", way.totals.errors},
                          {"reconnects", way.totals.reconnects},
                          {"stray", way.stray},
                          {"lost", way.audit.lost + way.audit.counters_low},
                          {"doubled", way.audit.duplicated + way.audit.counters_high},
                          {"tickets_doubled", way.audit.tickets_doubled}});
    write_json(options_, object);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    return bench_main(
        argc, argv, "Measures the window of switches back and forth under load.", options,
        [&](CLI::App& app) {
            app.add_option("--green", options.green, "major version of green")->capture_default_str();
            app.add_option("--switches", options.switches, "under each load")->capture_default_str();
            app.add_option("--pause", options.pause_milliseconds, "milliseconds between two")->capture_default_str();
            app.add_option("--only", options.only, "loads whose name has these words");
            app.add_option("--others", options.others, "changes by PgBouncer; 0: no other ways beside it")
                ->capture_default_str();
        },
        [&](Terminal& terminal) { return WindowBench(options, terminal).run(); });
}
