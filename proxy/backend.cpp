#include "proxy/backend.hpp"

#include <fmt/format.h>

#include <boost/endian/conversion.hpp>
#include <cstring>

#include "protocol/errors.hpp"
#include "protocol/startup.hpp"
#include "proxy/deadline.hpp"
#include "proxy/random.hpp"

namespace turnout::proxy {
namespace {

constexpr std::uint32_t kLoginMessageLimit = 1024 * 1024;
// A server may be slow to fork under load; PostgreSQL itself gives a login 60 s (authentication_timeout).
constexpr control::Milliseconds kLoginTimeout{30000};

struct ServerMessage {
    protocol::BackendType type;
    std::string body;
};

/// One message, read exactly, so that nothing of the session's is taken from the socket. False: the server has gone or
/// sends nonsense.
Task<bool> read_message(Stream& stream, ServerMessage& message) {
    char header[5];
    bool ok = co_await stream.read_exactly(header, sizeof header);
    if (!ok) co_return false;
    const auto length = boost::endian::load_big_u32(reinterpret_cast<const unsigned char*>(header + 1));
    if (length < 4 || length > kLoginMessageLimit) co_return false;
    message.type = static_cast<protocol::BackendType>(header[0]);
    message.body.resize(length - 4);
    ok = co_await stream.read_exactly(message.body.data(), message.body.size());
    co_return ok;
}

std::string startup_packet(const Parameters& parameters) {
    protocol::StartupMessage message;
    for (const auto& [name, value] : parameters) message.parameters.push_back({name, value});
    std::string packet;
    protocol::append(packet, message);
    return packet;
}

Task<BackendResult> log_in(boost::asio::io_context& context, Side side, Connected connected,
                           control::Milliseconds timeout, const Parameters& startup, const Credentials& credentials,
                           control::ChannelBinding wanted) {
    Stream& stream = *connected.stream;
    const Deadline deadline(context, timeout, stream);
    const std::string binding = stream.tls() ? tls_server_end_point(stream.ssl(), false) : std::string();
    BackendLogin login(credentials, random_nonce(), stream.tls(), binding, wanted);
    const std::string packet = startup_packet(startup);
    bool alive = co_await stream.write_all(packet);
    for (;;) {
        ServerMessage message;
        if (alive) alive = co_await read_message(stream, message);
        if (!alive) {
            co_return LoginFailure{{}, fmt::format("{} closed the connection during the login", name(side))};
        }
        BackendLogin::Step step = login.on_message(message.type, message.body);
        if (!step.send.empty()) {
            alive = co_await stream.write_all(step.send);
            protocol::wipe(step.send);
        }
        if (step.kind == BackendLogin::Step::Kind::failed) {
            protocol::ErrorFields fields;
            std::string reason = std::move(step.reason);
            if (!step.refusal.empty() && !protocol::parse(message.body, fields)) {
                reason = std::string(fields.find(protocol::ErrorField::message));
            }
            co_return LoginFailure{std::move(step.refusal), fmt::format("{}: {}", name(side), reason)};
        }
        if (step.kind == BackendLogin::Step::Kind::done) break;
    }
    auto backend = std::make_shared<Backend>(side, std::move(connected.stream), std::move(connected.peer));
    LoggedIn told = login.take_result();
    backend->pid = told.pid;
    backend->key = std::move(told.key);
    backend->parameters = std::move(told.parameters);
    backend->parameters.shrink_to_fit();
    backend->notices = std::move(told.notices);
    co_return backend;
}

}  // namespace

bool set_parameter(Parameters& parameters, std::string_view name, std::string_view value) {
    constexpr std::size_t kMostBytes = std::size_t{256} * 1024;
    const auto held = parameters.find(name);
    const std::size_t others = parameters.bytes() - (held ? held->size() : 0);
    if (others + name.size() + value.size() > kMostBytes) return false;
    parameters.set(name, value);
    return true;
}

Task<BackendResult> open_backend(boost::asio::io_context& context, Side side, std::shared_ptr<const Runtime> runtime,
                                 Parameters startup, const Credentials& credentials) {
    const control::ServerAddress& address = runtime->settings.sides[index(side)];
    const TlsContext& tls = runtime->client_tls[index(side)];
    // Under `allow` a server that refuses a plain session is asked once more with TLS, and under `prefer` one that
    // refuses a session with TLS, or whose TLS fails, once more without, as libpq does.
    const bool allow = address.ssl_mode == control::SslMode::allow && tls;
    const bool prefer = address.ssl_mode == control::SslMode::prefer && tls;
    for (TlsTry which : {TlsTry::first, TlsTry::second}) {
        ConnectResult connected = co_await connect_to(context, address, tls, which);
        if (auto* failure = std::get_if<ConnectFailure>(&connected)) {
            if (prefer && failure->tls && which == TlsTry::first) continue;
            co_return LoginFailure{{}, fmt::format("could not connect to {} ({})", name(side), failure->reason)};
        }
        Connected open = std::move(std::get<Connected>(connected));
        const bool encrypted = open.stream->tls();
        BackendResult result = co_await log_in(context, side, std::move(open), kLoginTimeout, startup, credentials,
                                               address.channel_binding);
        const auto* refused = std::get_if<LoginFailure>(&result);
        const bool again = refused != nullptr && (allow || (prefer && encrypted && !refused->refusal.empty()));
        if (!again || which == TlsTry::second) co_return result;
    }
    co_return LoginFailure{{}, "no login was tried"};
}

Task<void> send_cancel(boost::asio::io_context& context, Side side, std::shared_ptr<const Runtime> runtime, Peer peer,
                       bool encrypted, std::int32_t pid, std::string key) {
    ConnectResult connected = co_await connect_to_peer(context, std::move(peer), runtime->settings.sides[index(side)],
                                                       runtime->client_tls[index(side)], encrypted);
    auto* open = std::get_if<Connected>(&connected);
    if (open == nullptr) co_return;
    std::string packet;
    protocol::append(packet, protocol::CancelRequest{pid, key});
    const bool sent = co_await open->stream->write_all(packet);
    char byte = 0;
    if (sent) co_await open->stream->read_exactly(&byte, 1);
}

}  // namespace turnout::proxy
