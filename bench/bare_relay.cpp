// The floor of any proxy that reads and writes sockets: a level-triggered epoll loop on one thread that copies bytes
// between a client and a server and looks at none of them. A peer of the benchmarks, no product: what cannot be written
// at once ends the pair.
//
//     turnout_bare_relay LISTEN_PORT SERVER_PORT
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <vector>

namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

void no_delay(int descriptor) {
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

class Relay {
  public:
    Relay(std::uint16_t listen_port, std::uint16_t server_port) : server_(loopback(server_port)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
        const int on = 1;
        ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        const sockaddr_in here = loopback(listen_port);
        if (::bind(listener_, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0) fail("bind");
        if (::listen(listener_, SOMAXCONN) != 0) fail("listen");
        watch(listener_);
    }

    [[noreturn]] void run() {
        std::array<epoll_event, 256> events{};
        for (;;) {
            const int ready = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
            // A new connection may get the number of one that ends in the same round, of which more may be told there.
            bool accepts = false;
            for (int i = 0; i < ready; ++i) {
                const int descriptor = events.at(static_cast<std::size_t>(i)).data.fd;
                if (descriptor == listener_) {
                    accepts = true;
                } else if (other(descriptor) >= 0 && !pass_on(descriptor)) {
                    end(descriptor);
                }
            }
            if (accepts) accept_one();
        }
    }

  private:
    void watch(int descriptor) const {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = descriptor;
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) fail("epoll_ctl");
    }

    int other(int descriptor) const {
        const auto at = static_cast<std::size_t>(descriptor);
        return at < other_.size() ? other_[at] : -1;
    }

    void pair(int one, int another) {
        const auto needed = static_cast<std::size_t>(std::max(one, another)) + 1;
        if (other_.size() < needed) other_.resize(needed, -1);
        other_[static_cast<std::size_t>(one)] = another;
        other_[static_cast<std::size_t>(another)] = one;
    }

    void accept_one() {
        const int client = ::accept(listener_, nullptr, nullptr);
        if (client < 0) return;
        const int server = ::socket(AF_INET, SOCK_STREAM, 0);
        if (::connect(server, reinterpret_cast<const sockaddr*>(&server_), sizeof server_) != 0) fail("connect");
        for (const int descriptor : {client, server}) {
            no_delay(descriptor);
            watch(descriptor);
        }
        pair(client, server);
    }

    bool pass_on(int from) {
        const ssize_t got = ::recv(from, buffer_.data(), buffer_.size(), 0);
        if (got <= 0) return false;
        return ::send(other(from), buffer_.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) == got;
    }

    void end(int descriptor) {
        for (const int it : {descriptor, other(descriptor)}) {
            other_[static_cast<std::size_t>(it)] = -1;
            ::close(it);
        }
    }

    sockaddr_in server_;
    int epoll_ = ::epoll_create1(0);
    int listener_ = -1;
    std::vector<int> other_;  ///< by descriptor: its counterpart, or -1
    std::array<char, 65536> buffer_{};
};

std::uint16_t port(const char* text) {
    std::uint16_t value = 0;
    std::from_chars(text, text + std::strlen(text), value);
    return value;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fputs("usage: turnout_bare_relay LISTEN_PORT SERVER_PORT\n", stderr);
        return 2;
    }
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
    try {
        Relay(port(argv[1]), port(argv[2])).run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "turnout_bare_relay: %s\n", error.what());
        return 1;
    }
}
