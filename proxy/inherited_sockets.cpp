#include "proxy/inherited_sockets.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>

namespace turnout::proxy {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

struct Inherited {
    int fd;
    sockaddr_storage address{};
    socklen_t size = sizeof(sockaddr_storage);
};

std::mutex mutex;
std::vector<Inherited> inherited;

template <class Number>
std::optional<Number> from_environment(const char* name) {
    const char* text = std::getenv(name);
    if (text == nullptr) return std::nullopt;
    const std::string_view digits(text);
    Number value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

int option(int fd, int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

template <class Address>
Address as(const sockaddr* address) {
    Address copy;
    std::memcpy(&copy, address, sizeof copy);
    return copy;
}

std::string spelled(const Inherited& socket) {
    const auto* address = reinterpret_cast<const sockaddr*>(&socket.address);
    char text[INET6_ADDRSTRLEN] = "";
    switch (address->sa_family) {
        case AF_INET: {
            const auto four = as<sockaddr_in>(address);
            ::inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
            return fmt::format("{}:{}", text, ntohs(four.sin_port));
        }
        case AF_INET6: {
            const auto six = as<sockaddr_in6>(address);
            ::inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
            return fmt::format("[{}]:{}", text, ntohs(six.sin6_port));
        }
        case AF_UNIX: return fmt::format("unix:{}", as<sockaddr_un>(address).sun_path);
        default: return fmt::format("descriptor {}", socket.fd);
    }
}

/// Why it cannot be used; empty: it can.
std::string problem(const Inherited& socket) {
    if (option(socket.fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM || option(socket.fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
        return fmt::format("descriptor {} is no listening stream socket: ListenStream= and Accept=no make one",
                           socket.fd);
    if (socket.address.ss_family == AF_INET6 && option(socket.fd, IPPROTO_IPV6, IPV6_V6ONLY) != 1)
        return fmt::format("{} takes IPv4 as well: set BindIPv6Only=ipv6-only and name an address for IPv4 besides",
                           spelled(socket));
    return {};
}

bool same(const Inherited& socket, const sockaddr* address) {
    if (socket.address.ss_family != address->sa_family) return false;
    const auto* own = reinterpret_cast<const sockaddr*>(&socket.address);
    switch (address->sa_family) {
        case AF_INET: {
            const auto a = as<sockaddr_in>(own), b = as<sockaddr_in>(address);
            return a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr;
        }
        case AF_INET6: {
            const auto a = as<sockaddr_in6>(own), b = as<sockaddr_in6>(address);
            return a.sin6_port == b.sin6_port && std::memcmp(&a.sin6_addr, &b.sin6_addr, sizeof a.sin6_addr) == 0;
        }
        case AF_UNIX: return std::strcmp(as<sockaddr_un>(own).sun_path, as<sockaddr_un>(address).sun_path) == 0;
        default: return false;
    }
}

}  // namespace

std::vector<std::string> adopt_inherited_sockets() {
    const std::lock_guard lock(mutex);
    const auto pid = from_environment<pid_t>("LISTEN_PID");
    const auto count = from_environment<int>("LISTEN_FDS");
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
    std::vector<std::string> problems;
    if (pid != ::getpid() || !count) return problems;
    for (int fd = kFirst; fd < kFirst + *count; ++fd) {
        Inherited socket{fd};
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (::getsockname(fd, reinterpret_cast<sockaddr*>(&socket.address), &socket.size) != 0) socket.size = 0;
        std::string wrong = problem(socket);
        if (wrong.empty()) {
            ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
            inherited.push_back(socket);
        } else {
            problems.push_back(std::move(wrong));
            ::close(fd);
        }
    }
    return problems;
}

std::optional<int> take_inherited_socket(const sockaddr* address) {
    const std::lock_guard lock(mutex);
    for (auto it = inherited.begin(); it != inherited.end(); ++it) {
        if (!same(*it, address)) continue;
        const int fd = it->fd;
        inherited.erase(it);
        return fd;
    }
    return std::nullopt;
}

std::vector<std::string> drop_inherited_sockets() {
    const std::lock_guard lock(mutex);
    std::vector<std::string> dropped;
    for (const Inherited& socket : inherited) {
        dropped.push_back(spelled(socket));
        ::close(socket.fd);
    }
    inherited.clear();
    return dropped;
}

}  // namespace turnout::proxy
