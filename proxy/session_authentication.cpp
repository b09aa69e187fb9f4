// Who a client is, and whether it may come in: the rule that fits it, the exchange, its certificate.
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/endian/conversion.hpp>

#include "protocol/authentication.hpp"
#include "protocol/errors.hpp"
#include "proxy/blocking.hpp"
#include "proxy/random.hpp"
#include "proxy/session.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {
namespace {

HbaMethod rule_method(control::AuthMethod method) {
    switch (method) {
        case control::AuthMethod::trust: return HbaMethod::trust;
        case control::AuthMethod::password: return HbaMethod::password;
        case control::AuthMethod::md5: return HbaMethod::md5;
        case control::AuthMethod::scram: break;
    }
    return HbaMethod::scram;
}

/// What the exchange has to ask for: nothing, where a certificate or the operating system says who the client is.
control::AuthMethod asked_method(HbaMethod method) {
    switch (method) {
        case HbaMethod::password: return control::AuthMethod::password;
        case HbaMethod::md5: return control::AuthMethod::md5;
        case HbaMethod::trust:
        case HbaMethod::peer:
        case HbaMethod::cert: return control::AuthMethod::trust;
        case HbaMethod::scram:
        case HbaMethod::reject: break;
    }
    return control::AuthMethod::scram;
}

/// What an address is called, if that name leads back to it; else an empty string.
std::string name_that_leads_back(const std::string& address) {
    boost::asio::io_context here;
    boost::asio::ip::tcp::resolver resolver(here);
    boost::system::error_code failed;
    const auto number = boost::asio::ip::make_address(address, failed);
    if (failed) return {};
    const auto names = resolver.resolve(boost::asio::ip::tcp::endpoint(number, 0), failed);
    if (failed || names.empty()) return {};
    const std::string name = names.begin()->host_name();
    // The resolver gives the number back where there is no name.
    if (parse_net_address(name)) return {};
    const auto addresses = resolver.resolve(name, "", failed);
    if (failed) return {};
    for (const auto& one : addresses) {
        if (one.endpoint().address() == number) return name;
    }
    spdlog::info("{} is called \"{}\", which has other addresses", address, name);
    return {};
}

}  // namespace

Task<control::RoleAnswer> Session::look_up_role(Side side) {
    struct Pending {
        explicit Pending(boost::asio::io_context& context) : answered(context) {}
        Signal answered;
        control::RoleAnswer answer;
    };
    auto pending = std::make_shared<Pending>(worker_.context());
    Worker& worker = worker_;
    worker_.shared().directory.look_up(side, user_, database_, [&worker, pending](control::RoleAnswer answer) {
        worker.post([pending, answer = std::move(answer)]() mutable {
            pending->answer = std::move(answer);
            pending->answered.notify();
        });
    });
    co_await pending->answered.wait();
    co_return std::move(pending->answer);
}

/// Without an hba_file: what [auth] allows nobody, or not from there.
std::optional<Session::Reason> Session::why_not_this_role(const control::RoleFacts& role) const {
    const control::DataPlaneSettings& settings = runtime_->settings;
    if (settings.auth == control::AuthMethod::trust && !local_ && !settings.trust_remote) {
        return Reason{"trust is accepted on Unix sockets and loopback only",
                      "Set trust_remote in the [auth] section of turnout.toml to change it."};
    }
    if (role.superuser && !local_ && !settings.superusers_remote) {
        return Reason{"superusers are accepted on Unix sockets and loopback only",
                      "Set superusers_remote in the [auth] section of turnout.toml to change it."};
    }
    if (settings.auth == control::AuthMethod::password && !client_.tls() && !local_) {
        return Reason{"a password in the clear is accepted over TLS only", "Set sslmode=require in the client."};
    }
    return std::nullopt;
}

/// What the client's address is called, if that name leads back to the address: whoever rules over his own reverse
/// zone can call himself anything.
Task<std::string> Session::look_up_host_name(NetAddress address) {
    auto looking = run_blocking(worker_.context(), [text = to_string(address)] { return name_that_leads_back(text); });
    co_return co_await std::move(looking);
}

/// The first rule of the hba_file that fits, or, without one, what [auth] asks of everybody. Nothing: the client is
/// refused, and has been told so.
Task<std::optional<HbaRule>> Session::choose_rule(const control::RoleFacts& role) {
    if (!runtime_->rules) {
        HbaRule everybody;
        everybody.method = rule_method(runtime_->settings.auth);
        const auto why = why_not_this_role(role);
        if (!why) co_return everybody;
        refuse_login("28000", fmt::format("user \"{}\" may not connect to this proxy from here", user_), *why);
        co_return std::nullopt;
    }
    HbaClient client{peer_address(client_.socket()), client_.tls(), replication_, database_, user_, role.member_of};
    std::string host_name;
    if (runtime_->rules->wants_host_name(client)) {
        host_name = co_await look_up_host_name(client.address);
        if (closing_) co_return std::nullopt;
        client.host_name = host_name;
    }
    const HbaRule* rule = runtime_->rules->match(client);
    if (rule != nullptr && rule->method != HbaMethod::reject) co_return *rule;
    refuse_login("28000", refusal_by_rules(client, rule),
                 rule != nullptr ? fmt::format("{}:{} rejects it", rule->file, rule->line) : "no rule fits");
    co_return std::nullopt;
}

