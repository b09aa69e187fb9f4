#include "program/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace turnout::program {

namespace {

std::optional<long long> number(const char* text) {
    if (text == nullptr) return std::nullopt;
    long long value = 0;
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
    if (error != std::errc{} || *end != '\0') return std::nullopt;
    return value;
}

}  // namespace

void notify(std::string_view assignments) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (path == nullptr || std::strlen(path) < 2 || std::strlen(path) >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path, std::strlen(path));
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
    const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return;
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), size) == 0)
        (void)::send(descriptor, assignments.data(), assignments.size(), MSG_NOSIGNAL);
    ::close(descriptor);
}

std::optional<std::chrono::microseconds> watchdog_period() {
    const auto process = number(std::getenv("WATCHDOG_PID"));
    if (process && *process != ::getpid()) return std::nullopt;
    const auto period = number(std::getenv("WATCHDOG_USEC"));
    if (!period || *period <= 0) return std::nullopt;
    return std::chrono::microseconds(*period / 2);
}

}  // namespace turnout::program
