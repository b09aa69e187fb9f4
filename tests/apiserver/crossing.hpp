// The way from the operator to the API server, as one that can be stopped at each step: requests that change something
// are told before they are carried out, and after. The operator speaks plain HTTP to it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <string>
#include <thread>

#include "tests/apiserver/passing.hpp"

namespace turnout::apiserver {

class Crossing {
  public:
    /// Leads to the API server of that port.
    Crossing(std::uint16_t api, Passing passing);
    ~Crossing();
    Crossing(const Crossing&) = delete;
    Crossing& operator=(const Crossing&) = delete;

    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  private:
    using Socket = boost::asio::ip::tcp::socket;
    boost::asio::awaitable<void> accept();
    boost::asio::awaitable<void> carry(Socket from);
    boost::asio::awaitable<void> ask(Socket& from,
                                     const boost::beast::http::request<boost::beast::http::string_body>& request,
                                     std::string step);

    boost::asio::io_context context_{1};
    boost::asio::ssl::context tls_;
    boost::asio::ip::tcp::acceptor acceptor_;
    const std::uint16_t api_;
    const Passing passing_;
    std::thread thread_;
};

/// What a request does, in words that are the same each time: "apply statefulsets/app-green", "status Switched Ready:
/// Watching". Empty: it changes nothing, or only the lease, or is an
/// Event, which is for people alone.
std::string step_of(const std::string& method, const std::string& target, const std::string& body);

}  // namespace turnout::apiserver
