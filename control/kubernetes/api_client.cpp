#include "control/kubernetes/api_client.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/system/system_error.hpp>
#include <memory>
#include <utility>

namespace turnout::kubernetes {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;
using tcp = asio::ip::tcp;

struct ApiClient::Call {
    http::verb method = http::verb::get;
    std::string target;
    std::string content_type{};
    std::string body{};
};

namespace {

constexpr std::chrono::seconds kPatience{20};
/// A list of everything in a namespace stays far below.
constexpr std::uint64_t kMostBytes = 64 * 1024 * 1024;
constexpr const char* kFieldManager = "turnout-operator";

using PlainStream = beast::tcp_stream;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

std::string message_of(std::string_view body, unsigned status) {
    boost::system::error_code error;
    const json::value parsed = json::parse(body, error);
    if (!error && parsed.is_object()) {
        const json::value* const message = parsed.get_object().if_contains("message");
        if (message != nullptr && message->is_string() && !message->get_string().empty())
            return std::string(message->get_string());
    }
    return std::string(http::obsolete_reason(static_cast<http::status>(status)));
}

/// An apply of what is not there needs the verb `create`, too; who lacks that one is refused by
/// `statefulsets.apps "app-green" is forbidden: ` and no word more.
std::string with_verb(std::string message) {
    if (!message.ends_with(" is forbidden: ")) return message;
    const std::string kind = message.substr(0, message.find(' '));
    const auto dot = std::min(kind.find('.'), kind.size());
    const std::string group = dot == kind.size() ? "" : kind.substr(dot + 1);
    return message + "cannot create resource \"" + kind.substr(0, dot) + "\" in API group \"" + group + "\"";
}

json::object parse_object(std::string_view text) {
    boost::system::error_code error;
    json::value parsed = json::parse(text, error);
    if (error || !parsed.is_object()) throw ApiUnreachable("the API server answered with what is no object");
    return std::move(parsed.get_object());
}

asio::awaitable<void> connect(beast::tcp_stream& stream, const Access& access) {
    tcp::resolver resolver(stream.get_executor());
    const std::string port = std::to_string(access.port);
    const auto found = co_await resolver.async_resolve(access.host, port, asio::use_awaitable);
    stream.expires_after(kPatience);
    co_await stream.async_connect(found, asio::use_awaitable);
    stream.socket().set_option(tcp::no_delay(true));
}

bool is_address(const std::string& host) {
    boost::system::error_code error;
    asio::ip::make_address(host, error);
    return !error;
}

asio::awaitable<std::unique_ptr<TlsStream>> connect_tls(asio::any_io_executor executor, asio::ssl::context& context,
                                                        const Access& access) {
    auto stream = std::make_unique<TlsStream>(executor, context);
    if (!is_address(access.host)) SSL_set_tlsext_host_name(stream->native_handle(), access.host.c_str());
    stream->set_verify_callback(asio::ssl::host_name_verification(access.host));
    co_await connect(stream->next_layer(), access);
    co_await stream->async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
    co_return stream;
}

PlainStream& lowest(PlainStream& stream) { return stream; }
PlainStream& lowest(TlsStream& stream) { return stream.next_layer(); }

template <class Stream>
asio::awaitable<http::response<http::string_body>> ask(Stream& stream,
                                                       const http::request<http::string_body>& request) {
    lowest(stream).expires_after(kPatience);
    co_await http::async_write(stream, request, asio::use_awaitable);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMostBytes);
    co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
    co_return parser.release();
}

/// Gives each complete line to `line`, and keeps what is not complete.
void take_lines(std::string& pending, const ApiClient::Line& line) {
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = pending.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const std::string_view text(pending.data() + begin, end - begin);
        if (!text.empty()) line(parse_object(text));
    }
    pending.erase(0, begin);
}

template <class Stream>
asio::awaitable<void> read_events(Stream& stream, const http::request<http::string_body>& request,
                                  const ApiClient::Line& line) {
    lowest(stream).expires_after(kPatience);
    co_await http::async_write(stream, request, asio::use_awaitable);
    beast::flat_buffer buffer;
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    co_await http::async_read_header(stream, buffer, parser, asio::use_awaitable);
    const unsigned status = parser.get().result_int();
    std::string pending;
    std::array<char, 16 * 1024> piece;
    while (!parser.is_done()) {
        parser.get().body().data = piece.data();
        parser.get().body().size = piece.size();
        lowest(stream).expires_after(ApiClient::kWatchPatience);
        boost::system::error_code error;
        co_await http::async_read_some(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
        pending.append(piece.data(), piece.size() - parser.get().body().size);
        if (status == 200) take_lines(pending, line);
        if (error && error != http::error::need_buffer) {
            if (status == 200 && error == http::error::partial_message) co_return;  // cut off: as good as an end
            throw boost::system::system_error(error);
        }
    }
    if (status != 200) throw ApiRefusal(status, message_of(pending, status));
}

}  // namespace

ApiClient::ApiClient(asio::any_io_executor executor, Access access)
    : executor_(std::move(executor)), access_(std::move(access)) {
    if (access_.tls) trusted();
}

