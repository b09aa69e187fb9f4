// What all benchmarks have in common: their command line, how they end, the file of their figures.
#pragma once

#include <CLI/CLI.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <functional>

#include "bench/terminal.hpp"

namespace turnout::bench {

/// Options of every benchmark; a benchmark's own derive from it.
struct BenchOptions {
    std::filesystem::path program;  ///< the executable turnout; by default the one built beside the benchmark
    int major = 15;                 ///< of the servers; of blue, where a benchmark has a `--green`, too
    std::filesystem::path json;     ///< file for every figure; empty: none
};

/// main() of a benchmark: reads the command line (`more` adds options of its own), then measures. Returns the exit
/// status: that of `measure`, which is 0 where nothing was lost; 1 with what went wrong on the terminal; 130 after
/// Ctrl-C.
int bench_main(int argc, char** argv, const std::string& about, BenchOptions& options,
               const std::function<void(CLI::App&)>& more, const std::function<int(Terminal&)>& measure);

/// Nothing without --json; throws std::runtime_error if the file cannot be written.
void write_json(const BenchOptions& options, const boost::json::value& figures);

}  // namespace turnout::bench
