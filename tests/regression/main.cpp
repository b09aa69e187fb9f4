// turnout_regression: PostgreSQL's own suites, directly and through `turnout serve`. What `./dev regress` runs.
// Exit status: 0 every result file is the same; 1 one is not, or a run did not come about; 2 usage; 130 interrupted.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <future>

#include "bench/interrupt.hpp"
#include "bench/served.hpp"
#include "tests/regression/comparison.hpp"
#include "tests/regression/suite.hpp"

namespace {

using namespace turnout;
using namespace turnout::regression;
namespace fs = std::filesystem;

struct Options {
    fs::path program;
    SuiteFiles files;
    fs::path keep;  ///< where results and differences stay to be looked at
};

/// Roles, settings and limits are alike wherever a suite runs, so that its results can be compared byte by byte.
std::unique_ptr<support::Cluster> make_server(int major, const std::string& name) {
    return std::make_unique<support::Cluster>(support::ClusterOptions{.major = major, .name = name, .fsync = false});
}

/// A server, and a proxy in front of it unless it is asked directly.
class Way {
  public:
    Way(const Options& options, std::string name, bool proxied) : options_(options), name_(std::move(name)) {
        server_ = make_server(options.files.major, name_);
        for (const Suite suite : {Suite::isolation, Suite::regress}) create_database(*server_, suite);
        if (!proxied) return;
        standby_ = make_server(options.files.major, name_ + "-standby");
        turnout_ = std::make_unique<bench::Served>(
            bench::ServedOptions{.program = options.program,
                                 .blue = server_->conninfo(""),
                                 .green = standby_->conninfo(""),
                                 .databases = {database_of(Suite::regress), database_of(Suite::isolation)},
                                 .lines = {{"auth", "method = \"trust\""}},
                                 .parent = {}});
    }

    /// Results go below the server's own directory, since the server writes into them, too; a copy stays.
    SuiteRun run(Suite suite) {
        const std::uint16_t port = turnout_ ? turnout_->port() : server_->port();
        SuiteRun run = run_suite(suite, options_.files, port, server_->directory() / regression::name(suite));
        const fs::path kept = options_.keep / name_ / regression::name(suite);
        fs::create_directories(kept.parent_path());
        fs::copy(run.results, kept, fs::copy_options::recursive);
        run.results = kept;
        fmt::print("{:<10} {:<10} {:>4} tests, {:>4} as PostgreSQL's sources expect\n", regression::name(suite), name_,
                   run.tests, run.as_expected);
        std::fflush(stdout);
        return run;
    }

  private:
    const Options& options_;
    std::string name_;
    std::unique_ptr<support::Cluster> server_, standby_;
    std::unique_ptr<bench::Served> turnout_;
};

/// Says what differs; true if nothing does.
bool same(const Options& options, Suite suite, const SuiteRun& direct, const SuiteRun& proxied) {
    const std::vector<Difference> found = differences(direct.results, proxied.results);
    for (const Difference& difference : found) {
        constexpr std::size_t kShown = 4000;
        fmt::print("\n{}: {} differs:\n{}\n", name(suite), difference.file, difference.diff.substr(0, kShown));
    }
    fmt::print("{:<10} {} of {} result files are the same, directly and through turnout\n", name(suite),
               direct.tests - std::min(direct.tests, found.size()), direct.tests);
    if (!found.empty()) fmt::print("The result files are kept below {}\n", options.keep.string());
    std::fflush(stdout);
    return found.empty();
}

bool run(const Options& options) {
    fs::remove_all(options.keep);
    auto other = std::async(std::launch::async, [&] { return std::make_unique<Way>(options, "proxied", true); });
    Way direct(options, "direct", false);
    const std::unique_ptr<Way> proxied = other.get();
    // The isolation suite mostly waits, so both runs may share the machine; the other one wants it for itself.
    auto isolation = std::async(std::launch::async, [&] { return direct.run(Suite::isolation); });
    const SuiteRun proxied_isolation = proxied->run(Suite::isolation);
    const bool isolation_same = same(options, Suite::isolation, isolation.get(), proxied_isolation);
    const SuiteRun direct_regress = direct.run(Suite::regress);
    const bool regress_same = same(options, Suite::regress, direct_regress, proxied->run(Suite::regress));
    return isolation_same && regress_same;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"PostgreSQL's own regression and isolation suites, directly and through turnout."};
    app.add_option("--program", options.program, "the executable turnout")->required()->check(CLI::ExistingFile);
    app.add_option("--files", options.files.root, "where ./dev has unpacked the suites")->required();
    app.add_option("--major", options.files.major, "of the system's PostgreSQL")->capture_default_str();
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
