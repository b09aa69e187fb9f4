// Accepts clients and hands each socket to the least loaded worker. (SO_REUSEPORT would spread few connections
// unevenly, and does not exist for Unix sockets.)
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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
class Listener : public std::enable_shared_from_this<Listener> {
  public:
    /// Called with each accepted, non-blocking socket and its family.
    using Accepted = std::function<void(int socket, int family)>;

    Listener(boost::asio::io_context& context, BoundSocket bound, Accepted accepted);
    ~Listener();

    void start();
    void stop();

  private:
    void wait();
    void accept_all();

    boost::asio::posix::stream_descriptor socket_;
    boost::asio::steady_timer pause_;
    Accepted accepted_;
    int family_ = 0;
    std::string path_;  ///< of a Unix socket
};

}  // namespace turnout::proxy
