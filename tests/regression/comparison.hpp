// Result files of two runs, held against each other.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace turnout::regression {

/// One result file that is not the same, or that only one run has.
struct Difference {
    std::string file;
    std::string diff;  ///< as diff -u prints it
};

/// Compares byte by byte every file that stands in either directory.
std::vector<Difference> differences(const std::filesystem::path& direct, const std::filesystem::path& other);

}  // namespace turnout::regression
