#include "proxy/stream.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <iterator>
#include <utility>

namespace turnout::proxy {

namespace asio = boost::asio;

Stream::Stream(asio::io_context& context, int socket, int family)
    : context_(context), loop_(EventLoop::of(context)), fd_(socket), family_(family) {
    if (!loop_.add(fd_, *this)) close();
}

Stream::~Stream() { close(); }

Stream::Io Stream::read(void* data, std::size_t size) noexcept {
    if (fd_ < 0) return {Status::closed, 0};
    if (ssl_ != nullptr) {
        ERR_clear_error();
        const int result = SSL_read(ssl_, data, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
        inside_ = result > 0 && SSL_has_pending(ssl_) == 1;
        return tls_result(result);
    }
    for (;;) {
        const ssize_t n = ::recv(fd_, data, size, 0);
        if (n > 0) {
            readable_ = hung_up_ || static_cast<std::size_t>(n) == size;
            return {Status::ok, static_cast<std::size_t>(n)};
        }
        if (n == 0) return {Status::closed, 0};
        if (errno == EINTR) continue;
        return {errno == EAGAIN || errno == EWOULDBLOCK ? blocked(Status::want_read) : Status::failed, 0};
    }
}

Stream::Io Stream::write(const void* data, std::size_t size) noexcept {
    if (fd_ < 0) return {Status::closed, 0};
    if (ssl_ != nullptr) {
        ERR_clear_error();
        return tls_result(SSL_write(ssl_, data, static_cast<int>(std::min<std::size_t>(size, INT_MAX))));
    }
    for (;;) {
        const ssize_t n = ::send(fd_, data, size, MSG_NOSIGNAL);
        if (n >= 0) return {n > 0 ? Status::ok : blocked(Status::want_write), static_cast<std::size_t>(n)};
        if (errno == EINTR) continue;
        return {errno == EAGAIN || errno == EWOULDBLOCK ? blocked(Status::want_write) : Status::failed, 0};
    }
}

Stream::Io Stream::tls_result(int result) noexcept {
    if (result > 0) return {Status::ok, static_cast<std::size_t>(result)};
    switch (SSL_get_error(ssl_, result)) {
        case SSL_ERROR_WANT_READ: return {blocked(Status::want_read), 0};
        case SSL_ERROR_WANT_WRITE: return {blocked(Status::want_write), 0};
        case SSL_ERROR_ZERO_RETURN: return {Status::closed, 0};
        default: return {Status::failed, 0};
    }
}

/// OpenSSL reads as much as its buffer holds: where it got less, nothing is left.
void Stream::watch_tls_reads() noexcept {
    BIO* socket = SSL_get_rbio(ssl_);
    BIO_set_callback_arg(socket, reinterpret_cast<char*>(this));
    BIO_set_callback_ex(
        socket, [](BIO* bio, int operation, const char*, std::size_t room, int, long, int result, std::size_t* bytes) {
            if (operation == (BIO_CB_READ | BIO_CB_RETURN) && result > 0 && *bytes < room) {
                auto* stream = reinterpret_cast<Stream*>(BIO_get_callback_arg(bio));
                stream->readable_ = stream->hung_up_;
            }
            return static_cast<long>(result);
        });
}

/// The kernel has just said so; what it says next is told by the loop.
Stream::Status Stream::blocked(Status want) noexcept {
    (want == Status::want_write ? writable_ : readable_) = false;
    return want;
}

void Stream::on_events(std::uint32_t events) {
    constexpr std::uint32_t over = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (events == 0) comes_again_ = false;
    if ((events & over) != 0) hung_up_ = true;
    if ((events & (EPOLLIN | over)) != 0) readable_ = true;
    std::vector<Suspended> ready;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        writable_ = true;
        if (!to_write_.empty()) {
            loop_.change(fd_, *this, 0);
            ready.swap(to_write_);
        }
    }
    if (may_read()) {
        if (reader_ != nullptr) {
            call_reader();
        } else {
            std::move(to_read_.begin(), to_read_.end(), std::back_inserter(ready));
            to_read_.clear();
        }
    }
    // The first may end this object.
    for (Suspended& waiter : ready) waiter.resume();
}

/// At most one read at a time, so that no stream keeps the others waiting.
void Stream::call_reader() {
    bool more = false;
    try {
        more = (*reader_)();
    } catch (...) {
        failure_ = std::current_exception();  // the coroutine's, as if it had read itself
    }
    if (more) return come_again();
    reader_ = nullptr;
    resume_later(to_read_);
}

void Stream::come_again() {
    if (fd_ < 0 || !may_read() || std::exchange(comes_again_, true)) return;
    loop_.again(*this);
}

void Stream::resume_later(std::vector<Suspended>& waiters) {
    for (Suspended& waiter : std::exchange(waiters, {})) waiter.resume_later(context_);
}

Task<bool> Stream::wait(Status want) {
    if (fd_ < 0) co_return false;
    if (want == Status::want_write) {
        if (writable_) co_return true;
        if (to_write_.empty()) loop_.change(fd_, *this, EPOLLOUT);
        co_await suspend([this](Suspended waiter) { to_write_.push_back(std::move(waiter)); });
    } else {
        if (may_read()) co_return true;
        co_await suspend([this](Suspended waiter) { to_read_.push_back(std::move(waiter)); });
    }
    co_return fd_ >= 0;
}

Task<bool> Stream::read_by(const Reader& reader) {
    if (fd_ < 0) co_return false;
    reader_ = &reader;
    come_again();
    co_await suspend([this](Suspended waiter) { to_read_.push_back(std::move(waiter)); });
    reader_ = nullptr;
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    co_return fd_ >= 0;
}

void Stream::interrupt() noexcept {
    reader_ = nullptr;
    resume_later(to_read_);
    resume_later(to_write_);
}

Task<bool> Stream::read_exactly(void* data, std::size_t size) {
    auto* to = static_cast<char*>(data);
    while (size > 0) {
        const Io io = read(to, size);
        if (io.status == Status::ok) {
            to += io.bytes;
            size -= io.bytes;
            continue;
        }
        if (io.status == Status::closed || io.status == Status::failed) co_return false;
        const bool ready = co_await wait(io.status);
        if (!ready) co_return false;
    }
    co_return true;
}

Task<bool> Stream::write_all(std::string_view data) {
    while (!data.empty()) {
        const Io io = write(data.data(), data.size());
        if (io.status == Status::ok) {
            data.remove_prefix(io.bytes);
            continue;
        }
        if (io.status == Status::closed || io.status == Status::failed) co_return false;
        const bool ready = co_await wait(io.status);
        if (!ready) co_return false;
    }
    co_return true;
}

Task<int> Stream::peek() {
    for (;;) {
        unsigned char byte = 0;
        const ssize_t n = fd_ < 0 ? 0 : ::recv(fd_, &byte, 1, MSG_PEEK);
        if (n == 1) co_return byte;
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) co_return -1;
        if (errno == EAGAIN) blocked(Status::want_read);
        const bool ready = co_await wait(Status::want_read);
        if (!ready) co_return -1;
    }
}

