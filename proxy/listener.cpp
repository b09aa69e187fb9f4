#include "proxy/listener.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "proxy/inherited_sockets.hpp"

namespace turnout::proxy {
namespace {

constexpr int kBacklog = 4096;
constexpr std::string_view kUnixPrefix = "unix:";

[[noreturn]] void fail(const std::string& address, const std::string& why) {
    throw std::runtime_error(
        fmt::format("could not listen on \"{}\": {}; name another address in [proxy] listen, or end whoever uses it",
                    address, why));
}

bool somebody_listens(const sockaddr_un& address) {
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool answers = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(probe);
    return answers;
}

BoundSocket listen_unix(const std::string& spelled, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) fail(spelled, "the path is too long for a Unix socket");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    if (const auto given = take_inherited_socket(reinterpret_cast<const sockaddr*>(&address)))
        return {*given, AF_UNIX, {}};  // its file is the service manager's
    if (somebody_listens(address)) fail(spelled, "another process listens there");
    ::unlink(path.c_str());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, kBacklog) != 0) {
        const int error = errno;
        ::close(fd);
        fail(spelled, std::strerror(error));
    }
    // Whoever may enter the directory may connect, as with PostgreSQL's unix_socket_permissions; then authentication
    // decides.
    ::chmod(path.c_str(), 0777);
    return {fd, AF_UNIX, path};
}

/// One of a name's addresses; the errno of what failed, or 0.
int listen_at(const addrinfo& at, BoundSocket& bound) {
    if (const auto given = take_inherited_socket(at.ai_addr)) {
        bound = {*given, at.ai_family, {}};
        return 0;
    }
    bound = {::socket(at.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), at.ai_family, {}};
    if (bound.fd < 0) return errno;
    const int on = 1;
    ::setsockopt(bound.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // Else "*" could not be bound for IPv4 besides, and an IPv4 client would come with an IPv6 address.
    if (at.ai_family == AF_INET6) ::setsockopt(bound.fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (::bind(bound.fd, at.ai_addr, at.ai_addrlen) == 0 && ::listen(bound.fd, kBacklog) == 0) return 0;
    const int error = errno;
    ::close(bound.fd);
    return error;
}

std::vector<BoundSocket> listen_tcp(const std::string& spelled) {
    const std::size_t colon = spelled.rfind(':');
    if (colon == std::string::npos) fail(spelled, "expected host:port");
    std::string host = spelled.substr(0, colon);
    const std::string port = spelled.substr(colon + 1);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    const char* node = host.empty() || host == "*" ? nullptr : host.c_str();
    if (const int error = ::getaddrinfo(node, port.c_str(), &hints, &found); error != 0)
        fail(spelled, ::gai_strerror(error));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
    std::vector<BoundSocket> sockets;
    int failed = 0;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
        BoundSocket bound;
        const int error = listen_at(*at, bound);
        if (error == 0) sockets.push_back(bound);
        // A machine without IPv6 still resolves names to it.
        const bool not_here = error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
        if (error != 0) failed = error;
        if (error == 0 || not_here) continue;
        for (const BoundSocket& one : sockets) ::close(one.fd);
        fail(spelled, std::strerror(error));
    }
    if (sockets.empty()) fail(spelled, std::strerror(failed));
    return sockets;
}

}  // namespace

std::vector<BoundSocket> bind_all(const std::string& address) {
    if (!address.starts_with(kUnixPrefix)) return listen_tcp(address);
    return {listen_unix(address, address.substr(kUnixPrefix.size()) + "/.s.PGSQL.6432")};
}

Listener::Listener(boost::asio::io_context& context, BoundSocket bound, Accepted accepted)
    : loop_(EventLoop::of(context)),
      fd_(bound.fd),
      pause_(context),
      accepted_(std::move(accepted)),
      family_(bound.family),
      path_(std::move(bound.path)) {}

Listener::~Listener() { stop(); }

void Listener::start() {
    if (!loop_.add(fd_, *this))
        throw std::runtime_error(fmt::format("cannot wait for clients: {}", std::strerror(errno)));
}

void Listener::stop() {
    if (fd_ < 0) return;
    pause_.cancel();
    loop_.remove(fd_, *this);
    ::close(std::exchange(fd_, -1));
    if (!path_.empty()) ::unlink(path_.c_str());
}

void Listener::on_events(std::uint32_t /*events*/) { accept_all(); }

void Listener::accept_all() {
    while (fd_ >= 0) {
        const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (fd < 0) {
            // Out of descriptors or memory, or out of order: those who wait meanwhile are not told anew.
            spdlog::error("cannot accept a client: {}", std::strerror(errno));
            pause_.after(std::chrono::milliseconds(100), [this] { accept_all(); });
            return;
        }
        accepted_(fd, family_);
    }
}

}  // namespace turnout::proxy
