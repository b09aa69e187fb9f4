#include "socket.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

namespace turnout::test {

namespace {

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

}  // namespace

Socket::Socket(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_in address = loopback(port);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        ::close(fd_);
        throw std::runtime_error("could not connect");
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Socket::~Socket() {
    if (fd_ >= 0) ::close(fd_);
}

Socket::Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

bool Socket::send(std::string_view bytes, std::size_t step) const {
    while (!bytes.empty()) {
        const std::string_view piece = bytes.substr(0, step);
        const ssize_t sent = ::send(fd_, piece.data(), piece.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

std::string Socket::receive(std::size_t size, int patience_ms) const {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, patience_ms) != 1) return {};
    std::string bytes(size, '\0');
    const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), 0);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
}

std::size_t Socket::drain() const {
    std::size_t sum = 0;
    for (std::string got = receive(); !got.empty(); got = receive()) sum += got.size();
    return sum;
}

void Socket::wait_for_hang_up() const {
    pollfd waiting{fd_, POLLRDHUP, 0};
    (void)::poll(&waiting, 1, -1);
}

void Socket::hang_up() const { ::shutdown(fd_, SHUT_RDWR); }

Doorway::Doorway() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) != 0 || ::listen(fd_, 64) != 0)
        throw std::runtime_error("cannot listen");
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
}

Doorway::~Doorway() { ::close(fd_); }

int Doorway::accept() const { return ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC); }

void Doorway::close() const { ::shutdown(fd_, SHUT_RDWR); }

}  // namespace turnout::test
