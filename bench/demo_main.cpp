// turnout_demo: what `./dev demo` runs. Exit status: 0 nothing was lost, doubled or refused; 1 something was; 2 usage;
// 130 interrupted.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>

#include "bench/demo.hpp"
#include "bench/demo_report.hpp"
#include "bench/interrupt.hpp"

namespace {

using namespace turnout::bench;

int tell(Terminal& terminal, const DemoOptions& options, const DemoOutcome& outcome, double seconds) {
    print_outcome(terminal, outcome);
    if (!options.json.empty()) {
        std::ofstream file(options.json);
        file << outcome_json(options, outcome) << "\n";
        if (!file.flush()) throw std::runtime_error("cannot write " + options.json.string());
    }
    const std::vector<std::string> failures = outcome.failures();
    terminal.heading(
        failures.empty()
            ? fmt::format("Nothing was lost, nothing happened twice, nobody saw an error. {:.0f} s in all.", seconds)
            : terminal.red(fmt::format("FAILED after {:.0f} s:", seconds)));
    for (const std::string& failure : failures) terminal.bad(failure);
    return failures.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    DemoOptions options;
    CLI::App app{"A PostgreSQL version change and back on real servers, under load, with its figures."};
    app.add_option("--program", options.program, "the executable turnout")->required()->check(CLI::ExistingFile);
    app.add_option("--blue", options.blue, "major version to come from")->capture_default_str();
    app.add_option("--green", options.green, "major version to go to")->capture_default_str();
    app.add_option("--scale", options.scale, "of pgbench's tables")->capture_default_str();
    app.add_option("--writers", options.writers, "connections that write as fast as they can")->capture_default_str();
    app.add_option("--seconds", options.seconds_between, "of load around each switch")->capture_default_str();
    app.add_flag("!--no-conventional", options.conventional, "leave the conventional strategy out");
    app.add_option("--json", options.json, "file for the figures");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    options.program = std::filesystem::absolute(options.program);
    const Clock::time_point started = Clock::now();
    Terminal terminal;
    try {
        catch_interrupts();
        const DemoOutcome outcome = Demo(options, terminal).run();
        return tell(terminal, options, outcome, std::chrono::duration<double>(Clock::now() - started).count());
    } catch (const Interrupted&) {
        terminal.line("interrupted: servers, processes and directories are gone");
        return 130;
    } catch (const std::exception& error) {
        terminal.heading(terminal.red("FAILED"));
        terminal.line(error.what());
        return 1;
    }
}
