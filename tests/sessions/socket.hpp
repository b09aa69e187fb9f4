// A plain blocking TCP connection on 127.0.0.1, for peers that do not keep to the protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace turnout::test {

/// Errors are quiet: the other end may hang up whenever it likes.
class Socket {
  public:
    /// Connects; throws std::runtime_error if nobody listens.
    explicit Socket(std::uint16_t port);
    /// Takes over an accepted one.
    static Socket accepted(int descriptor) { return Socket(descriptor, 0); }
    ~Socket();
    Socket(Socket&& other) noexcept;
    Socket& operator=(Socket&&) = delete;

    /// Sends all of it, in pieces of at most `step` bytes; false: the other end has hung up.
    bool send(std::string_view bytes, std::size_t step = SIZE_MAX) const;
    /// What has come, at most `size` bytes; empty at the end of the connection, or when nothing came for so long (-1:
    /// it waits for ever).
    std::string receive(std::size_t size = 65536, int patience_ms = 10'000) const;
    /// Waits without reading.
    void wait_for_hang_up() const;
    /// Until the other end hangs up: how many bytes came.
    std::size_t drain() const;
    /// Ends both directions; a thread that waits in receive() wakes up.
    void hang_up() const;
    int descriptor() const { return fd_; }

  private:
    Socket(int descriptor, int) : fd_(descriptor) {}
    int fd_ = -1;
};

/// A listening socket on a port of 127.0.0.1 that the kernel chooses.
class Doorway {
  public:
    Doorway();
    ~Doorway();
    Doorway(const Doorway&) = delete;
    Doorway& operator=(const Doorway&) = delete;
    std::uint16_t port() const { return port_; }
    /// The next connection's descriptor; -1 after close().
    int accept() const;
    void close() const;

  private:
    int fd_ = -1;
    std::uint16_t port_ = 0;
};

}  // namespace turnout::test
