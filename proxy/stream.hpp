// A non-blocking socket, with or without TLS on it, registered once with its worker's loop. OpenSSL works on the socket
// itself (SSL_set_fd): it holds buffers only while bytes are in them (SSL_MODE_RELEASE_BUFFERS), 14 KB a session
// instead of the 71 KB of a pair of memory BIOs.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/data_plane.hpp"
#include "proxy/event_loop.hpp"
#include "proxy/signal.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace turnout::proxy {

/// A connected stream socket of any family. Used by the thread of its io_context only. Waits may overlap, but only one
/// at a time reads. close() ends every wait.
class Stream final : private EventLoop::Watcher {
  public:
    enum class Status : std::uint8_t { ok, want_read, want_write, closed, failed };
    /// bytes is meaningful when status is ok, and then greater than 0.
    struct Io {
        Status status;
        std::size_t bytes;
    };

    /// Takes over a connected or connecting non-blocking socket.
    Stream(boost::asio::io_context& context, int socket, int family);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// One attempt, which never blocks. `want_*` says what to wait for before the next one.
    Io read(void* data, std::size_t size) noexcept;
    Io write(const void* data, std::size_t size) noexcept;

    /// Waits until the socket is ready as `want_read` or `want_write` asks; false when it was closed meanwhile.
    Task<bool> wait(Status want);

    /// Takes what there is with one read(), if that is possible now. True: it shall be called when there is more.
    using Reader = std::function<bool()>;
    /// Calls `reader` whenever there is, or may be, something to read, until that returns false. The coroutine sleeps
    /// meanwhile: no byte that goes on its usual way wakes it. False when the socket was closed, and after interrupt()
    /// true. `reader` may close the socket; what it throws is thrown here. The loop alone calls it, so that it never
    /// runs inside another one, whose bytes stand in the same buffer.
    Task<bool> read_by(const Reader& reader);
    /// Ends the present waits as if the socket were ready: the next attempt tells.
    void interrupt() noexcept;

    /// Whole transfers, for handshakes. False: the peer has gone or the stream failed.
    Task<bool> read_exactly(void* data, std::size_t size);
    Task<bool> write_all(std::string_view data);

    /// The next byte without taking it, or -1. Only before TLS.
    Task<int> peek();

    /// TLS as the server side, or as the client side towards `host_name` (SNI; with `verify_name` the certificate must
    /// carry it). Returns an empty string on success, else what went wrong.
    Task<std::string> accept_tls(ssl_ctx_st* context);
    Task<std::string> connect_tls(ssl_ctx_st* context, std::string host_name, bool verify_name);

    bool tls() const { return ssl_ != nullptr; }
    ssl_st* ssl() const { return ssl_; }
    int socket() const { return fd_; }
    int family() const { return family_; }
    bool open() const { return fd_ >= 0; }
    /// Closes at once, with a TLS close_notify if that can be had without waiting.
    void close() noexcept;

  private:
    static Task<std::string> no_host_name();
    Task<std::string> shake_hands();
    Io tls_result(int result) noexcept;
    Status blocked(Status want) noexcept;
    void watch_tls_reads() noexcept;
    bool may_read() const noexcept { return readable_ || inside_; }
    void on_events(std::uint32_t events) override;
    void call_reader();
    void come_again();
    void resume_later(std::vector<Suspended>& waiters);

    boost::asio::io_context& context_;
    EventLoop& loop_;
    int fd_;
    int family_;
    ssl_st* ssl_ = nullptr;
    // What the kernel has told and no attempt has belied since. A read that brings less than it had room for has taken
    // all: the next byte is told anew. Behind the peer's last byte nothing is.
    bool readable_ = false;
    bool writable_ = false;
    bool hung_up_ = false;
    bool inside_ = false;  ///< OpenSSL has read ahead: the socket need not become readable again
    bool comes_again_ = false;
    const Reader* reader_ = nullptr;
    std::exception_ptr failure_;  ///< what the reader threw
    std::vector<Suspended> to_read_, to_write_;
};

/// Bytes that the other end has sent and nobody has read; 0 for a socket that has gone.
std::size_t unread_bytes(int socket);
/// The name of the user whose process is at the other end of a Unix socket; empty: it cannot be told.
std::string peer_user(int socket);
/// TCP_NODELAY, keepalives and the user timeout. No effect on a Unix socket.
void tune_socket(int socket, int family, const control::TcpSettings& tcp);

/// "127.0.0.1:5432", "[::1]:5432" or "[local]" of the other end.
std::string peer_name(int socket);
/// True for a Unix socket and for a peer on 127.0.0.0/8 or ::1.
bool peer_is_local(int socket);

}  // namespace turnout::proxy
