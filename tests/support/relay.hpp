// A cable between two programs on this machine that can be cut, as by a network that drops every packet.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <thread>

namespace turnout::support {

/// Listens on 127.0.0.1 and carries each connection to another port there. While it is cut nothing passes, either way,
/// and nobody is told: new connections are taken and get no answer. When it is mended, what was sent meanwhile arrives,
/// as by TCP's retransmission. It runs on a thread of its own; all functions may be called from any thread.
class Relay {
  public:
    /// Throws boost::system::system_error if it cannot listen.
    explicit Relay(std::uint16_t to);
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    std::uint16_t port() const { return port_; }
    /// Returns when nothing passes any more.
    void cut();
    void mend();

  private:
    using Socket = boost::asio::ip::tcp::socket;
    boost::asio::awaitable<void> listen();
    boost::asio::awaitable<void> carry(Socket from);
    boost::asio::awaitable<void> pump(Socket& from, Socket& to);
    boost::asio::awaitable<void> passable();

    boost::asio::io_context context_{1};
    boost::asio::ip::tcp::endpoint to_;
    boost::asio::ip::tcp::acceptor acceptor_;
    std::uint16_t port_;
    bool cut_ = false;                  ///< the thread's
    boost::asio::steady_timer mended_;  ///< cancelled when it is
    std::thread thread_;
};

}  // namespace turnout::support
