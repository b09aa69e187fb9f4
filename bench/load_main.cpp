// turnout_load: the demo's loads as a client of their own. It writes, keeps account, and at its end tells whether the
// server holds what was acknowledged.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "bench/interrupt.hpp"
#include "bench/ledger.hpp"
#include "bench/pq.hpp"

namespace {

using namespace turnout::bench;
using namespace std::chrono_literals;

struct Options {
    LedgerSettings load;
    std::string audit_conninfo;
    unsigned seconds = 60;
    unsigned wait_seconds = 60;
    unsigned report_seconds = 5;
    unsigned think_milliseconds = 0;
    bool no_install = false;
};

void add_common(CLI::App& verb, Options& options) {
    verb.add_option("--dsn", options.load.conninfo, "libpq conninfo or URI to write to, through the proxy or not")
        ->required();
    verb.add_option("--audit-dsn", options.audit_conninfo, "where the audit reads; --dsn if not given");
    verb.add_option("--seconds", options.seconds, "how long; 0: until Ctrl-C")->capture_default_str();
    verb.add_option("--wait", options.wait_seconds, "how long to wait for a server that is not up yet, in seconds")
        ->capture_default_str();
    verb.add_option("--report-every", options.report_seconds, "seconds between two lines of counts")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    verb.add_option("--seed", options.load.seed, "of the random choices")->capture_default_str();
    verb.add_flag("--no-install", options.no_install, "the ledger's tables exist already");
}

/// Until the server takes a login; its refusal after the last second is thrown.
void wait_for_server(const Options& options) {
    for (unsigned attempt = 0;; ++attempt) {
        try {
            connect(options.load.conninfo);
            return;
        } catch (const Failure&) {
            if (attempt >= options.wait_seconds) throw;
            rest(1s);
        }
    }
}

std::string counts(const Totals& totals) {
    return fmt::format("{} writes, {} reads, {} errors, {} reconnects, {} unknown, {} back in time, {} unexplained",
                       totals.writes, totals.reads, totals.errors, totals.reconnects, totals.unknown,
                       totals.back_in_time, totals.unexplained);
}

void run_until_done(const Options& options, const Ledger& ledger) {
    const Clock::time_point started = Clock::now();
    Clock::time_point reported = started;
    try {
        while (options.seconds == 0 || Clock::now() < started + std::chrono::seconds(options.seconds)) {
            rest(
                std::min<std::chrono::milliseconds>(std::chrono::seconds(options.report_seconds),
                                                    options.seconds == 0 ? 1h : std::chrono::seconds(options.seconds)));
            const Clock::time_point now = Clock::now();
            const Waits waits = ledger.waits(reported, now);
            fmt::print("{:>5} s  {}; waits p50 {} p99 {} max {}\n",
                       std::chrono::duration_cast<std::chrono::seconds>(now - started).count(), counts(ledger.totals()),
                       human(waits.statements.p50), human(waits.statements.p99), human(waits.statements.max));
            std::fflush(stdout);
            reported = now;
        }
    } catch (const Interrupted&) {
        fmt::print("stopping\n");
    }
}

int run(Options options) {
    // Others may be at work in the same database, another of this kind for example.
    options.load.shared_rows = false;
    if (options.audit_conninfo.empty()) options.audit_conninfo = options.load.conninfo;
    options.load.pace.think = std::chrono::milliseconds(options.think_milliseconds);
    wait_for_server(options);
    if (!options.no_install) install_ledger(options.load.conninfo);
    Ledger ledger(options.load);
    ledger.start();
    run_until_done(options, ledger);
    ledger.stop();
    const Totals totals = ledger.totals();
    for (const std::string& text : totals.error_texts) fmt::print("error: {}\n", text);
    const Audit found = audit({&ledger}, options.audit_conninfo);
    for (const std::string& example : found.examples) fmt::print("found: {}\n", example);
    fmt::print("load:  {}\naudit: {}\n", counts(totals), found.summary());
    const bool clean =
        found.clean() && totals.errors + totals.reconnects + totals.back_in_time + totals.unexplained == 0;
    return clean ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{
        "Writes to a PostgreSQL database as fast as it can, or as the thesis' client does, and tells at the end\n"
        "whether what was acknowledged is there. Exit status: 0 clean, 1 errors, losses or duplicates, 2 usage."};
    app.require_subcommand(1);
    Options ledger;
    CLI::App* ledger_verb =
        app.add_subcommand("ledger", "connections that write without pause, in every protocol mode");
    add_common(*ledger_verb, ledger);
    ledger_verb->add_option("--writers", ledger.load.writers, "connections")->capture_default_str();
    ledger_verb->add_option("--think", ledger.think_milliseconds, "milliseconds between two transactions");
    const std::map<std::string, Mode> modes{{"simple", Mode::simple},
                                            {"extended", Mode::extended},
                                            {"prepared", Mode::prepared},
                                            {"pipelined", Mode::pipelined}};
    ledger_verb->add_option("--mode", ledger.load.modes, "protocol modes, given to the connections in turn (all)")
        ->transform(CLI::CheckedTransformer(modes));
    Options thesis;
    thesis.load.writers = 5;
    thesis.load.pace = {.read_every = 3s, .write_every = 10s};
    CLI::App* thesis_verb =
        app.add_subcommand("thesis", "five connections, each reads every 3 s and writes every 10 s");
    add_common(*thesis_verb, thesis);
    thesis_verb->add_option("--connections", thesis.load.writers, "connections")->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    try {
        catch_interrupts();
        return run(ledger_verb->parsed() ? ledger : thesis);
    } catch (const Interrupted&) {
        return 130;
    } catch (const std::exception& error) {
        fmt::print(stderr, "turnout_load: {}\n", error.what());
        return 1;
    }
}
