// The HTTP listener for monitoring: GET and HEAD only, on a thread of its own, so that a scrape never delays a switch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "control/live_feed.hpp"

namespace turnout::control {

/// What is answered to a request.
struct HttpAnswer {
    unsigned status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body;
};

/// An answer of one line that says what is wrong and what to do.
HttpAnswer http_error(unsigned status, std::string_view text);

/// Answers a GET by its path (without a query string). Called on the listener's thread; must not throw.
using HttpHandler = std::function<HttpAnswer(std::string_view path)>;

class HttpServer {
  public:
    /// Binds "host:port" and starts the thread. Throws std::runtime_error that names the address.
    /// `feed`, if there is one, is streamed at /events as server-sent events (HTML standard, "Server-sent events"); it
    /// must outlive this.
    HttpServer(const std::string& address, HttpHandler handler, LiveFeed* feed = nullptr);
    /// Ends the connections and the thread.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// The port that is listened on, also if the address said 0.
    std::uint16_t port() const;

  private:
    struct Running;
    std::unique_ptr<Running> running_;
};

}  // namespace turnout::control
