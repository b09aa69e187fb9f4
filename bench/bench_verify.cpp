// How fast `turnout verify` compares both sides, in rows and bytes a second, while an application writes; and that one
// bit in one row of a million is found and named.
#include <fmt/format.h>

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
    unsigned rows = 1'000'000;
    unsigned writers = 2;
    unsigned times = 3;
};

/// A large table of many types.
RigPlan plan(const Options& options) {
    RigPlan plan{.blue = options.major, .green = options.green};
    plan.served.program = options.program;
    plan.fill = [rows = options.rows](const support::Cluster& blue) {
        blue.execute(
            fmt::format("CREATE TABLE big (id bigint PRIMARY KEY, at timestamptz, ratio double precision, price "
                        "numeric, name text, data jsonb, blob bytea, tags int[]); INSERT INTO big SELECT g, "
                        "'2020-01-01'::timestamptz + g * interval '1 s', g / 7.0, g / 3.0, 'name ' || g, "
                        "jsonb_build_object('g', g, 'text', md5(g::text)), decode(md5(g::text), 'hex'), "
                        "ARRAY[g, g + 1] FROM generate_series(1, {}) g; ANALYZE big",
                        rows),
            "app");
    };
    return plan;
}

class VerifyBench {
  public:
    VerifyBench(Options options, Terminal& terminal)
        : options_(std::move(options)), terminal_(terminal), rig_(plan(options_), terminal) {}

    int run() {
        LedgerSettings settings;
        settings.conninfo = rig_.conninfo();
        settings.writers = options_.writers;
        Ledger ledger(settings);
        ledger.start();
        std::vector<boost::json::object> equal;
        for (unsigned i = 1; i <= options_.times; ++i) {
            terminal_.live(fmt::format("comparing, {} of {}", i, options_.times));
            equal.push_back(rig_.turnout().report({"verify"}));
        }
        terminal_.live("comparing, with one bit changed");
        const unsigned changed = options_.rows / 3 * 2 + 1;
        rig_.green().execute(
            fmt::format("BEGIN READ WRITE; SET LOCAL session_replication_role = replica; UPDATE big SET "
                        "blob = set_bit(blob, 77, 1 - get_bit(blob, 77)) WHERE id = {}; COMMIT",
                        changed),
            "app");
        const Exit found = rig_.turnout().run({"verify"});
        ledger.stop();
        const std::string wanted = fmt::format("DIFFERS app public.big, id = '{}': the row differs in blob", changed);
        const bool named = found.status == 1 && found.out.find(wanted) != std::string::npos;
        tell(equal, named ? wanted : "NOT FOUND: " + found.out + found.err, ledger.totals());
        return named && ledger.totals().errors + ledger.totals().reconnects == 0 ? 0 : 1;
    }

  private:
    void tell(const std::vector<boost::json::object>& equal, const std::string& found, const Totals& totals);

    Options options_;
    Terminal& terminal_;
    Rig rig_;
};

void VerifyBench::tell(const std::vector<boost::json::object>& equal, const std::string& found, const Totals& totals) {
    terminal_.heading(fmt::format("verify: {} rows of eight types, {} sessions writing, PostgreSQL {} and {}",
                                  grouped(options_.rows), options_.writers, options_.major, options_.green));
    std::vector<std::vector<std::string>> rows{{"", "rows/s", "MB/s", "seconds", "clients waited"}};
    for (const boost::json::object& report : equal) {
        const double seconds = report.at("seconds").to_number<double>();
        rows.push_back({text(report, "outcome"),
                        grouped(static_cast<std::int64_t>(static_cast<double>(integer(report, "rows")) / seconds)),
                        fmt::format("{:.1f}", static_cast<double>(integer(report, "bytes")) / 1e6 / seconds),
                        fmt::format("{:.1f}", seconds), human(Microseconds(integer(report, "pause_us")))});
    }
    terminal_.table(rows);
    terminal_.table(
        {{"one bit changed in one row", found},
         {"writes, errors, reconnects", fmt::format("{}, {}, {}", totals.writes, totals.errors, totals.reconnects)}});
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    return bench_main(
        argc, argv, "Measures how fast both sides are compared, and that one bit is found.", options,
        [&](CLI::App& app) {
            app.add_option("--green", options.green, "major version of green")->capture_default_str();
            app.add_option("--rows", options.rows, "of the large table")->capture_default_str();
            app.add_option("--writers", options.writers, "sessions that write")->capture_default_str();
            app.add_option("--times", options.times, "how often")->capture_default_str();
        },
        [&](Terminal& terminal) { return VerifyBench(options, terminal).run(); });
}
