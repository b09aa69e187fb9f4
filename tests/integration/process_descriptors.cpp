#include "tests/integration/process_descriptors.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace turnout::integration {
namespace {

namespace fs = std::filesystem;

/// The kernel's numbers of TCP states, from 1.
constexpr std::array kStates{"ESTABLISHED", "SYN_SENT",   "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
                             "CLOSE",       "CLOSE_WAIT", "LAST_ACK", "LISTEN",    "CLOSING"};

/// Sockets by the inode that a descriptor's link names.
using Sockets = std::map<std::string, std::string>;

void read_tcp(const fs::path& table, Sockets& sockets) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);  // the heading
    while (std::getline(file, line)) {
        std::istringstream fields(line);
        std::string slot, local, peer, state, skipped, inode;
        fields >> slot >> local >> peer >> state;
        for (int i = 0; i < 5; ++i) fields >> skipped;
        fields >> inode;
        const auto port = [](const std::string& address) {
            return std::stoul(address.substr(address.rfind(':') + 1), nullptr, 16);
        };
        const std::size_t number = std::stoul(state, nullptr, 16);
        sockets[inode] = fmt::format("TCP {} > {} {}", port(local), port(peer),
                                     number >= 1 && number <= kStates.size() ? kStates[number - 1] : state);
    }
}

void read_unix(const fs::path& table, Sockets& sockets) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        std::istringstream fields(line);
        std::string skipped, inode, path;
        for (int i = 0; i < 6; ++i) fields >> skipped;
        fields >> inode >> path;
        sockets[inode] = "unix " + path;
    }
}

}  // namespace

std::vector<std::string> descriptors_of(pid_t process) {
    const fs::path proc = fs::path("/proc") / std::to_string(process);
    std::map<int, std::string> links;
    for (const fs::directory_entry& entry : fs::directory_iterator(proc / "fd")) {
        std::error_code gone;
        const std::string link = fs::read_symlink(entry, gone).string();
        if (!gone) links[std::stoi(entry.path().filename().string())] = link;
    }
    Sockets sockets;
    for (const char* table : {"tcp", "tcp6"}) read_tcp(proc / "net" / table, sockets);
    read_unix(proc / "net" / "unix", sockets);
    std::vector<std::string> all;
    for (const auto& [number, link] : links) {
        const bool socket = link.starts_with("socket:[");
        const auto found = socket ? sockets.find(link.substr(8, link.size() - 9)) : sockets.end();
        all.push_back(fmt::format("{} {}", number, found == sockets.end() ? link : found->second));
    }
    return all;
}

}  // namespace turnout::integration
