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

namespace turnout::proxy {
namespace {

constexpr int kBacklog = 4096;
constexpr std::string_view kUnixPrefix = "unix:";

[[noreturn]] void fail(const std::string& address, const std::string& why) {
    throw std::runtime_error(fmt::format("could not listen on \"{}\": {}", address, why));
}

bool somebody_listens(const sockaddr_un& address) {
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool answers = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(probe);
    return answers;
}

int listen_unix(const std::string& spelled, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) fail(spelled, "the path is too long for a Unix socket");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
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
    return fd;
}

int listen_tcp(const std::string& spelled, int& family) {
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
    const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd, found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd, kBacklog) != 0) {
        const int error = errno;
        ::close(fd);
        fail(spelled, std::strerror(error));
    }
    family = found->ai_family;
    return fd;
}

}  // namespace

Listener::Listener(boost::asio::io_context& context, const std::string& address, Accepted accepted)
    : socket_(context), pause_(context), accepted_(std::move(accepted)) {
    int fd = -1;
    if (address.starts_with(kUnixPrefix)) {
        family_ = AF_UNIX;
        path_ = address.substr(kUnixPrefix.size()) + "/.s.PGSQL.6432";
        fd = listen_unix(address, path_);
    } else {
        fd = listen_tcp(address, family_);
    }
    socket_.assign(fd);
}

Listener::~Listener() { stop(); }

void Listener::start() { wait(); }

void Listener::stop() {
    if (!socket_.is_open()) return;
    boost::system::error_code ignored;
    pause_.cancel();
    socket_.close(ignored);
    if (!path_.empty()) ::unlink(path_.c_str());
}

void Listener::wait() {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](boost::system::error_code error) {
                           if (!error) self->accept_all();
                       });
}

void Listener::accept_all() {
    for (;;) {
        const int fd = ::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            spdlog::error("cannot accept a client: {}", std::strerror(errno));
            pause_.expires_after(std::chrono::milliseconds(100));
            pause_.async_wait([self = shared_from_this()](boost::system::error_code error) {
                if (!error) self->wait();
            });
            return;
        }
        if (fd < 0) break;
        if (family_ != AF_UNIX) {
            const int on = 1;
            ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        }
        accepted_(fd, family_);
    }
    wait();
}

}  // namespace turnout::proxy
