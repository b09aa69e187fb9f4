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

namespace turnout::proxy {

/// One listening address. Lives on the thread of its io_context; destroyed there or after that thread has ended.
class Listener : public std::enable_shared_from_this<Listener> {
  public:
    /// Called with each accepted, non-blocking socket and its family.
    using Accepted = std::function<void(int socket, int family)>;

    /// Binds "host:port", "[v6]:port" or "unix:/directory" (the socket is /directory/.s.PGSQL.6432). Throws
    /// std::runtime_error that names the address and the reason. A Unix socket's file is replaced only if nobody
    /// answers there.
    Listener(boost::asio::io_context& context, const std::string& address, Accepted accepted);
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
