// What it costs to be watchable: the processor time of turnout under a steady load while nobody looks, with the page
// and metrics switched off, and while the page, `turnout watch` or a scraper look.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>

#include "bench/bench_main.hpp"
#include "bench/cpu_time.hpp"
#include "bench/interrupt.hpp"
#include "bench/peers.hpp"
#include "bench/pq.hpp"
#include "bench/program.hpp"
#include "bench/terminal.hpp"

namespace {

using namespace turnout;
using namespace turnout::bench;

namespace fs = std::filesystem;

struct Options : BenchOptions {
    unsigned seconds = 10;
    unsigned repetitions = 3;
    unsigned rate = 1000;
};

/// Who looks, and what turnout is told of it.
struct Watching {
    std::string name;
    bool can_look = true;  ///< the listener for the page and metrics is there
    /// Starts whoever looks; gone with the object.
    std::function<std::unique_ptr<Program>(const Served&)> begin;
    std::vector<double> milliseconds{};  ///< of processor time in a second
};

std::unique_ptr<Program> node(const std::string& script, const Served& served) {
    const std::string url = fmt::format("http://127.0.0.1:{}", served.metrics_port());
    return std::make_unique<Program>(Program::Options{.arguments = {"node", "-e", script, url}});
}

std::vector<Watching> variants() {
    return {
        {"without the listener for page and metrics", false, nullptr},
        {"nobody looks", true, nullptr},
        {"the page is open", true,
         [](const Served& served) {
             return node("require('http').get(process.argv[1] + '/events', r => r.resume())", served);
         }},
        {"turnout watch", true, [](const Served& served) { return std::make_unique<Program>(served.verb({"watch"})); }},
        {"metrics every 5 s", true, [](const Served& served) {
             return node(
                 "const look = () => require('http').get(process.argv[1] + '/metrics', r => r.resume());"
                 "look(); setInterval(look, 5000)",
                 served);
         }}};
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values.empty() ? 0 : values[values.size() / 2];
}

class WatchingBench {
  public:
    WatchingBench(Options options, Terminal& terminal)
        : options_(std::move(options)), terminal_(terminal), stage_(options_.major, 100) {}

    void run() {
        terminal_.live("filling pgbench's tables");
        must_run(
            {.arguments = {client_program("pgbench"), "-q", "-i", stage_.conninfo(Peer("direct", stage_.server()))}});
        std::vector<Watching> all = variants();
        for (unsigned i = 0; i < options_.repetitions; ++i) {
            for (Watching& watching : all) {
                terminal_.live(fmt::format("{} ({} of {})", watching.name, i + 1, options_.repetitions));
                watching.milliseconds.push_back(measure(watching));
            }
        }
        std::vector<std::vector<std::string>> rows{
            {fmt::format("{} transactions a second", options_.rate), "turnout's CPU, ms a second"}};
        boost::json::array figures;
        for (const Watching& watching : all) {
            const auto [low, high] = std::minmax_element(watching.milliseconds.begin(), watching.milliseconds.end());
            rows.push_back(
                {watching.name, fmt::format("{:.2f} ({:.2f} to {:.2f})", median(watching.milliseconds), *low, *high)});
            figures.push_back(
                {{"watching", watching.name}, {"cpu_ms_per_second", boost::json::value_from(watching.milliseconds)}});
        }
        terminal_.table(rows);
        write_json(options_, figures);
    }

  private:
    double measure(const Watching& watching) {
        ServedOptions options = stage_.served_options(options_.program, 1);
        options.start = false;
        Served served(std::move(options));
        if (!watching.can_look) no_listener(served.configuration());
        served.start();
        const std::unique_ptr<Program> looks = watching.begin ? watching.begin(served) : nullptr;
        load(served, 2);  // what happens once
        const auto before = cpu_time(served.pid());
        const auto began = std::chrono::steady_clock::now();
        load(served, options_.seconds);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        const std::chrono::duration<double, std::milli> used = cpu_time(served.pid()) - before;
        return used / std::chrono::milliseconds(1) / took.count();
    }

    static void no_listener(const fs::path& configuration) {
        std::ifstream in(configuration);
        std::string text{std::istreambuf_iterator<char>(in), {}};
        const std::size_t line = text.find("listen = ", text.find("[metrics]"));
        text.replace(line, text.find('\n', line) - line, "listen = \"\"");
        std::ofstream(configuration) << text;
    }

    void load(const Served& served, unsigned seconds) const {
        check_interrupted();
        must_run({.arguments = {client_program("pgbench"), "-n", "-b", "select-only", "-M", "prepared", "-c", "8", "-j",
                                "1", "-R", std::to_string(options_.rate), "-T", std::to_string(seconds),
                                served.conninfo("app", "app")}});
    }

    Options options_;
    Terminal& terminal_;
    PeerStage stage_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    return bench_main(
        argc, argv, "Measures what turnout costs while somebody, or nobody, looks at it.", options,
        [&](CLI::App& app) {
            app.add_option("--seconds", options.seconds, "of each measurement")->capture_default_str();
            app.add_option("--repetitions", options.repetitions, "of each")->capture_default_str();
            app.add_option("--rate", options.rate, "transactions a second")->capture_default_str();
        },
        [&](Terminal& terminal) {
            WatchingBench(options, terminal).run();
            return 0;
        });
}
