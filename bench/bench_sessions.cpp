// Many sessions: the window with 2,000 connected, 16 of them writing, beside the window with 20, in the same run. Few,
// many, and few again, so that a machine that gets slower or faster meanwhile does not decide. Afterwards every session
// is asked something.
#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "bench/bench_main.hpp"
#include "bench/interrupt.hpp"
#include "bench/json_fields.hpp"
#include "bench/ledger.hpp"
#include "bench/pq.hpp"
#include "bench/rig.hpp"
#include "bench/terminal.hpp"

namespace {

using namespace turnout;
using namespace turnout::bench;

struct Options : BenchOptions {
    int green = 17;
    unsigned few = 20;
    unsigned many = 2000;
    unsigned writers = 16;
    unsigned think = 0;  ///< milliseconds between two rounds of a writer
    unsigned switches = 10;
};

/// The load is watched for so long without a switch.
constexpr std::chrono::seconds kUsual{3};

/// The switches with so many sessions.
struct Series {
    std::string name;
    unsigned sessions = 0;
    Distribution usual;  ///< waits for a statement, beforehand
    std::vector<Microseconds> windows, drains, stalls;
    boost::json::array reports;
    std::int64_t attempts = 0, moved = 0, failed = 0;
    unsigned deaf = 0;  ///< sessions that did not answer afterwards
};

RigPlan plan(const Options& options) {
    RigPlan plan{.blue = options.major, .green = options.green};
    plan.settings.emplace_back("max_connections", std::to_string(options.many + 100));
    plan.served.program = options.program;
    // So many logins take their time on a small machine, most of it for proofs of passwords: there are none here.
    plan.served.lines = {{"switch", R"(deadline = "600s")"}, {"auth", R"(method = "trust")"}};
    return plan;
}

class SessionsBench {
  public:
    SessionsBench(Options options, Terminal& terminal)
        : options_(std::move(options)), terminal_(terminal), rig_(plan(options_), terminal) {}

    int run() {
        LedgerSettings settings;
        settings.conninfo = rig_.conninfo();
        settings.writers = options_.writers;
        settings.pace.think = std::chrono::milliseconds(options_.think);
        Ledger ledger(settings);
        ledger.start();
        std::vector<Series> all{measure("few", options_.few, ledger), measure("many", options_.many, ledger),
                                measure("few again", options_.few, ledger)};
        ledger.stop();
        const Audit books = audit({&ledger}, rig_.conninfo());
        tell(all, ledger.totals(), books);
        write_figures(all);
        bool clean = books.clean() && ledger.totals().errors + ledger.totals().reconnects == 0;
        for (const Series& series : all) clean = clean && series.deaf == 0 && series.failed == 0;
        return clean ? 0 : 1;
    }

  private:
    Series measure(const std::string& name, unsigned sessions, const Ledger& ledger);
    void tell(const std::vector<Series>& all, const Totals& totals, const Audit& books);
    void write_figures(const std::vector<Series>& all) const;

    Options options_;
    Terminal& terminal_;
    Rig rig_;
};

Series SessionsBench::measure(const std::string& name, unsigned sessions, const Ledger& ledger) {
    Series series{.name = name, .sessions = sessions};
    std::vector<Connection> idle;
    while (idle.size() + options_.writers < sessions) {
        check_interrupted();
        idle.push_back(connect(rig_.conninfo()));
        terminal_.live(fmt::format("{}: {} of {} sessions", name, idle.size() + options_.writers, sessions));
    }
    const Clock::time_point from = Clock::now();
    while (Clock::now() - from < kUsual) {
        check_interrupted();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    series.usual = ledger.waits(from, Clock::now()).statements;
    for (unsigned i = 1; i <= options_.switches; ++i) {
        check_interrupted();
        terminal_.live(fmt::format("{}: switch {} of {} with {} sessions", name, i, options_.switches, sessions));
        const boost::json::object report = rig_.turnout().change();
        series.windows.emplace_back(integer(report, "window_us"));
        series.drains.emplace_back(phase_us(report, "drain"));
        series.stalls.emplace_back(integer(member(report, "stall_us"), "max"));
        series.attempts += integer(report, "attempts");
        series.moved += integer(member(report, "sessions"), "moved");
        series.failed += integer(member(report, "sessions"), "failed");
        series.reports.emplace_back(report);
    }
    for (const Connection& session : idle) {
        const Result answer{PQexec(session.get(), "SELECT count(*) FROM ledger_balances")};
        if (PQresultStatus(answer.get()) != PGRES_TUPLES_OK) ++series.deaf;
    }
    return series;
}

void SessionsBench::tell(const std::vector<Series>& all, const Totals& totals, const Audit& books) {
    terminal_.heading(fmt::format(
        "{} switches each, {} sessions writing, {} ms think time, PostgreSQL {} and {}, fsync on, µs: p50 / max",
        options_.switches, options_.writers, options_.think, options_.major, options_.green));
    const auto two = [](const std::vector<Microseconds>& sample) {
        const Distribution d = distribution_of(sample);
        return fmt::format("{} / {}", grouped(d.p50.count()), grouped(d.max.count()));
    };
    std::vector<std::vector<std::string>> rows;
    for (const Series& series : all) {
        rows.push_back({fmt::format("{} ({} sessions)", series.name, series.sessions), "window " + two(series.windows),
                        "drain " + two(series.drains), "longest stall " + two(series.stalls),
                        fmt::format("a statement without a switch {} / {}", grouped(series.usual.p50.count()),
                                    grouped(series.usual.max.count())),
                        fmt::format("{} attempts, {} moves, {} failed, {} without an answer afterwards",
                                    series.attempts, series.moved, series.failed, series.deaf)});
    }
    terminal_.table(rows);
    std::vector<Microseconds> few = all[0].windows;
    few.insert(few.end(), all[2].windows.begin(), all[2].windows.end());
    const auto median = [](const std::vector<Microseconds>& sample) {
        return static_cast<double>(std::max<std::int64_t>(distribution_of(sample).p50.count(), 1));
    };
    terminal_.table(
        {{"window with many / with few, medians", fmt::format("{:.2f}", median(all[1].windows) / median(few))},
         {"writes, errors, reconnects", fmt::format("{}, {}, {}", totals.writes, totals.errors, totals.reconnects)},
         {"audit", books.summary()}});
}

void SessionsBench::write_figures(const std::vector<Series>& all) const {
    boost::json::array list;
    for (const Series& series : all) {
        list.push_back({{"name", series.name},
                        {"sessions", series.sessions},
                        {"usual_p50_us", series.usual.p50.count()},
                        {"usual_max_us", series.usual.max.count()},
                        {"reports", series.reports}});
    }
    write_json(options_, list);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    return bench_main(
        argc, argv, "Compares the window with many connected sessions with that of few.", options,
        [&](CLI::App& app) {
            app.add_option("--green", options.green, "major version of green")->capture_default_str();
            app.add_option("--few", options.few, "sessions")->capture_default_str();
            app.add_option("--many", options.many, "sessions")->capture_default_str();
            app.add_option("--writers", options.writers, "of them")->capture_default_str();
            app.add_option("--think", options.think, "milliseconds between two rounds of a writer")
                ->capture_default_str();
            app.add_option("--switches", options.switches, "with each number")->capture_default_str();
        },
        [&](Terminal& terminal) { return SessionsBench(options, terminal).run(); });
}
