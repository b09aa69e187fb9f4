// Connections to a side, up to the point where the StartupMessage may be sent: addresses in order, time-out, TLS as
// libpq's sslmode has it.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <string>
#include <variant>

#include "control/data_plane.hpp"
#include "proxy/stream.hpp"
#include "proxy/tls.hpp"

namespace turnout::proxy {

/// Where a connection really went, so that a cancel request can go to the same place.
struct Peer {
    sockaddr_storage address{};
    socklen_t size = 0;
    std::string host;  ///< as configured, for TLS names
};

struct Connected {
    std::unique_ptr<Stream> stream;
    Peer peer;
};
/// Why no connection could be had: a sentence that names the addresses tried.
struct ConnectFailure {
    std::string reason;
    bool tls = false;  ///< the server was reached, but not by TLS
};
using ConnectResult = std::variant<Connected, ConnectFailure>;

/// Which try of sslmode's two this is: `allow` goes plain first, the others as encrypted as they may.
enum class TlsTry { first, second };

/// Tries the addresses of a side in order until one accepts.
Task<ConnectResult> connect_to(boost::asio::io_context& context, const control::ServerAddress& address, TlsContext tls,
                               TlsTry which);
/// Connects to the place of an earlier connection, with TLS if that one had it.
Task<ConnectResult> connect_to_peer(boost::asio::io_context& context, Peer peer, const control::ServerAddress& address,
                                    TlsContext tls, bool encrypted);

}  // namespace turnout::proxy
