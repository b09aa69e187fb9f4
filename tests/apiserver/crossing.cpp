#include "tests/apiserver/crossing.hpp"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "control/kubernetes/fields.hpp"

namespace turnout::apiserver {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;
using tcp = asio::ip::tcp;

namespace {

json::object parsed(const std::string& text) {
    boost::system::error_code error;
    json::value value = json::parse(text, error);
    return error || !value.is_object() ? json::object{} : value.get_object();
}

std::string status_step(const json::object& status) {
    std::string ready;
    for (const json::value& condition : kubernetes::array_in(status, {"conditions"}))
        if (kubernetes::text_in(condition.as_object(), {"type"}) == "Ready")
            ready = kubernetes::text_in(condition.as_object(), {"reason"});
    return "status " + kubernetes::text_in(status, {"phase"}) + ", " + ready;
}

/// Where a merge patch leads a Service.
std::string service_step(const json::object& patch) {
    const std::string to = kubernetes::text_in(patch, {"spec", "selector", "app.kubernetes.io/component"});
    return to.empty() ? "the old server" : "the " + to;
}

/// Until the other end is closed; what comes before is of no interest.
asio::awaitable<void> until_gone(tcp::socket& socket) {
    std::array<char, 64> piece{};
    boost::system::error_code error;
    while (!error)
        co_await socket.async_read_some(asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
}

}  // namespace

std::string step_of(const std::string& method, const std::string& target, const std::string& body) {
    if (method == "GET") return {};
    const std::string path = target.substr(0, target.find('?'));
    const auto space = path.find("/namespaces/");
    const auto kind = path.find('/', space + 12);
    if (space == std::string::npos || kind == std::string::npos) return method + " " + path;
    const std::string what = path.substr(kind + 1);
    if (what.starts_with("leases") || what == "events") return {};
    const json::object object = parsed(body);
    if (what.ends_with("/status")) return status_step(kubernetes::object_in(object, {"status"}));
    if (what.starts_with("pgupgrades/"))
        return kubernetes::array_in(object, {"metadata", "finalizers"}).empty() ? "finalizer away" : "finalizer set";
    if (method == "DELETE") return "remove " + what;
    if (target.find("force=true") != std::string::npos) return "apply " + what;
    return what + " leads to " + service_step(object);
}

Crossing::Crossing(std::uint16_t api, Passing passing)
    : tls_(asio::ssl::context::tls_client),
      acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
      api_(api),
      passing_(std::move(passing)) {
    asio::co_spawn(context_, accept(), asio::detached);
    thread_ = std::thread([this] { context_.run(); });
}

Crossing::~Crossing() {
    context_.stop();
    thread_.join();
}

asio::awaitable<void> Crossing::accept() {
    for (;;) {
        Socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
        asio::co_spawn(context_, carry(std::move(socket)), asio::detached);
    }
}

asio::awaitable<void> Crossing::carry(Socket from) {
    using namespace asio::experimental::awaitable_operators;
    beast::flat_buffer buffer;
    http::request_parser<http::string_body> parser;
    parser.body_limit(std::uint64_t{16} << 20);
    boost::system::error_code error;
    co_await http::async_read(from, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    const auto request = parser.release();
    const std::string step =
        step_of(std::string(request.method_string()), std::string(request.target()), request.body());
    if (!step.empty() && !passing_(step, Moment::before)) co_return;
    co_await (ask(from, request, step) || until_gone(from));
}

/// A step's answer is held until it was told; others, watches among them, pass as they come.
asio::awaitable<void> Crossing::ask(Socket& from, const http::request<http::string_body>& request, std::string step) {
    asio::ssl::stream<tcp::socket> to(context_, tls_);
    const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), api_);
    boost::system::error_code error;
    co_await to.lowest_layer().async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    co_await to.async_handshake(asio::ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    co_await http::async_write(to, request, asio::redirect_error(asio::use_awaitable, error));
    std::array<char, 16 * 1024> piece;
    std::string held;
    while (!error) {
        const std::size_t size =
            co_await to.async_read_some(asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
        if (!step.empty()) {
            held.append(piece.data(), size);
            continue;
        }
        boost::system::error_code gone;
        co_await asio::async_write(from, asio::buffer(piece.data(), size),
                                   asio::redirect_error(asio::use_awaitable, gone));
        if (gone) co_return;
    }
    if (step.empty() || !passing_(step, Moment::after)) co_return;
    co_await asio::async_write(from, asio::buffer(held), asio::redirect_error(asio::use_awaitable, error));
}

}  // namespace turnout::apiserver
