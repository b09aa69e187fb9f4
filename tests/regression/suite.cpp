#include "tests/regression/suite.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "bench/program.hpp"
#include "tests/support/cluster_process.hpp"

namespace turnout::regression {

namespace fs = std::filesystem;

namespace {

constexpr auto kPatience = std::chrono::minutes(30);  // ends a hang

/// What pg_regress sets for the database that it makes itself.
constexpr const char* kSettings[] = {"lc_messages TO 'C'",    "lc_monetary TO 'C'",
                                     "lc_numeric TO 'C'",     "lc_time TO 'C'",
                                     "bytea_output TO 'hex'", "timezone_abbreviations TO 'Default'"};

/// <bindir>/../lib/pgxs/src/test, where Debian's packages have the drivers of the suites.
fs::path driver(Suite suite, const fs::path& binaries) {
    const fs::path tests = binaries.parent_path() / "lib/pgxs/src/test";
    return suite == Suite::regress ? tests / "regress/pg_regress" : tests / "isolation/pg_isolation_regress";
}

std::vector<std::string> command(Suite suite, const SuiteFiles& files, std::uint16_t port, const fs::path& output,
                                 const SuiteSelection& selection) {
    const auto binaries = support::server_binaries(files.major);
    if (!binaries) throw std::runtime_error(fmt::format("PostgreSQL {} is not installed", files.major));
    const fs::path program = driver(suite, *binaries);
    if (!fs::exists(program)) throw std::runtime_error(program.string() + " is missing: run ./dev regress");
    const fs::path input = files.root / name(suite);
    std::vector<std::string> arguments;
    if (const auto user = support::server_user()) arguments = {"runuser", "-u", user->name, "--"};
    // That user may have no way into the directory that this process runs in.
    arguments.insert(arguments.end(), {"env", "--chdir=" + output.string()});
    for (const std::string& argument :
         {program.string(), std::string("--use-existing"), "--inputdir=" + input.string(),
          "--outputdir=" + output.string(), "--bindir=" + binaries->string(),
          "--dlpath=" + (files.root / "lib").string(), std::string("--host=127.0.0.1"), fmt::format("--port={}", port),
          std::string("--user=postgres"), "--dbname=" + database_of(suite), std::string("--max-concurrent-tests=20"),
          fmt::format("--max-connections={}", selection.connections)}) {
        arguments.push_back(argument);
    }
    arguments.insert(arguments.end(), selection.tests.begin(), selection.tests.end());
    if (selection.tests.empty()) {
        const char* schedule = suite == Suite::regress ? "parallel_schedule" : "isolation_schedule";
        arguments.push_back("--schedule=" + (input / schedule).string());
    }
    return arguments;
}

/// One line for each test: "test boolean ... ok 31 ms" and "... FAILED 31 ms", from 16 on "ok 1 - boolean 31 ms" and
/// "not ok 1 - boolean 31 ms".
void count(SuiteRun& run, const std::string& said) {
    std::istringstream lines(said);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t dots = line.find(" ... ");
        const std::string_view verdict = dots == line.npos ? line : std::string_view(line).substr(dots + 5);
        const bool ok = verdict.starts_with("ok ");
        const bool told = dots != line.npos || ok || verdict.starts_with("not ok ");
        if (told) ++run.tests;
        if (told && ok) ++run.as_expected;
    }
}

}  // namespace

std::string name(Suite suite) { return suite == Suite::regress ? "regress" : "isolation"; }

std::string database_of(Suite suite) { return suite == Suite::regress ? "regression" : "isolation_regression"; }

void create_database(const support::Cluster& server, Suite suite) {
    const std::string database = database_of(suite);
    server.execute(fmt::format("CREATE DATABASE {} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'", database));
    for (const char* setting : kSettings) server.execute(fmt::format("ALTER DATABASE {} SET {}", database, setting));
}

SuiteRun run_suite(Suite suite, const SuiteFiles& files, std::uint16_t port, const fs::path& output,
                   const SuiteSelection& selection) {
    fs::create_directories(output);
    if (const auto user = support::server_user(); user && ::chown(output.c_str(), user->uid, user->gid) != 0)
        throw std::runtime_error("cannot give " + output.string() + " to " + user->name);
    bench::Program program({.arguments = command(suite, files, port, output, selection), .environment = {}});
    const bench::Exit exit = program.wait(kPatience);
    SuiteRun run;
    run.results = output / "results";
    run.log = output / "log";
    std::ofstream(run.log) << exit.out << exit.err;
    count(run, exit.out);
    if (run.tests == 0) throw std::runtime_error(fmt::format("{} did not run: {}{}", name(suite), exit.out, exit.err));
    return run;
}

}  // namespace turnout::regression
