#include "bench/cpu_time.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace turnout::bench {

namespace fs = std::filesystem;

namespace {

std::vector<fs::path> threads(pid_t process) {
    std::vector<fs::path> found;
    std::error_code gone;
    for (fs::directory_iterator it(fmt::format("/proc/{}/task", process), gone), end; !gone && it != end;
         it.increment(gone)) {
        found.push_back(it->path());
    }
    return found;
}

void for_tree(pid_t process, const std::function<void(pid_t)>& visit) {
    visit(process);
    for (const fs::path& thread : threads(process)) {
        std::ifstream children(thread / "children");
        for (pid_t child = 0; children >> child;) for_tree(child, visit);
    }
}

}  // namespace

std::chrono::nanoseconds cpu_time(pid_t process) {
    std::chrono::nanoseconds sum{0};
    for_tree(process, [&](pid_t one) {
        for (const fs::path& thread : threads(one)) {
            std::int64_t running = 0;
            if (std::ifstream(thread / "schedstat") >> running) sum += std::chrono::nanoseconds(running);
        }
    });
    return sum;
}

std::uint64_t resident_bytes(pid_t process) {
    std::uint64_t sum = 0;
    for_tree(process, [&](pid_t one) {
        std::ifstream status(fmt::format("/proc/{}/status", one));
        for (std::string word; status >> word;) {
            std::uint64_t kilobytes = 0;
            if (word == "VmRSS:" && status >> kilobytes) sum += kilobytes * 1024;
        }
    });
    return sum;
}

}  // namespace turnout::bench
