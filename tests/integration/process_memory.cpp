#include "tests/integration/process_memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <system_error>

namespace turnout::integration {

std::string memory_of(pid_t process) {
    const int descriptor = ::open(fmt::format("/proc/{}/mem", process).c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "the memory of another process");
    std::string all;
    std::ifstream maps(fmt::format("/proc/{}/maps", process));
    for (std::string line; std::getline(maps, line);) {
        std::uint64_t begin = 0, end = 0;
        char rights[5] = "";
        if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) != 3 || rights[1] != 'w') continue;
        const std::size_t before = all.size();
        all.resize(before + (end - begin));
        const ssize_t got = ::pread(descriptor, all.data() + before, end - begin, static_cast<off_t>(begin));
        all.resize(before + static_cast<std::size_t>(got < 0 ? 0 : got));  // a region may have gone meanwhile
    }
    ::close(descriptor);
    return all;
}

std::size_t occurrences(std::string_view memory, std::string_view bytes) {
    std::size_t count = 0;
    for (std::size_t at = memory.find(bytes); at != std::string_view::npos; at = memory.find(bytes, at + 1)) ++count;
    return count;
}

}  // namespace turnout::integration
