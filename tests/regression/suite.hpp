// PostgreSQL's own test suites, run against an address: pg_regress and isolationtester's pg_isolation_regress.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/cluster.hpp"

namespace turnout::regression {

/// Where `./dev` has unpacked them: <root>/regress, <root>/isolation (inputs) and <root>/lib (regress.so and the
/// modules of contrib's that the suite loads).
struct SuiteFiles {
    std::filesystem::path root;
    int major = 15;  ///< of the servers, of psql and of pg_regress, which have to be the system's own packages
};

enum class Suite { regress, isolation };

/// "regress", "isolation".
std::string name(Suite suite);

/// The database that a suite uses; it is made as pg_regress makes it, so that the suite finds it as it expects.
std::string database_of(Suite suite);
void create_database(const support::Cluster& server, Suite suite);

/// What a run left behind.
struct SuiteRun {
    std::filesystem::path results;  ///< one file a test
    std::filesystem::path log;      ///< what pg_regress printed
    std::size_t tests = 0;
    std::size_t as_expected = 0;  ///< tests whose result is one of those that PostgreSQL's sources expect
};

/// Which part of a suite runs, and how.
struct SuiteSelection {
    std::vector<std::string> tests{};  ///< one after the other; empty: all, in the groups of the suite's schedule
    unsigned connections = 0;          ///< how many tests of a group may run at once; 0: all
};

/// Runs a suite as the superuser against 127.0.0.1:`port` and leaves its results below `output`, which is made. The
/// database must exist. As root the suite runs as the servers' user, since both write into the same places. Throws
/// std::runtime_error if no result came about at all.
SuiteRun run_suite(Suite suite, const SuiteFiles& files, std::uint16_t port, const std::filesystem::path& output,
                   const SuiteSelection& selection = {});

}  // namespace turnout::regression
