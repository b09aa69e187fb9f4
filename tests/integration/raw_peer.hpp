// A client that sends bytes as it is told and looks at what comes back, with or without TLS.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct ssl_st;

namespace turnout::integration {

/// Blocking; nothing waits longer than 10 s. Throws std::runtime_error.
class RawPeer {
  public:
    /// `host`: an address, or the directory of a Unix socket.
    explicit RawPeer(std::uint16_t port, const std::string& host = "127.0.0.1");
    ~RawPeer();
    RawPeer(const RawPeer&) = delete;
    RawPeer& operator=(const RawPeer&) = delete;

    void send(std::string_view bytes);
    /// The next byte, or nothing if the other end has closed the connection.
    std::string byte();
    /// Whether the other end has closed the connection; reads what comes before and drops it.
    bool closed();
    /// TLS with this ALPN protocol, or without ALPN if it is empty. False: refused.
    bool begin_tls(std::string_view alpn);

    /// One message as "E(28000)", "K(4)" (the length of the key), "v(196610: _pq_.x)" or its type; empty at the end of
    /// the connection.
    std::string message();
    /// Messages up to and including ReadyForQuery or the end, joined by spaces; `S` and `N` are left out.
    std::string messages();
    std::int32_t pid() const { return pid_; }
    const std::string& secret() const { return secret_; }

  private:
    std::size_t read(char* to, std::size_t size);
    std::string exactly(std::size_t size);

    int fd_ = -1;
    ssl_st* ssl_ = nullptr;
    std::int32_t pid_ = 0;
    std::string secret_;
};

/// A StartupMessage for `app` in this version, with more parameters as "name\0value\0".
std::string startup_packet(std::uint16_t major, std::uint16_t minor, std::string_view more = {});

}  // namespace turnout::integration
