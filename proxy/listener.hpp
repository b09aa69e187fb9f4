// Accepts clients and hands each socket to the least loaded worker. (SO_REUSEPORT would spread few connections
// unevenly, and does not exist for Unix sockets.)
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>
#include <vector>

#include "proxy/event_loop.hpp"

namespace turnout::proxy {

/// A bound and listening socket; whoever makes a Listener of it gives it away.
struct BoundSocket {
    int fd = -1;
    int family = 0;
    std::string path;  ///< of a Unix socket
};

/// Binds "host:port", "[v6]:port", "*:port" or "unix:/directory" (the socket is /directory/.s.PGSQL.6432): every
/// address that the name stands for, as PostgreSQL's listen_addresses does. Throws std::runtime_error that names the
/// address and the reason. A Unix socket's file is replaced only if nobody answers there.
std::vector<BoundSocket> bind_all(const std::string& address);

/// One listening socket. Lives on the thread of its io_context; destroyed there or after that thread has ended.
class Listener final : private EventLoop::Watcher {
  public:
    /// Called with each accepted, non-blocking socket and its family.
    using Accepted = std::function<void(int socket, int family)>;

    Listener(boost::asio::io_context& context, BoundSocket bound, Accepted accepted);
    ~Listener();

    void start();
    void stop();

  private:
    void on_events(std::uint32_t events) override;
    void accept_all();

    EventLoop& loop_;
    int fd_;
    Timer pause_;
    Accepted accepted_;
    int family_ = 0;
    std::string path_;  ///< of a Unix socket
};

}  // namespace turnout::proxy
