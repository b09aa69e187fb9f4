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
    ASSERT_EQ(told.parameters.size(), 1U);
    EXPECT_EQ(told.parameters[0].second, "17.0");

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

}  // namespace
}  // namespace turnout::proxy