Task<std::string> Stream::accept_tls(ssl_ctx_st* context) {
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd_);
    SSL_set_accept_state(ssl_);
    watch_tls_reads();
    return shake_hands();
}

Task<std::string> Stream::connect_tls(ssl_ctx_st* context, std::string host_name, bool verify_name) {
    if (verify_name && host_name.empty()) return no_host_name();
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd_);
    SSL_set_connect_state(ssl_);
    watch_tls_reads();
    in6_addr numeric{};
    const bool is_address = ::inet_pton(AF_INET, host_name.c_str(), &numeric) == 1 ||
                            ::inet_pton(AF_INET6, host_name.c_str(), &numeric) == 1;
    // RFC 6066, 3: a server name indication is never an address.
    if (!host_name.empty() && !is_address) SSL_set_tlsext_host_name(ssl_, host_name.c_str());
    if (verify_name && is_address) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host_name.c_str());
    if (verify_name && !is_address) SSL_set1_host(ssl_, host_name.c_str());
    return shake_hands();
}

Task<std::string> Stream::no_host_name() {
    co_return "sslmode=verify-full needs a host name to compare the certificate with: give host besides hostaddr";
}

Task<std::string> Stream::shake_hands() {
    for (;;) {
        if (fd_ < 0) co_return "the connection was closed";
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl_);
        if (result == 1) {
            inside_ = SSL_has_pending(ssl_) == 1;
            co_return std::string();
        }
        const Io io = tls_result(result);
        if (io.status != Status::want_read && io.status != Status::want_write) {
            const long verify = SSL_get_verify_result(ssl_);
            if (verify != X509_V_OK) co_return fmt::format("certificate: {}", X509_verify_cert_error_string(verify));
            const unsigned long code = ERR_get_error();
            char text[256] = "the peer closed the connection during the TLS handshake";
            if (code != 0) ERR_error_string_n(code, text, sizeof text);
            co_return std::string(text);
        }
        const bool ready = co_await wait(io.status);
        if (!ready) co_return "the connection was closed during the TLS handshake";
    }
}

