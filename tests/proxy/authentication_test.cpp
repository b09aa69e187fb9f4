// Client and server logins against each other and against whoever lies: the client's proof opens the backend.
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <variant>

#include "protocol/authentication.hpp"
#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"
#include "protocol/framing.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/md5.hpp"
#include "protocol/scram.hpp"
#include "proxy/backend_login.hpp"
#include "proxy/client_authentication.hpp"

namespace turnout::proxy {
namespace {

using control::AuthMethod;
using protocol::BackendType;
using Kind = ClientAuthentication::Step::Kind;

constexpr std::string_view kPassword = "open sesame";

std::string scram_verifier(std::string_view password = kPassword) {
    return to_string(protocol::make_scram_verifier(password, "0123456789abcdef", 4096));
}

AuthenticationInput input(AuthMethod method, std::string verifier, bool exists = true) {
    AuthenticationInput in;
    in.method = method;
    in.role.exists = exists;
    in.role.verifier = std::move(verifier);
    in.user = "app";
    in.nonce = "c2VydmVybm9uY2VzZXJ2ZXJub25j";
    in.salt = {'s', 'a', 'l', 't'};
    in.mock_secret = "a secret of the process";
    return in;
}

/// What a client that logs in with `credentials` does against `authentication`.
ClientAuthentication::Step converse(ClientAuthentication& authentication, const Credentials& credentials) {
    BackendLogin client(credentials, "Y2xpZW50bm9uY2U", false, "");
    auto step = authentication.begin();
    while (step.kind == Kind::ask) {
        protocol::FrameScanner scanner(protocol::Stream::backend);
        const auto frame = scanner.next(step.send);
        const auto reply = client.on_message(static_cast<BackendType>(frame.type), frame.body);
        if (reply.kind == BackendLogin::Step::Kind::failed) return {Kind::refused, {}, "client", reply.reason, {}};
        protocol::FrameScanner answer(protocol::Stream::frontend_login);
        step = authentication.on_message(answer.next(reply.send).body);
    }
    return step;
}

Credentials with_password(std::string_view password) {
    Credentials credentials;
    credentials.user = "app";
    credentials.password = protocol::SecretBytes(password);
    return credentials;
}

TEST(ClientAuthentication, EachMethodGrantsTheRightPasswordAndRefusesAnother) {
    const struct {
        AuthMethod method;
        std::string verifier;
    } rows[] = {
        {AuthMethod::md5, *protocol::make_md5_verifier("app", kPassword)},
        {AuthMethod::md5, scram_verifier()},
        {AuthMethod::md5, std::string(kPassword)},
        {AuthMethod::scram, scram_verifier()},
        {AuthMethod::scram, std::string(kPassword)},
    };
    for (const auto& row : rows) {
        SCOPED_TRACE(row.verifier);
        ClientAuthentication right(input(row.method, row.verifier));
        EXPECT_EQ(converse(right, with_password(kPassword)).kind, Kind::granted);
        ClientAuthentication wrong(input(row.method, row.verifier));
        const auto refused = converse(wrong, with_password("open barley"));
        EXPECT_EQ(refused.kind, Kind::refused);
        EXPECT_EQ(refused.sqlstate, "28P01");
        EXPECT_EQ(refused.message, "password authentication failed for user \"app\"");
    }
}

TEST(ClientAuthentication, AStrangerGoesThroughTheWholeExchangeAndIsRefusedLikeAWrongPassword) {
    for (const std::string& verifier : {std::string(), std::string("md5no scram secret")}) {
        ClientAuthentication stranger(input(AuthMethod::scram, verifier, false));
        const auto step = converse(stranger, with_password(kPassword));
        EXPECT_EQ(step.kind, Kind::refused);
        EXPECT_EQ(step.sqlstate, "28P01");
    }
}

TEST(ClientAuthentication, TheClientsProofOpensTheBackendWithoutThePassword) {
    ClientAuthentication front(input(AuthMethod::scram, scram_verifier()));
    ASSERT_EQ(converse(front, with_password(kPassword)).kind, Kind::granted);
    const Credentials recovered = front.take_credentials();
    EXPECT_TRUE(recovered.password.empty());
    ClientAuthentication server(input(AuthMethod::scram, scram_verifier()));
    EXPECT_EQ(converse(server, recovered).kind, Kind::granted);
    // Another salt means another verifier: the key is not even offered.
    ClientAuthentication changed(
        input(AuthMethod::scram, to_string(protocol::make_scram_verifier(kPassword, "another salt....", 4096))));
    const auto step = converse(changed, recovered);
    EXPECT_EQ(step.kind, Kind::refused);
    EXPECT_EQ(step.sqlstate, "client");
}

TEST(ClientAuthentication, MalformedMessagesAreProtocolViolations) {
    for (const AuthMethod method : {AuthMethod::password, AuthMethod::scram}) {
        ClientAuthentication authentication(input(method, scram_verifier()));
        EXPECT_EQ(authentication.begin().kind, Kind::ask);
        const auto step = authentication.on_message("no terminator");
        EXPECT_EQ(step.kind, Kind::refused);
        EXPECT_EQ(step.sqlstate, "08P01");
    }
}

// ------------------------------------------------------------------------------------------------------ BackendLogin

struct Said {
    BackendType type;
    std::string body;
};

std::string body_of(const std::string& message) { return message.substr(protocol::header_size); }

std::vector<Said> trusted_login() {
    std::string ok, status, key, ready;
    protocol::append_authentication_ok(ok);
    protocol::append(status, protocol::ParameterStatus{"server_version", "17.0"});
    protocol::append(key, protocol::BackendKeyData{4711, "abcd"});
    protocol::append(ready, protocol::ReadyForQuery{protocol::TransactionStatus::idle});
    return {{BackendType::authentication, body_of(ok)},
            {BackendType::parameter_status, body_of(status)},
            {BackendType::backend_key_data, body_of(key)},
            {BackendType::ready_for_query, body_of(ready)}};
}

TEST(BackendLogin, TellsWhatTheServerToldAndPassesItsRefusalOnAtEveryStep) {
    const auto script = trusted_login();
    const Credentials credentials = with_password("");
    BackendLogin login(credentials, "nonce", false, "");
    for (std::size_t i = 0; i < script.size(); ++i) {
        const auto step = login.on_message(script[i].type, script[i].body);
        EXPECT_EQ(step.kind, i + 1 < script.size() ? BackendLogin::Step::Kind::wait : BackendLogin::Step::Kind::done);
    }
    const LoggedIn told = login.take_result();
    EXPECT_EQ(told.pid, 4711);
    EXPECT_EQ(told.key, "abcd");
    EXPECT_EQ(told.parameters.find("server_version"), "17.0");

    const std::string error =
        protocol::make_error(protocol::Severity::fatal, "53300", "sorry, too many clients already");
    for (std::size_t at = 0; at < script.size(); ++at) {
        SCOPED_TRACE(at);
        BackendLogin fails(credentials, "nonce", false, "");
        for (std::size_t i = 0; i < at; ++i) (void)fails.on_message(script[i].type, script[i].body);
        const auto step = fails.on_message(BackendType::error_response, body_of(error));
        EXPECT_EQ(step.kind, BackendLogin::Step::Kind::failed);
        EXPECT_EQ(step.refusal, error) << "verbatim";
    }
}

TEST(BackendLogin, NoticesAndSettingsAreHeldUpToABoundOnly) {
    const Credentials credentials = with_password("");
    const auto script = trusted_login();
    std::string setting;
    protocol::append(setting, protocol::ParameterStatus{"name", std::string(1000, 'x')});
    const std::string notice = protocol::make_error(protocol::Severity::error, "00000", std::string(1000, 'x'));
    const Said floods[] = {{BackendType::notice_response, body_of(notice)},
                           {BackendType::parameter_status, body_of(setting)}};
    for (const Said& flood : floods) {
        BackendLogin login(credentials, "nonce", false, "");
        ASSERT_EQ(login.on_message(script[0].type, script[0].body).kind, BackendLogin::Step::Kind::wait);
        std::size_t taken = 0;
        BackendLogin::Step step;
        while (step.kind == BackendLogin::Step::Kind::wait && taken <= 2 * BackendLogin::most_held) {
            step = login.on_message(flood.type, flood.body);
            taken += flood.body.size();
        }
        EXPECT_EQ(step.kind, BackendLogin::Step::Kind::failed);
        EXPECT_GT(taken, BackendLogin::most_held) << "what a server really says has room";
        EXPECT_NE(step.reason.find("too many"), std::string::npos) << step.reason;
    }
}

TEST(BackendLogin, AServerThatSkipsItsProofOrGoesAheadIsNotBelieved) {
    ClientAuthentication front(input(AuthMethod::scram, scram_verifier()));
    ASSERT_EQ(converse(front, with_password(kPassword)).kind, Kind::granted);
    const Credentials credentials = front.take_credentials();
    std::string sasl, ok;
    protocol::append_authentication_sasl(sasl, {protocol::scram_sha_256});
    protocol::append_authentication_ok(ok);
    BackendLogin skipped(credentials, "nonce", false, "");
    EXPECT_EQ(skipped.on_message(BackendType::authentication, body_of(sasl)).kind, BackendLogin::Step::Kind::wait);
    EXPECT_EQ(skipped.on_message(BackendType::authentication, body_of(ok)).kind, BackendLogin::Step::Kind::failed);
    BackendLogin ahead(credentials, "nonce", false, "");
    EXPECT_EQ(ahead.on_message(BackendType::ready_for_query, "I").kind, BackendLogin::Step::Kind::failed);
}

TEST(BackendLogin, NeverSendsAPasswordInTheClearWithoutTls) {
    std::string clear;
    protocol::append_authentication_cleartext(clear);
    const Credentials credentials = with_password(kPassword);
    BackendLogin plain(credentials, "nonce", false, "");
    const auto refused = plain.on_message(BackendType::authentication, body_of(clear));
    EXPECT_EQ(refused.kind, BackendLogin::Step::Kind::failed);
    EXPECT_EQ(refused.send.find(kPassword), std::string::npos);
    BackendLogin secured(credentials, "nonce", true, "");
    EXPECT_NE(secured.on_message(BackendType::authentication, body_of(clear)).send.find(kPassword), std::string::npos);
}

TEST(BackendLogin, SaysWhatToDoWhenTheClientGaveNothingToLogInWith) {
    std::string sasl;
    protocol::append_authentication_sasl(sasl, {protocol::scram_sha_256});
    const Credentials none = with_password("");
    BackendLogin login(none, "nonce", false, "");
    const auto step = login.on_message(BackendType::authentication, body_of(sasl));
    EXPECT_EQ(step.kind, BackendLogin::Step::Kind::failed);
    EXPECT_NE(step.reason.find("auth_file"), std::string::npos);
}

/// The mechanism and gs2 flag with which a login answers an offer, or why it goes no further.
std::string answer_to(bool plus, bool tls, const char* certificate, control::ChannelBinding wanted) {
    std::string sasl;
    if (plus) {
        protocol::append_authentication_sasl(sasl, {protocol::scram_sha_256_plus, protocol::scram_sha_256});
    } else {
        protocol::append_authentication_sasl(sasl, {protocol::scram_sha_256});
    }
    const Credentials credentials = with_password(kPassword);
    BackendLogin login(credentials, "nonce", tls, certificate, wanted);
    const auto step = login.on_message(BackendType::authentication, body_of(sasl));
    if (step.kind == BackendLogin::Step::Kind::failed) return step.reason;
    protocol::SASLInitialResponse response;
    if (protocol::parse(std::string_view(step.send).substr(protocol::header_size), response)) return "malformed";
    return std::string(response.mechanism) + " " + std::string(response.data->substr(0, 1));
}

TEST(BackendLogin, BindsToTheChannelAsTheSideAsksFor) {
    using control::ChannelBinding;
    constexpr bool both = true, plain = false;
    const struct {
        bool plus;
        bool tls;
        const char* certificate;
        ChannelBinding wanted;
        const char* answer;
    } rows[] = {
        {both, true, "hash", ChannelBinding::prefer, "SCRAM-SHA-256-PLUS p"},
        {both, true, "hash", ChannelBinding::require, "SCRAM-SHA-256-PLUS p"},
        {both, true, "hash", ChannelBinding::disable, "SCRAM-SHA-256 n"},
        {both, true, "", ChannelBinding::prefer, "SCRAM-SHA-256 n"},
        {plain, true, "hash", ChannelBinding::prefer, "SCRAM-SHA-256 y"},
        {plain, false, "", ChannelBinding::prefer, "SCRAM-SHA-256 n"},
        {plain, true, "hash", ChannelBinding::require,
         "channel binding is required, but the server does not offer SCRAM-SHA-256-PLUS"},
        {plain, false, "", ChannelBinding::require,
         "channel binding is required, but the server does not offer SCRAM-SHA-256-PLUS"},
    };
    for (const auto& row : rows)
        EXPECT_EQ(answer_to(row.plus, row.tls, row.certificate, row.wanted), row.answer) << row.answer;
    // A server that asks for nothing, or for the password itself, has not shown that nobody stands between.
    std::string ok, clear;
    protocol::append_authentication_ok(ok);
    protocol::append_authentication_cleartext(clear);
    const Credentials credentials = with_password(kPassword);
    for (const std::string& message : {ok, clear}) {
        BackendLogin login(credentials, "nonce", true, "hash", ChannelBinding::require);
        const auto step = login.on_message(BackendType::authentication, body_of(message));
        EXPECT_EQ(step.kind, BackendLogin::Step::Kind::failed);
        EXPECT_TRUE(step.send.empty());
    }
}

/// What the proxy answers to a client-first with this flag by this mechanism.
std::string client_first(bool tls, std::string_view mechanism, const std::string& flag) {
    AuthenticationInput in = input(AuthMethod::scram, scram_verifier());
    in.tls = tls;
    if (tls) in.channel_binding = "hash";
    ClientAuthentication authentication(std::move(in));
    EXPECT_EQ(authentication.begin().kind, Kind::ask);
    std::string message;
    protocol::append(message, protocol::SASLInitialResponse{mechanism, flag + ",,n=,r=nonce"});
    const auto step = authentication.on_message(body_of(message));
    return step.kind == Kind::ask ? "goes on" : step.sqlstate;
}

TEST(ClientAuthentication, ADowngradeOfChannelBindingIsRefused) {
    const struct {
        bool tls;
        std::string_view mechanism;
        const char* flag;
        const char* answer;
    } rows[] = {
        {true, protocol::scram_sha_256_plus, "p=tls-server-end-point", "goes on"},
        {true, protocol::scram_sha_256, "n", "goes on"},
        {true, protocol::scram_sha_256, "y", "28000"},
        {true, protocol::scram_sha_256_plus, "n", "08P01"},
        {true, protocol::scram_sha_256_plus, "p=tls-unique", "08P01"},
        {false, protocol::scram_sha_256, "y", "goes on"},
        {false, protocol::scram_sha_256, "n", "goes on"},
        {false, protocol::scram_sha_256_plus, "p=tls-server-end-point", "08P01"},
    };
    for (const auto& row : rows)
        EXPECT_EQ(client_first(row.tls, row.mechanism, row.flag), row.answer) << row.mechanism << " " << row.flag;
}

}  // namespace
}  // namespace turnout::proxy
