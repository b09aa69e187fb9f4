#include "proxy/backend_login.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/authentication.hpp"
#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/md5.hpp"
#include "protocol/writer.hpp"

namespace turnout::proxy {
namespace {

using protocol::AuthenticationKind;
using protocol::BackendType;
using Step = BackendLogin::Step;

std::string whole(BackendType type, std::string_view body) {
    std::string out;
    protocol::Writer(out).begin(type).bytes(body).end();
    return out;
}

}  // namespace

Step BackendLogin::fail(std::string reason) { return {Step::Kind::failed, {}, {}, std::move(reason)}; }

/// Whether the server has by now told more than is held for a client.
bool BackendLogin::too_much(std::size_t more) {
    held_ += more;
    return held_ > most_held;
}

Step BackendLogin::send_password(std::string_view password) {
    Step step;
    protocol::append(step.send, protocol::PasswordMessage{password});
    return step;
}

Step BackendLogin::on_message(BackendType type, std::string_view body) {
    switch (type) {
        case BackendType::authentication: return on_authentication(body);
        case BackendType::error_response: return {Step::Kind::failed, {}, whole(type, body), {}};
        case BackendType::notice_response:
            if (too_much(body.size())) return fail("the server sent too many notices during the login");
            result_.notices += whole(type, body);
            return {};
        case BackendType::negotiate_protocol_version: return {};
        default: break;
    }
    if (!authenticated_) return fail("the server went on before it had authenticated the session");
    switch (type) {
        case BackendType::parameter_status: {
            protocol::ParameterStatus message;
            if (auto error = protocol::parse(body, message))
                return fail(fmt::format("ParameterStatus: {}", error.what));
            if (too_much(body.size())) return fail("the server reported too many settings during the login");
            result_.parameters.add(message.name, message.value);
            return {};
        }
        case BackendType::backend_key_data: {
            protocol::BackendKeyData message;
            if (auto error = protocol::parse(body, message)) return fail(fmt::format("BackendKeyData: {}", error.what));
            result_.pid = message.pid;
            result_.key = message.secret;
            return {};
        }
        case BackendType::ready_for_query: return {Step::Kind::done, {}, {}, {}};
        default: return fail(fmt::format("the server sent an unexpected message '{}' during the login", char(type)));
    }
}

Step BackendLogin::on_authentication(std::string_view body) {
    protocol::Authentication message;
    if (auto error = protocol::parse(body, message)) return fail(fmt::format("Authentication: {}", error.what));
    switch (message.kind) {
        case AuthenticationKind::ok:
            // RFC 5802, 3: without the ServerSignature anybody could have accepted us.
            if (scram_ && !server_proved_) return fail("the server skipped the end of the SCRAM exchange");
            if (wanted_ == control::ChannelBinding::require && !bound_)
                return fail("channel binding is required, but the server authenticated the session without it");
            authenticated_ = true;
            return {};
        case AuthenticationKind::cleartext_password:
            if (wanted_ == control::ChannelBinding::require)
                return fail("channel binding is required, but the server asks for a password in the clear");
            if (credentials_.password.empty()) break;
            if (!tls_) return fail("the server asks for the password in the clear on a connection without TLS");
            return send_password(credentials_.password.reveal());
        case AuthenticationKind::md5_password: {
            std::optional<std::string> verifier;
            if (!credentials_.md5_verifier.empty()) verifier = std::string(credentials_.md5_verifier.reveal());
            if (!verifier && !credentials_.password.empty()) {
                verifier = protocol::make_md5_verifier(credentials_.user, credentials_.password.reveal());
            }
            if (!verifier) break;
            const auto response = protocol::md5_response(*verifier, message.salt);
            protocol::wipe(*verifier);
            if (!response) break;
            return send_password(*response);
        }
        case AuthenticationKind::sasl: return begin_scram(message.mechanisms);
        case AuthenticationKind::sasl_continue:
        case AuthenticationKind::sasl_final: {
            if (!scram_) return fail("the server continued a SASL exchange that was not begun");
            const bool last = message.kind == AuthenticationKind::sasl_final;
            auto scram = last ? scram_->on_server_final(message.data) : scram_->on_server_first(message.data);
            if (scram.action == protocol::ScramStep::Action::failed) return fail(scram.error);
            if (last) {
                server_proved_ = true;
                return {};
            }
            Step step;
            protocol::append(step.send, protocol::SASLResponse{scram.message});
            return step;
        }
        default:
            return fail(fmt::format("the server asks for an authentication method that is not supported ({})",
                                    static_cast<int>(message.kind)));
    }
    return fail(
        fmt::format("the server asks user \"{}\" for a password, and the way in which the client logged in to the "
                    "proxy gave none: use scram on the proxy, an auth_file, or trust the proxy in pg_hba.conf",
                    credentials_.user));
}

Step BackendLogin::begin_scram(const std::vector<std::string_view>& mechanisms) {
    const auto offers = [&](std::string_view name) {
        return std::find(mechanisms.begin(), mechanisms.end(), name) != mechanisms.end();
    };
    const bool can_bind = tls_ && !binding_.empty() && wanted_ != control::ChannelBinding::disable;
    const bool plus = can_bind && offers(protocol::scram_sha_256_plus);
    if (wanted_ == control::ChannelBinding::require && !plus)
        return fail("channel binding is required, but the server does not offer SCRAM-SHA-256-PLUS");
    if (!plus && !offers(protocol::scram_sha_256)) return fail("the server offers no SASL mechanism that is supported");
    using Binding = protocol::ScramClient::Binding;
    // "not offered" tells the server that we could: if it did offer, somebody in the middle has hidden that.
    const Binding binding = plus ? Binding::bind : can_bind ? Binding::not_offered : Binding::none;
    bound_ = plus;
    if (!credentials_.client_key.empty() && credentials_.verifier) {
        scram_.emplace(credentials_.client_key.clone(), *credentials_.verifier, nonce_, binding, binding_);
    } else if (!credentials_.password.empty()) {
        scram_.emplace(credentials_.password.clone(), nonce_, binding, binding_);
    } else {
        return fail(
            fmt::format("the server asks user \"{}\" for a password, and the way in which the client logged in to the "
                        "proxy gave none: use scram on the proxy, an auth_file, or trust the proxy in pg_hba.conf",
                        credentials_.user));
    }
    Step step;
    const std::string first = scram_->client_first();
    protocol::append(step.send, protocol::SASLInitialResponse{scram_->mechanism(), first});
    return step;
}

}  // namespace turnout::proxy
