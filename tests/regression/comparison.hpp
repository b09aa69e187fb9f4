// Result files of two runs, held against each other.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace turnout::regression {

/// One result file that is not the same, or that only one run has.
struct Difference {
    std::string file;
    std::string diff;  ///< as diff -u prints it
};

/// Why a result file may differ, by its name: lines "file  reason", empty ones and those that begin with '#' are left
/// out. Throws std::runtime_error if the file cannot be read or gives no reason.
std::map<std::string, std::string> read_explained(const std::filesystem::path& file);

/// Compares byte by byte every file that stands in either directory.
std::vector<Difference> differences(const std::filesystem::path& direct, const std::filesystem::path& other);

}  // namespace turnout::regression
