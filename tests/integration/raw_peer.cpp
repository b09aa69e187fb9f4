#include "tests/integration/raw_peer.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/endian/conversion.hpp>
#include <stdexcept>

#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

std::uint32_t big(std::string_view bytes) {
    return boost::endian::load_big_u32(reinterpret_cast<const unsigned char*>(bytes.data()));
}

std::string big(std::uint32_t number) {
    std::string bytes(4, '\0');
    boost::endian::store_big_u32(reinterpret_cast<unsigned char*>(bytes.data()), number);
    return bytes;
}

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
};

Address address_of(const std::string& host, std::uint16_t port) {
    Address address;
    if (host.starts_with('/')) {
        auto& local = reinterpret_cast<sockaddr_un&>(address.storage);
        local.sun_family = AF_UNIX;
        fmt::format_to_n(local.sun_path, sizeof local.sun_path - 1, "{}/.s.PGSQL.{}", host, port);
        address.size = sizeof local;
    } else if (host.find(':') != host.npos) {
        auto& in = reinterpret_cast<sockaddr_in6&>(address.storage);
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(port);
        ::inet_pton(AF_INET6, host.c_str(), &in.sin6_addr);
        address.size = sizeof in;
    } else {
        auto& in = reinterpret_cast<sockaddr_in&>(address.storage);
        in.sin_family = AF_INET;
        in.sin_port = htons(port);
        ::inet_pton(AF_INET, host.c_str(), &in.sin_addr);
        address.size = sizeof in;
    }
    return address;
}

}  // namespace

RawPeer::RawPeer(std::uint16_t port, const std::string& host) {
    const Address address = address_of(host, port);
    fd_ = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) {
        ::close(fd_);
        throw std::runtime_error("cannot connect to " + host);
    }
}

RawPeer::~RawPeer() {
    if (ssl_ != nullptr) SSL_free(ssl_);
    ::close(fd_);
}

void RawPeer::send(std::string_view bytes) {
    const int size = static_cast<int>(bytes.size());
    const bool sent = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), size) == size
                                      : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == size;
    if (!sent) throw std::runtime_error("cannot send");
}

std::size_t RawPeer::read(char* to, std::size_t size) {
    if (ssl_ != nullptr) return static_cast<std::size_t>(std::max(0, SSL_read(ssl_, to, static_cast<int>(size))));
    const ssize_t got = ::recv(fd_, to, size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) throw std::runtime_error("nothing came for 10 s");
    return got < 0 ? 0 : static_cast<std::size_t>(got);
}

std::string RawPeer::byte() {
    char one = 0;
    return read(&one, 1) == 1 ? std::string(1, one) : std::string();
}

bool RawPeer::closed() {
    while (!byte().empty()) {
    }
    return true;
}

bool RawPeer::begin_tls(std::string_view alpn) {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    ssl_ = SSL_new(context.get());
    SSL_set_fd(ssl_, fd_);
    const std::string list = static_cast<char>(alpn.size()) + std::string(alpn);
    if (!alpn.empty())
        SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(list.data()),
                            static_cast<unsigned>(list.size()));
    return SSL_connect(ssl_) == 1;
}

std::string RawPeer::exactly(std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t at = 0; at < size;) {
        const std::size_t got = read(bytes.data() + at, size - at);
        if (got == 0) return {};
        at += got;
    }
    return bytes;
}

std::string RawPeer::message() {
    const std::string header = exactly(5);
    if (header.empty()) return {};
    const std::uint32_t length = big(std::string_view(header).substr(1));
    const std::string body = length > 4 ? exactly(length - 4) : std::string();
    const char type = header.front();
    if (type == 'E') {
        protocol::ErrorFields fields;
        if (protocol::parse(body, fields)) return "E(malformed)";
        return fmt::format("E({})", fields.find(protocol::ErrorField::sqlstate));
    }
    if (type == 'K') {
        pid_ = static_cast<std::int32_t>(big(body));
        secret_ = body.substr(4);
        return fmt::format("K({})", secret_.size());
    }
    if (type == 'v') {
        std::string names;
        for (std::size_t at = 8; at < body.size(); at = body.find('\0', at) + 1)
            names += " " + std::string(body.c_str() + at);
        return fmt::format("v({}.{}:{})", big(body) >> 16U, big(body) & 0xFFFFU, names);
    }
    return std::string(1, type);
}

std::string RawPeer::messages() {
    std::string all;
    for (;;) {
        const std::string one = message();
        if (one != "S" && one != "N" && !one.empty()) all += (all.empty() ? "" : " ") + one;
        if (one.empty() || one == "Z") return all;
    }
}

std::string startup_packet(std::uint16_t major, std::uint16_t minor, std::string_view more) {
    std::string body = big((static_cast<std::uint32_t>(major) << 16U) | minor);
    for (const char* word : {"user", Pair::kRole, "database", "app"}) body += std::string(word) + '\0';
    body += std::string(more) + '\0';
    return big(static_cast<std::uint32_t>(body.size() + 4)) + body;
}

}  // namespace turnout::integration
