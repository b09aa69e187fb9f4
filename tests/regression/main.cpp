// turnout_regression: PostgreSQL's own suites, directly, through `turnout serve`, and while sessions change their
// server. What `./dev regress` runs. Exit status: 0 every result file is the same; 1 one is not, or a run did not come
// about; 2 usage; 130 interrupted.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <future>
#include <sstream>

#include "bench/interrupt.hpp"
#include "bench/served.hpp"
#include "tests/regression/comparison.hpp"
#include "tests/regression/copies.hpp"
#include "tests/regression/shuttle.hpp"
#include "tests/regression/suite.hpp"

namespace {

using namespace turnout;
using namespace turnout::regression;
namespace fs = std::filesystem;

struct Options {
    fs::path program;
    SuiteFiles files;
    fs::path copies;     ///< file of the tests that run while turnout switches between two servers
    std::string only;    ///< "moving" or "copies": that part only
    fs::path explained;  ///< file of what may differ while switches go back and forth
    fs::path keep;       ///< where results and differences stay to be looked at
};

/// How a suite reaches its server: directly, through turnout, and while its sessions change their server; `copies`:
/// through turnout, which switches between two servers.
enum class Route { direct, proxied, moving, copies };

std::string name(Route route) {
    switch (route) {
        case Route::direct: return "direct";
        case Route::proxied: return "proxied";
        case Route::moving: return "moving";
        case Route::copies: break;
    }
    return "copies";
}

/// Roles, settings and limits are alike wherever a suite runs, so that its results can be compared byte by byte.
std::unique_ptr<support::Cluster> make_server(int major, const std::string& name) {
    return std::make_unique<support::Cluster>(
        support::ClusterOptions{.major = major, .name = name, .settings = copies_settings(), .fsync = false});
}

/// Results stand below the server's own directory, since the server writes into them, too; a copy stays.
SuiteRun keep(const Options& options, Route route, const std::string& what, SuiteRun run) {
    const fs::path kept = options.keep / name(route) / what;
    fs::create_directories(kept.parent_path());
    fs::copy(run.results, kept, fs::copy_options::recursive);
    run.results = kept;
    fmt::print("{:<10} {:<10} {:>4} tests, {:>4} as PostgreSQL's sources expect\n", what, name(route), run.tests,
               run.as_expected);
    std::fflush(stdout);
    return run;
}

/// A server, and turnout in front of it unless it is asked directly.
class Way {
  public:
    Way(const Options& options, Route route) : options_(options), route_(route) {
        server_ = make_server(options.files.major, name(route));
        for (const Suite suite : {Suite::isolation, Suite::regress}) create_database(*server_, suite);
        if (route == Route::direct) return;
        standby_ = make_server(options.files.major, "standby");
        turnout_ = std::make_unique<bench::Served>(
            bench::ServedOptions{.program = options.program,
                                 .blue = server_->conninfo(""),
                                 .green = standby_->conninfo(""),
                                 .databases = {database_of(Suite::regress), database_of(Suite::isolation)},
                                 .lines = {{"auth", "method = \"trust\""}},
                                 .parent = {}});
    }

    SuiteRun run(Suite suite) {
        const std::uint16_t port = turnout_ ? turnout_->port() : server_->port();
        return keep(options_, route_, regression::name(suite),
                    run_suite(suite, options_.files, port, server_->directory() / regression::name(suite)));
    }

  private:
    const Options& options_;
    const Route route_;
    std::unique_ptr<support::Cluster> server_, standby_;
    std::unique_ptr<bench::Served> turnout_;
};

/// The whole suite while every session changes its backend between its transactions, one test at a time: else some
/// session would always be in a transaction or pinned, and nobody would move.
SuiteRun run_moving(const Options& options) {
    const std::unique_ptr<support::Cluster> server = make_server(options.files.major, "moving");
    create_database(*server, Suite::regress);
    Shuttle shuttle(*server, database_of(Suite::regress));
    shuttle.start();
    const SuiteRun run =
        run_suite(Suite::regress, options.files, shuttle.port(), server->directory() / "regress", {.connections = 1});
    const ShuttleTotals totals = shuttle.stop();
    fmt::print(
        "meanwhile {} switches moved {} sessions; given up: {} for a pinned session, {} for a transaction that "
        "took too long; {} moves failed\n",
        totals.switches, totals.moved, totals.pinned, totals.expired, totals.failed);
    if (totals.moved == 0) throw std::runtime_error("no session was moved while the suite ran");
    return keep(options, Route::moving, "regress", run);
}

/// The tests of a file, one a line; what stands behind '#' is left out.
std::vector<std::string> read_tests(const fs::path& file) {
    std::ifstream lines(file);
    if (!lines) throw std::runtime_error("cannot read " + file.string());
    std::vector<std::string> tests;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        if (std::string test; words >> test) tests.push_back(test);
    }
    return tests;
}