/// The client is told no more than `message`; the log has the reason.
void Session::refuse_login(std::string_view sqlstate, std::string_view message, std::string_view reason) {
    spdlog::warn("refused user \"{}\" from {}: {}", user_, address_, reason);
    refuse(sqlstate, message);
}

void Session::refuse_login(std::string_view sqlstate, std::string_view message, const Reason& reason) {
    spdlog::warn("refused user \"{}\" from {}: {}", user_, address_, reason.detail);
    refuse(sqlstate, message, reason.detail, reason.hint);
}

/// The client's name elsewhere, by its certificate or its process, against the role it asks for. Why it does not fit,
/// or nothing.
std::optional<std::string> Session::why_not_this_name(const HbaRule& rule, const control::RoleFacts& role) const {
    std::string name;
    if (rule.method == HbaMethod::peer) {
        name = peer_user(client_.socket());
    } else if (rule.client_cert == ClientCert::verify_full) {
        PeerCertificate certificate = peer_certificate(client_.ssl());
        name = rule.by_distinguished_name ? certificate.distinguished_name : certificate.common_name;
    } else {
        return std::nullopt;
    }
    if (runtime_->maps.allows(rule.map, name, user_, role.member_of)) return std::nullopt;
    if (rule.map.empty())
        return fmt::format("provided user name ({}) and authenticated user name ({}) do not match", user_, name);
    return fmt::format("no match in usermap \"{}\" for user \"{}\" authenticated as \"{}\"", rule.map, user_, name);
}

Task<bool> Session::authenticate(control::RoleFacts role) {
    const std::optional<HbaRule> rule = co_await choose_rule(role);
    if (!rule) co_return false;
    if (rule->client_cert != ClientCert::off && !peer_certificate(client_.ssl()).valid) {
        refuse_login("28000", "connection requires a valid client certificate", "it has shown no certificate");
        co_return false;
    }
    // Known now, told only to whom the exchange has found to be right.
    const std::optional<std::string> other_name = why_not_this_name(*rule, role);
    const bool proved = co_await prove(asked_method(rule->method), std::move(role));
    if (!proved) co_return false;
    if (!other_name) co_return true;
    credentials_ = {};
    if (rule->method == HbaMethod::cert || rule->method == HbaMethod::peer) {
        refuse_login("28000",
                     fmt::format("{} authentication failed for user \"{}\"",
                                 rule->method == HbaMethod::peer ? "Peer" : "certificate", user_),
                     *other_name);
    } else {
        refuse_login("28P01", fmt::format("password authentication failed for user \"{}\"", user_), *other_name);
    }
    co_return false;
}

/// The exchange. True: the client is who it says, and credentials_ hold what it revealed.
Task<bool> Session::prove(control::AuthMethod method, control::RoleFacts role) {
    static const std::string mock_secret = random_bytes(32);
    AuthenticationInput input;
    input.method = method;
    input.role = std::move(role);
    input.user = user_;
    input.nonce = random_nonce();
    const std::string salt = random_bytes(input.salt.size());
    std::copy(salt.begin(), salt.end(), input.salt.begin());
    input.mock_secret = mock_secret;
    input.tls = client_.tls();
    if (client_.tls()) {
        input.channel_binding = tls_server_end_point(client_.ssl(), true);
        SSL_set_options(client_.ssl(), SSL_OP_CLEANSE_PLAINTEXT);  // no password stays in a buffer of OpenSSL's
    }
    ClientAuthentication authentication(std::move(input));
    ClientAuthentication::Step step = authentication.begin();
    for (;;) {
        bool ok = true;
        if (!step.send.empty()) ok = co_await client_.write_all(step.send);
        if (!ok) co_return false;
        if (step.kind == ClientAuthentication::Step::Kind::granted) {
            credentials_ = authentication.take_credentials();
            if (client_.tls()) SSL_clear_options(client_.ssl(), SSL_OP_CLEANSE_PLAINTEXT);
            co_return true;
        }
        if (step.kind == ClientAuthentication::Step::Kind::refused) {
            refuse_login(step.sqlstate, step.message, step.log);
            co_return false;
        }
        std::string body;
        ok = co_await read_login_message(body);
        if (!ok) co_return false;
        step = authentication.on_message(body);
        protocol::wipe(body);
    }
}

/// The body of one 'p' message. False: anything else, or the client has gone.
Task<bool> Session::read_login_message(std::string& body) {
    char header[5];
    bool ok = co_await client_.read_exactly(header, sizeof header);
    if (!ok) co_return false;
    const auto length = boost::endian::load_big_u32(reinterpret_cast<const unsigned char*>(header + 1));
    if (header[0] != static_cast<char>(protocol::FrontendType::password) || length < 4 ||
        length > protocol::FrameScanner::login_limit) {
        if (header[0] != static_cast<char>(protocol::FrontendType::terminate)) {
            refuse("08P01",
                   fmt::format("expected a password response, got message type {}", static_cast<int>(header[0])));
        }
        co_return false;
    }
    body.resize(length - 4);
    ok = co_await client_.read_exactly(body.data(), body.size());
    co_return ok;
}

}  // namespace turnout::proxy
