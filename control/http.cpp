#include "control/http.hpp"

#include <pthread.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "control/listen_address.hpp"

namespace turnout::control {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

namespace {

/// A client that takes longer over a request or its answer is dropped; a kept-alive one may rest as long.
constexpr std::chrono::seconds kPatience{30};
/// Browsers send a few kilobytes of headers at most.
constexpr std::size_t kHeaderLimit = 16 * 1024;

http::response<http::string_body> respond(const http::request<http::empty_body>& request, const HttpHandler& handler) {
    http::response<http::string_body> response;
    response.version(request.version());
    response.keep_alive(request.keep_alive());
    response.set(http::field::server, "turnout");
    response.set(http::field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
        response.result(http::status::method_not_allowed);
        response.set(http::field::allow, "GET, HEAD");
        response.body() =
            http_error(405, "this only shows: use GET or HEAD, and turnout's verbs to change something").body;
        response.prepare_payload();
        return response;
    }
    const std::string_view target(request.target().data(), request.target().size());
    HttpAnswer answer = handler(target.substr(0, target.find('?')));
    response.result(answer.status);
    response.set(http::field::content_type, answer.content_type);
    response.body() = std::move(answer.body);
    response.prepare_payload();
    if (request.method() == http::verb::head) response.body().clear();  // the length stays
    return response;
}

/// More watchers than a few are no people.
constexpr unsigned kMostWatchers = 64;
constexpr std::chrono::milliseconds kBetweenLooks{100};
/// A comment now and then tells a client that is gone from one that has no news.
constexpr std::chrono::seconds kSilence{10};

constexpr std::string_view kEventsHead =
    "HTTP/1.1 200 OK\r\nServer: turnout\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n";

/// Until the client goes.
asio::awaitable<void> stream_events(beast::tcp_stream& stream, LiveFeed& feed) {
    LiveFeed::Watcher watcher(feed);
    asio::steady_timer again(co_await asio::this_coro::executor);
    beast::error_code error;
    std::string writing(kEventsHead);
    auto written = std::chrono::steady_clock::now();
    while (!error) {
        if (const auto event = watcher.news()) writing += "data: " + *event + "\n\n";
        const auto now = std::chrono::steady_clock::now();
        if (writing.empty() && now - written > kSilence) writing = ": still here\n\n";
        if (!writing.empty()) {
            stream.expires_after(kPatience);
            co_await asio::async_write(stream, asio::buffer(writing), asio::redirect_error(asio::use_awaitable, error));
            writing.clear();
            written = now;
            continue;
        }
        again.expires_after(kBetweenLooks);
        boost::system::error_code woken;
        co_await again.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
}

bool wants_events(const http::request<http::empty_body>& request) {
    return request.method() == http::verb::get && request.target() == "/events";
}

asio::awaitable<void> serve_client(tcp::socket socket, const HttpHandler& handler, LiveFeed* feed) {
    beast::tcp_stream stream(std::move(socket));
    beast::flat_buffer buffer;
    beast::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    for (;;) {
        http::request_parser<http::empty_body> parser;
        parser.header_limit(kHeaderLimit);
        stream.expires_after(kPatience);
        co_await http::async_read(stream, buffer, parser, token);
        if (error) break;
        if (feed != nullptr && feed->watchers() < kMostWatchers && wants_events(parser.get())) {
            co_await stream_events(stream, *feed);
            break;
        }
        const auto response = respond(parser.get(), handler);
        if (parser.get().method() == http::verb::head) {
            http::response_serializer<http::string_body> serializer(response);
            co_await http::async_write_header(stream, serializer, token);
        } else {
            co_await http::async_write(stream, response, token);
        }
        if (error || !response.keep_alive()) break;
    }
    stream.socket().shutdown(tcp::socket::shutdown_send, error);
}

}  // namespace

HttpAnswer http_error(unsigned status, std::string_view text) {
    return {.status = status, .body = std::string(text) + "\n"};
}

struct HttpServer::Running {
    Running(HttpHandler answer, LiveFeed* events) : handler(std::move(answer)), feed(events) {}

    asio::awaitable<void> accept() {
        asio::steady_timer pause(context);
        for (;;) {
            boost::system::error_code error;
            tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
            if (!error) {
                asio::co_spawn(context, serve_client(std::move(socket), handler, feed), asio::detached);
                continue;
            }
            pause.expires_after(std::chrono::milliseconds(100));
            co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
        }
    }

    HttpHandler handler;
    LiveFeed* feed;
    asio::io_context context{1};
    tcp::acceptor acceptor{context};
    std::thread thread;
};

HttpServer::HttpServer(const std::string& address, HttpHandler handler, LiveFeed* feed)
    : running_(std::make_unique<Running>(std::move(handler), feed)) {
    const auto parts = parse_host_and_port(address);
    if (!parts) throw std::runtime_error("'" + address + "' is no address to listen on: write HOST:PORT");
    try {
        tcp::resolver resolver(running_->context);
        const auto found = resolver.resolve(parts->host, std::to_string(parts->port), tcp::resolver::passive);
        const tcp::endpoint endpoint = found.begin()->endpoint();
        running_->acceptor.open(endpoint.protocol());
        running_->acceptor.set_option(tcp::acceptor::reuse_address(true));
        running_->acceptor.bind(endpoint);
        running_->acceptor.listen();
    } catch (const boost::system::system_error& error) {
        throw std::runtime_error("cannot listen on " + address + " for metrics: " + error.code().message() +
                                 "; name another address in [metrics] listen");
    }
    asio::co_spawn(running_->context, running_->accept(), asio::detached);
    running_->thread = std::thread([running = running_.get()] {
        pthread_setname_np(pthread_self(), "http");
        running->context.run();
    });
}

HttpServer::~HttpServer() {
    running_->context.stop();
    running_->thread.join();
}

std::uint16_t HttpServer::port() const { return running_->acceptor.local_endpoint().port(); }

}  // namespace turnout::control
