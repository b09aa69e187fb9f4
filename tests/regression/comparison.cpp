#include "tests/regression/comparison.hpp"

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <stdexcept>

#include "bench/program.hpp"

namespace turnout::regression {

namespace fs = std::filesystem;

namespace {

std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

std::map<std::string, std::string> read_explained(const fs::path& file) {
    std::ifstream lines(file);
    if (!lines) throw std::runtime_error("cannot read " + file.string());
    std::map<std::string, std::string> explained;
    for (std::string line; std::getline(lines, line);) {
        if (line.empty() || line.front() == '#') continue;
        std::istringstream words(line);
        std::string name, reason;
        words >> name >> std::ws;
        if (!std::getline(words, reason)) throw std::runtime_error(file.string() + " gives no reason for " + name);
        explained[name] = reason;
    }
    return explained;
}

std::vector<Difference> differences(const fs::path& direct, const fs::path& other) {
    std::set<std::string> names;
    for (const fs::path& directory : {direct, other}) {
        for (const auto& entry : fs::directory_iterator(directory)) names.insert(entry.path().filename().string());
    }
    std::vector<Difference> found;
    for (const std::string& name : names) {
        const fs::path left = direct / name;
        const fs::path right = other / name;
        if (fs::exists(left) && fs::exists(right) && content(left) == content(right)) continue;
        const bench::Exit exit = bench::run_program(
            {.arguments = {"diff", "-u", "-N", "-a", left.string(), right.string()}, .environment = {}});
        found.push_back({name, exit.out + exit.err});
    }
    return found;
}

}  // namespace turnout::regression
