// A standby that freezes in the window (SIGSTOP of all its processes, right before the wait for it to catch up): how
// long clients wait. It is max_pause, and not more; then they go on with the side they had. The proxy is
// `turnout_halting`, which stops itself at that moment, so that the blow can be struck there.
#include <fmt/format.h>
#include <signal.h>

#include <fstream>
#include <iterator>
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
using namespace std::chrono_literals;

struct Options : BenchOptions {
    std::filesystem::path halting;  ///< the program that stops itself
    int green = 17;
    unsigned writers = 16;
    unsigned times = 5;
    unsigned max_pause_ms = 100;
};

/// Whether a process is stopped, as by SIGSTOP.
bool is_stopped(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto end = text.rfind(')');
    return end != std::string::npos && end + 2 < text.size() && text[end + 2] == 'T';
}

RigPlan plan(const Options& options) {
    RigPlan plan{.blue = options.major, .green = options.green};
    plan.served.program = options.halting;
    plan.served.verbs = options.program;
    plan.served.lines = {{"switch", fmt::format(R"(max_pause = "{}ms")", options.max_pause_ms)}};
    return plan;
}

class FrozenBench {
  public:
    FrozenBench(Options options, Terminal& terminal)
        : options_(std::move(options)), terminal_(terminal), rig_(plan(options_), terminal) {}

    int run() {
        LedgerSettings settings;
        settings.conninfo = rig_.conninfo();
        settings.writers = options_.writers;
        settings.pace.think = 5ms;  // a standby that was frozen has to catch up before the next window
        Ledger ledger(settings);
        ledger.start();
        for (unsigned i = 1; i <= options_.times; ++i) {
            terminal_.live(fmt::format("freezing the standby in a window, {} of {}", i, options_.times));
            freeze_once(ledger);
        }
        ledger.stop();
        const Audit books = audit({&ledger}, rig_.conninfo());
        tell(ledger.totals(), books);
        return books.clean() && ledger.totals().errors + ledger.totals().reconnects == 0 && elsewhere_ == 0 ? 0 : 1;
    }

  private:
    void freeze_once(Ledger& ledger);
    void await_writes(const Ledger& ledger, std::uint64_t more);
    void tell(const Totals& totals, const Audit& books);

    Options options_;
    Terminal& terminal_;
    Rig rig_;
    std::vector<Microseconds> longest_;  ///< of each time: the longest wait of any connection
    std::vector<Microseconds> closed_;   ///< of each time: how long the gate was closed, as turnout says
    unsigned elsewhere_ = 0;             ///< times after which the clients were not with the side they had
};

void FrozenBench::await_writes(const Ledger& ledger, std::uint64_t more) {
    const std::uint64_t goal = ledger.totals().writes + more;
    const Clock::time_point patience = Clock::now() + 60s;
    while (ledger.totals().writes < goal) {
        check_interrupted();
        if (Clock::now() > patience) throw std::runtime_error("the clients do not go on");
        std::this_thread::sleep_for(2ms);
    }
}

void FrozenBench::freeze_once(Ledger& ledger) {
    await_writes(ledger, 100);
    std::ofstream(rig_.turnout().directory() / "halt") << "before catch up";
    Program verb(rig_.turnout().verb({"switch", "--deadline", "8s", "--json"}));
    const Clock::time_point patience = Clock::now() + 60s;
    while (!is_stopped(rig_.turnout().pid())) {
        check_interrupted();
        if (Clock::now() > patience) throw std::runtime_error("the window was never met: " + verb.wait().out);
        std::this_thread::sleep_for(100us);
    }
    const Clock::time_point stopped = Clock::now();
    rig_.green().freeze();
    ::kill(rig_.turnout().pid(), SIGCONT);
    await_writes(ledger, 4 * options_.writers);
    longest_.push_back(ledger.waits(stopped, Clock::now()).connections.max);
    // Thawed before the verb has given up, the standby would be switched to by the next attempt.
    const Exit exit = verb.wait();
    rig_.green().thaw();
    boost::system::error_code bad;
    const boost::json::value report = boost::json::parse(exit.out, bad);
    if (!bad && report.is_object())
        for (const boost::json::value& missed : report.as_object().at("missed").as_array())
            closed_.emplace_back(integer(missed.as_object(), "closed_us"));
    if (text(rig_.turnout().status(), "active") != "blue") ++elsewhere_;
    while (text(rig_.turnout().status(), "phase") != "synced" || rig_.turnout().status().contains("unsettled")) {
        check_interrupted();
        std::this_thread::sleep_for(50ms);
    }
}

void FrozenBench::tell(const Totals& totals, const Audit& books) {
    terminal_.heading(
        fmt::format("The standby frozen in the window, {} times; {} sessions writing, max_pause {} ms, "
                    "PostgreSQL {} and {}, fsync on",
                    options_.times, options_.writers, options_.max_pause_ms, options_.major, options_.green));
    const auto row = [](const char* what, const std::vector<Microseconds>& sample) {
        const Distribution d = distribution_of(sample);
        return std::vector<std::string>{what, human(d.p50), human(d.max)};
    };
    terminal_.table({{"", "median", "longest"},
                     row("longest wait of any session", longest_),
                     row("gate closed, by turnout's clock", closed_)});
    terminal_.table(
        {{"went on with the side they had", fmt::format("{} of {} times", options_.times - elsewhere_, options_.times)},
         {"writes, errors, reconnects", fmt::format("{}, {}, {}", totals.writes, totals.errors, totals.reconnects)},
         {"audit", books.summary()}});
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    options.halting =
        std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "tests/support/turnout_halting";
    return bench_main(
        argc, argv, "Measures how long clients wait for a standby that freezes in the window.", options,
        [&](CLI::App& app) {
            app.add_option("--halting", options.halting, "the executable turnout_halting")->check(CLI::ExistingFile);
            app.add_option("--green", options.green, "major version of green")->capture_default_str();
            app.add_option("--writers", options.writers, "sessions that write")->capture_default_str();
            app.add_option("--times", options.times, "how often")->capture_default_str();
            app.add_option("--max-pause", options.max_pause_ms, "ms")->capture_default_str();
        },
        [&](Terminal& terminal) { return FrozenBench(options, terminal).run(); });
}