/// The tests that leave nothing behind, on a server of their own.
SuiteRun run_direct_copies(const Options& options) {
    const std::unique_ptr<support::Cluster> server = make_server(options.files.major, "direct");
    prepare(*server, options.files);
    return keep(options, Route::direct, "copies",
                run_suite(Suite::regress, options.files, server->port(), server->directory() / "copies",
                          {.tests = read_tests(options.copies)}));
}

/// Says what differs; true if nothing does but what is explained.
bool same(const Options& options, const std::string& what, const SuiteRun& direct, const SuiteRun& other, Route route) {
    std::vector<Difference> found = differences(direct.results, other.results);
    std::size_t explained = 0;
    if (route == Route::moving || route == Route::copies) {
        const auto reasons = read_explained(options.explained);
        explained = std::erase_if(found, [&](const Difference& one) { return reasons.count(one.file) > 0; });
    }
    for (const Difference& difference : found) {
        constexpr std::size_t kShown = 4000;
        fmt::print("\n{}: {} differs:\n{}\n", what, difference.file, difference.diff.substr(0, kShown));
    }
    fmt::print("{:<10} {} of {} result files are the same, direct and {}", what,
               direct.tests - std::min(direct.tests, found.size() + explained), direct.tests, name(route));
    fmt::print("{}\n", explained > 0 ? fmt::format("; {} differ as explained", explained) : "");
    if (!found.empty()) fmt::print("The result files are kept below {}\n", options.keep.string());
    std::fflush(stdout);
    return found.empty();
}

/// The same on two that are copies, again and again until the side has changed often enough; one
/// that differs ends it.
bool run_copies(const Options& options, const SuiteRun& direct) {
    constexpr std::uint64_t kEnough = 4;
    constexpr unsigned kMostRounds = 60;
    const std::unique_ptr<support::Cluster> server = make_server(options.files.major, "copies");
    prepare(*server, options.files);
    Copies copies(*server, options.files, options.program);
    copies.start();
    bool good = true;
    for (unsigned round = 1; good && round <= kMostRounds && copies.switches() < kEnough; ++round) {
        fs::remove_all(options.keep / name(Route::copies));
        const SuiteRun run = run_suite(Suite::regress, options.files, copies.port(), server->directory() / "copies",
                                       {.tests = read_tests(options.copies)});
        good = same(options, "copies", direct, keep(options, Route::copies, "copies", run), Route::copies);
    }
    const CopiesTotals totals = copies.stop();
    fmt::print("meanwhile {} switches moved {} sessions; {} were refused\n", totals.switches, totals.moved,
               totals.refused);
    if (!good && !totals.last_refusal.empty()) fmt::print("the last refusal: {}\n", totals.last_refusal);
    if (totals.switches == 0) throw std::runtime_error("no switch was possible: " + totals.last_refusal);
    return good;
}

bool run_both(const Options& options) {
    auto other = std::async(std::launch::async, [&] { return std::make_unique<Way>(options, Route::proxied); });
    Way direct(options, Route::direct);
    const std::unique_ptr<Way> proxied = other.get();
    // The isolation suite mostly waits, so both runs may share the machine; the other one wants it for itself.
    auto isolation = std::async(std::launch::async, [&] { return direct.run(Suite::isolation); });
    const SuiteRun proxied_isolation = proxied->run(Suite::isolation);
    bool good = same(options, "isolation", isolation.get(), proxied_isolation, Route::proxied);
    const SuiteRun direct_regress = direct.run(Suite::regress);
    good &= same(options, "regress", direct_regress, proxied->run(Suite::regress), Route::proxied);
    return good;
}

bool run(const Options& options) {
    fs::remove_all(options.keep);
    bool good = true;
    if (options.only.empty()) good &= run_both(options);
    if (options.only == "moving") {
        const SuiteRun direct = Way(options, Route::direct).run(Suite::regress);
        good &= same(options, "regress", direct, run_moving(options), Route::moving);
    }
    if (options.only.empty() || options.only == "copies") {
        good &= run_copies(options, run_direct_copies(options));
    }
    return good;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"PostgreSQL's own regression and isolation suites, directly and through turnout."};
    app.add_option("--program", options.program, "the executable turnout")->required()->check(CLI::ExistingFile);
    app.add_option("--files", options.files.root, "where ./dev has unpacked the suites")->required();
    app.add_option("--major", options.files.major, "of the system's PostgreSQL")->capture_default_str();
    app.add_option("--explained", options.explained, "what may differ while sessions move, and why")->required();
    app.add_option("--copies", options.copies, "the tests that run while turnout switches between copies")->required();
    app.add_option("--only", options.only, "one part only")->check(CLI::IsMember({"moving", "copies"}));
    app.add_option("--keep", options.keep, "folder for the results, emptied first")->required();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    options.program = fs::absolute(options.program);
    options.keep = fs::absolute(options.keep);
    try {
        bench::catch_interrupts();
        return run(options) ? 0 : 1;
    } catch (const bench::Interrupted&) {
        return 130;
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
}