void Stream::close() noexcept {
    if (fd_ < 0) return;
    if (ssl_ != nullptr) {
        if (SSL_is_init_finished(ssl_) == 1) {
            ERR_clear_error();
            SSL_shutdown(ssl_);
        }
        SSL_free(ssl_);
        ssl_ = nullptr;
    }
    loop_.remove(fd_, *this);
    ::close(std::exchange(fd_, -1));
    interrupt();
}

std::size_t unread_bytes(int socket) {
    int bytes = 0;
    return ::ioctl(socket, FIONREAD, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

std::string peer_user(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return {};
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 4096> text{};
    if (::getpwuid_r(peer.uid, &entry, text.data(), text.size(), &found) != 0 || found == nullptr) return {};
    return found->pw_name;
}

void tune_socket(int socket, int family, const control::TcpSettings& tcp) {
    if (family == AF_UNIX) return;
    const auto set = [socket](int level, int option, int value) {
        ::setsockopt(socket, level, option, &value, sizeof value);
    };
    const auto seconds = [](control::Milliseconds duration) {
        return std::max(1, static_cast<int>(std::chrono::ceil<std::chrono::seconds>(duration).count()));
    };
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    const bool keepalives = tcp.keepalives && tcp.keepalives_idle.count() > 0;
    set(SOL_SOCKET, SO_KEEPALIVE, keepalives ? 1 : 0);
    if (keepalives) {
        set(IPPROTO_TCP, TCP_KEEPIDLE, seconds(tcp.keepalives_idle));
        set(IPPROTO_TCP, TCP_KEEPINTVL, seconds(tcp.keepalives_interval));
        set(IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(tcp.keepalives_count));
    }
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(tcp.user_timeout.count()));
}

std::string peer_name(int socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "[gone]";
    char text[INET6_ADDRSTRLEN] = "";
    if (address.ss_family == AF_INET) {
        const auto* in = reinterpret_cast<const sockaddr_in*>(&address);
        ::inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        return fmt::format("{}:{}", text, ntohs(in->sin_port));
    }
    if (address.ss_family == AF_INET6) {
        const auto* in = reinterpret_cast<const sockaddr_in6*>(&address);
        ::inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
        return fmt::format("[{}]:{}", text, ntohs(in->sin6_port));
    }
    return "[local]";
}

bool peer_is_local(int socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
    if (address.ss_family == AF_UNIX) return true;
    if (address.ss_family == AF_INET) {
        const auto* in = reinterpret_cast<const sockaddr_in*>(&address);
        return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
    if (address.ss_family == AF_INET6) {
        const auto* in = reinterpret_cast<const sockaddr_in6*>(&address);
        if (IN6_IS_ADDR_LOOPBACK(&in->sin6_addr)) return true;
        return IN6_IS_ADDR_V4MAPPED(&in->sin6_addr) && in->sin6_addr.s6_addr[12] == 127;
    }
    return false;
}

}  // namespace turnout::proxy