/// What connections are made with; new where the authority's file has changed.
std::shared_ptr<asio::ssl::context> ApiClient::trusted() {
    std::string authority = access_.current_authority();
    if (tls_ && authority == authority_) return tls_;
    try {
        auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
        tls->set_verify_mode(asio::ssl::verify_peer);
        if (authority.empty())
            tls->set_default_verify_paths();
        else
            tls->add_certificate_authority(asio::buffer(authority));
        if (!access_.client_certificate.empty()) {
            tls->use_certificate_chain(asio::buffer(access_.client_certificate));
            tls->use_private_key(asio::buffer(access_.client_key), asio::ssl::context::pem);
        }
        authority_ = std::move(authority);
        tls_ = std::move(tls);
        return tls_;
    } catch (const boost::system::system_error& error) {
        throw AccessError("the certificates for the API server cannot be used: " + error.code().message());
    }
}

std::string ApiClient::path(const Resource& resource, std::string_view name) const {
    std::string text =
        "/" + std::string(resource.api) + "/namespaces/" + access_.space + "/" + std::string(resource.plural);
    if (!name.empty()) text.append("/").append(name);
    return text;
}

namespace {

http::request<http::string_body> request_for(const Access& access, http::verb method, const std::string& target,
                                             const std::string& content_type, std::string body) {
    http::request<http::string_body> request(method, target, 11);
    request.set(http::field::host, access.host + ":" + std::to_string(access.port));
    request.set(http::field::user_agent, "turnout-operator");
    request.set(http::field::accept, "application/json");
    const std::string token = access.current_token();
    if (!token.empty()) request.set(http::field::authorization, "Bearer " + token);
    if (!content_type.empty()) request.set(http::field::content_type, content_type);
    request.body() = std::move(body);
    request.prepare_payload();
    return request;
}

[[noreturn]] void unreachable(const Access& access, const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw error;
    throw ApiUnreachable("the API server at " + access.host + ":" + std::to_string(access.port) + ": " +
                         error.code().message());
}

}  // namespace

asio::awaitable<json::object> ApiClient::send(Call call) {
    auto request = request_for(access_, call.method, call.target, call.content_type, std::move(call.body));
    request.keep_alive(false);
    http::response<http::string_body> response;
    try {
        if (access_.tls) {
            const auto tls = trusted();
            auto stream = co_await connect_tls(executor_, *tls, access_);
            response = co_await ask(*stream, request);
        } else {
            PlainStream stream(executor_);
            co_await connect(stream, access_);
            response = co_await ask(stream, request);
        }
    } catch (const boost::system::system_error& error) {
        unreachable(access_, error);
    }
    const unsigned status = response.result_int();
    if (status < 200 || status > 299) throw ApiRefusal(status, with_verb(message_of(response.body(), status)));
    co_return parse_object(response.body());
}

asio::awaitable<json::object> ApiClient::get(std::string path) {
    Call call{.method = http::verb::get, .target = std::move(path)};
    co_return co_await send(std::move(call));
}

asio::awaitable<json::object> ApiClient::create(std::string path, json::object object) {
    Call call{http::verb::post, path + "?fieldManager=" + kFieldManager, "application/json", json::serialize(object)};
    co_return co_await send(std::move(call));
}

asio::awaitable<json::object> ApiClient::replace(std::string path, json::object object) {
    Call call{http::verb::put, path + "?fieldManager=" + kFieldManager, "application/json", json::serialize(object)};
    co_return co_await send(std::move(call));
}

asio::awaitable<json::object> ApiClient::apply(std::string path, json::object object) {
    // JSON is YAML, too.
    Call call{http::verb::patch, path + "?force=true&fieldManager=" + kFieldManager, "application/apply-patch+yaml",
              json::serialize(object)};
    co_return co_await send(std::move(call));
}

asio::awaitable<json::object> ApiClient::merge(std::string path, json::object patch) {
    Call call{http::verb::patch, path + "?fieldManager=" + kFieldManager, "application/merge-patch+json",
              json::serialize(patch)};
    co_return co_await send(std::move(call));
}

asio::awaitable<void> ApiClient::remove(std::string path) {
    Call call{http::verb::delete_, path + "?propagationPolicy=Background"};
    try {
        co_await send(std::move(call));
    } catch (const ApiRefusal& refusal) {
        if (!refusal.not_found()) throw;
    }
}

asio::awaitable<void> ApiClient::watch(std::string path, Line line) {
    const auto request = request_for(access_, http::verb::get, path, {}, {});
    try {
        if (access_.tls) {
            const auto tls = trusted();
            auto stream = co_await connect_tls(executor_, *tls, access_);
            co_await read_events(*stream, request, line);
        } else {
            PlainStream stream(executor_);
            co_await connect(stream, access_);
            co_await read_events(stream, request, line);
        }
    } catch (const boost::system::system_error& error) {
        unreachable(access_, error);
    }
}

}  // namespace turnout::kubernetes
