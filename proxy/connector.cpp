#include "proxy/connector.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <vector>

#include "protocol/startup.hpp"
#include "proxy/blocking.hpp"
#include "proxy/deadline.hpp"

namespace turnout::proxy {
namespace {

namespace asio = boost::asio;
using control::SslMode;

Peer unix_peer(const control::Endpoint& endpoint) {
    Peer peer;
    auto* address = reinterpret_cast<sockaddr_un*>(&peer.address);
    const std::string path = fmt::format("{}/.s.PGSQL.{}", endpoint.host, endpoint.port);
    if (path.size() >= sizeof address->sun_path) return peer;  // size 0: connecting fails with EINVAL, which names it
    address->sun_family = AF_UNIX;
    std::memcpy(address->sun_path, path.c_str(), path.size() + 1);
    peer.size = sizeof *address;
    return peer;
}

Peer tcp_peer(const asio::ip::tcp::endpoint& endpoint, const std::string& host) {
    Peer peer;
    std::memcpy(&peer.address, endpoint.data(), endpoint.size());
    peer.size = static_cast<socklen_t>(endpoint.size());
    peer.host = host;
    return peer;
}

struct Found {
    boost::system::error_code failed;
    std::vector<asio::ip::tcp::endpoint> endpoints;
};

Task<std::vector<Peer>> resolve(asio::io_context& context, control::Endpoint endpoint, std::string& error) {
    std::vector<Peer> peers;
    if (!endpoint.host.empty() && endpoint.host.front() == '/' && endpoint.hostaddr.empty()) {
        peers.push_back(unix_peer(endpoint));
        co_return peers;
    }
    std::string name = endpoint.hostaddr.empty() ? endpoint.host : endpoint.hostaddr;
    if (name.empty()) name = "localhost";
    boost::system::error_code failed;
    const asio::ip::address number = asio::ip::make_address(name, failed);
    if (!failed) {
        peers.push_back(tcp_peer({number, endpoint.port}, endpoint.host));
        co_return peers;
    }
    auto look_up = [name, port = std::to_string(endpoint.port)] {
        Found found;
        asio::io_context here;
        asio::ip::tcp::resolver resolver(here);
        for (const auto& one : resolver.resolve(name, port, found.failed)) found.endpoints.push_back(one.endpoint());
        return found;
    };
    // Named, because GCC 12 destroys temporaries of a co_await expression twice.
    auto looking = run_blocking(context, std::move(look_up));
    const Found found = co_await std::move(looking);
    if (found.failed) error = fmt::format("could not resolve host \"{}\": {}", name, found.failed.message());
    for (const auto& one : found.endpoints) peers.push_back(tcp_peer(one, endpoint.host));
    co_return peers;
}

/// An open, connected stream, or null and why.
Task<std::unique_ptr<Stream>> dial(asio::io_context& context, const Peer& peer, const control::ServerAddress& address,
                                   std::string& error) {
    const int family = peer.address.ss_family;
    const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error = std::strerror(errno);
        co_return nullptr;
    }
    tune_socket(fd, family, address.tcp);
    // A loop that watched it before this would be told that it is not connected.
    const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&peer.address), peer.size) == 0;
    const int reason = errno;
    auto stream = std::make_unique<Stream>(context, fd, family);
    if (!connected) {
        if (reason != EINPROGRESS && reason != EAGAIN) {
            error = std::strerror(reason);
            co_return nullptr;
        }
        const Deadline deadline(context, address.connect_timeout, *stream);
        const bool ready = co_await stream->wait(Stream::Status::want_write);
        int failed = 0;
        socklen_t size = sizeof failed;
        if (!ready || ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0 || failed != 0) {
            error = ready ? std::strerror(failed) : "timed out";
            co_return nullptr;
        }
    }
    co_return stream;
}

/// Asks for TLS where it is wanted. An empty string: the stream is as it should be.
Task<std::string> secure(Stream& stream, std::string host, SslMode mode, TlsContext tls, bool want) {
    if (!want || !tls) co_return std::string();
    std::string request;
    protocol::append(request, protocol::SSLRequest{});
    char answer = 0;
    bool sent = co_await stream.write_all(request);
    // Exactly one byte is read, and nothing may stand behind it: a server speaks when it has been spoken to. What comes
    // later in the clear ends in the handshake, never in the session.
    if (sent) sent = co_await stream.read_exactly(&answer, 1);
    if (!sent) co_return "the server closed the connection when asked for TLS";
    if (unread_bytes(stream.socket()) > 0)
        co_return "received unencrypted data after the answer to SSLRequest: a man in the middle may have put it there";
    if (answer == 'S') co_return co_await stream.connect_tls(tls.get(), std::move(host), mode == SslMode::verify_full);
    if (answer != 'N') co_return "the server's answer to SSLRequest is neither S nor N";
    if (mode == SslMode::prefer || mode == SslMode::allow) co_return std::string();
    co_return "the server does not support TLS, but the side's sslmode requires it";
}

}  // namespace

Task<ConnectResult> connect_to_peer(asio::io_context& context, Peer peer, const control::ServerAddress& address,
                                    TlsContext tls, bool encrypted) {
    std::string error;
    Connected connected;
    connected.peer = peer;
    connected.stream = co_await dial(context, peer, address, error);
    if (!connected.stream) co_return ConnectFailure{error, false};
    const Deadline deadline(context, address.connect_timeout, *connected.stream);
    error = co_await secure(*connected.stream, peer.host, address.ssl_mode, tls, encrypted);
    if (!error.empty()) co_return ConnectFailure{error, true};
    co_return connected;
}

Task<ConnectResult> connect_to(asio::io_context& context, const control::ServerAddress& address, TlsContext tls,
                               TlsTry which) {
    const bool want_tls = tls && (which == TlsTry::first) != (address.ssl_mode == SslMode::allow);
    std::string reasons;
    bool tls_failed = false;
    for (const control::Endpoint& endpoint : address.endpoints) {
        std::string error;
        const std::vector<Peer> peers = co_await resolve(context, endpoint, error);
        for (const Peer& peer : peers) {
            Connected connected;
            connected.peer = peer;
            connected.stream = co_await dial(context, peer, address, error);
            if (connected.stream) {
                const Deadline deadline(context, address.connect_timeout, *connected.stream);
                const bool tcp = peer.address.ss_family != AF_UNIX;
                error = co_await secure(*connected.stream, peer.host, address.ssl_mode, tls, want_tls && tcp);
                if (error.empty()) co_return connected;
                tls_failed = true;
            }
        }
        reasons += fmt::format("{}{}:{}: {}", reasons.empty() ? "" : "; ",
                               endpoint.host.empty() ? endpoint.hostaddr : endpoint.host, endpoint.port,
                               error.empty() ? "no address" : error);
    }
    co_return ConnectFailure{reasons, tls_failed};
}

}  // namespace turnout::proxy
