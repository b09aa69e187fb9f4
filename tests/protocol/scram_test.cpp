#include "protocol/scram.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "protocol/base64.hpp"
#include "tests/protocol/bytes.hpp"
#include "tests/protocol/named.hpp"

namespace turnout::test {
namespace {

using namespace protocol;
using Action = ScramStep::Action;

// RFC 7677, section 3.
constexpr std::string_view rfc_client_nonce = "rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view rfc_server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr std::string_view rfc_client_first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view rfc_server_first =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr std::string_view rfc_client_final =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr std::string_view rfc_server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

ScramVerifier rfc_verifier() {
    return make_scram_verifier("pencil", from_base64("W22ZaJ0SNY7soEsUEjb6gQ==").value(), 4096);
}

// What PostgreSQL 15 stored for the password "pencil".
constexpr std::string_view postgres_verifier =
    "SCRAM-SHA-256$4096:Ajxjohm4x4S47QIKPW8MeQ==$WLxvmrLGW8x0LfMQinhyW9JkoFl9QgrvkOW3xwFkngU=:"
    "vxBrmLmxWx4rRHKkFv6tS1UNa6xBoLDc+cUyWady6ug=";

TEST(ScramVerifier, IsThatOfPostgres) {
    const auto verifier = parse_scram_verifier(postgres_verifier);
    ASSERT_TRUE(verifier);
    EXPECT_EQ(*verifier, make_scram_verifier("pencil", verifier->salt, 4096));
    EXPECT_EQ(to_string(*verifier), postgres_verifier);
}

TEST(ScramVerifier, IsRefusedWhenCutOrChangedInItsForm) {
    for (std::size_t size = 0; size < postgres_verifier.size(); ++size) {
        EXPECT_FALSE(parse_scram_verifier(postgres_verifier.substr(0, size))) << size;
    }
    const auto with = [](std::string_view from, std::string_view to) {
        std::string text{postgres_verifier};
        return text.replace(text.find(from), from.size(), to);
    };
    for (const std::string& bad : {with("SCRAM", "SCRAN"), with("4096", "0"), with("4096", "-1"), with("4096", "4096x"),
                                   with("4096", "99999999999"), with("4096", "10000001"),
                                   with("Ajxjohm4x4S47QIKPW8MeQ==", ""), with("Ajxj", "Aj*j"), with("MeQ==", "MeR=="),
                                   with("ngU=", "ng=="), with("6ug=", "6ug"), with("6ug=", "6ug=\n")}) {
        EXPECT_FALSE(parse_scram_verifier(bad)) << bad;
    }
}

TEST(ScramServer, SpeaksTheRfcsExchange) {
    ScramServer server{rfc_verifier(), true, std::string{rfc_server_nonce}, {}};
    const ScramStep first = server.on_client_first(scram_sha_256, rfc_client_first);
    ASSERT_EQ(first.action, Action::send) << first.error;
    EXPECT_EQ(first.message, rfc_server_first);
    const ScramStep final = server.on_client_final(rfc_client_final);
    ASSERT_EQ(final.action, Action::done) << final.error;
    EXPECT_EQ(final.message, rfc_server_final);
}

/// Both halves, and a hand that may change each message on its way.
struct Exchange {
    std::string_view server_password = "pencil";
    std::string_view client_password = "pencil";
    bool user_exists = true;
    ScramServer::Binding offered = {};
    ScramClient::Binding binding = ScramClient::Binding::none;
    std::string client_binding_data = {};

    std::function<void(std::string&)> client_first = [](std::string&) {};
    std::function<void(std::string&)> server_first = [](std::string&) {};
    std::function<void(std::string&)> client_final = [](std::string&) {};
    std::function<void(std::string&)> server_final = [](std::string&) {};

    ScramStep server_result = {};
    ScramStep client_result = {};
    SecretBytes client_key = {};

    void run() {
        const ScramVerifier verifier = make_scram_verifier(server_password, "0123456789abcdef", 4096);
        ScramServer server{verifier, user_exists, "server-nonce", offered};
        run(server, ScramClient{SecretBytes{client_password}, "client-nonce", binding, client_binding_data});
    }

    void run(ScramServer& server, ScramClient client) {
        std::string message = client.client_first();
        client_first(message);
        server_result = server.on_client_first(client.mechanism(), message);
        if (server_result.action != Action::send) return;
        server_first(server_result.message);
        client_result = client.on_server_first(server_result.message);
        if (client_result.action != Action::send) return;
        client_final(client_result.message);
        server_result = server.on_client_final(client_result.message);
        if (server_result.action != Action::done) return;
        client_key = server.take_client_key();
        server_final(server_result.message);
        client_result = client.on_server_final(server_result.message);
    }

    [[nodiscard]] bool succeeded() const {
        return server_result.action == Action::done && client_result.action == Action::done;
    }
};

TEST(Scram, BothHalvesAgree) {
    Exchange exchange;
    exchange.run();
    EXPECT_TRUE(exchange.succeeded()) << exchange.server_result.error << exchange.client_result.error;
}

TEST(Scram, TheRecoveredKeyLogsInElsewhere) {
    Exchange first;
    first.run();
    ASSERT_TRUE(first.succeeded());
    ASSERT_EQ(first.client_key.size(), scram_key_size);

    const ScramVerifier same = make_scram_verifier("pencil", "0123456789abcdef", 4096);
    Exchange second;
    ScramServer server{same, true, "another-nonce", {}};
    second.run(server, ScramClient{std::move(first.client_key), same, "x", ScramClient::Binding::none});
    EXPECT_TRUE(second.succeeded()) << second.server_result.error << second.client_result.error;
}

TEST(Scram, AKeyIsNotShownToAServerWithAnotherVerifier) {
    for (const ScramVerifier& other : {make_scram_verifier("pencil", "another salt", 4096),
                                       make_scram_verifier("pencil", "0123456789abcdef", 8192)}) {
        Exchange exchange;
        ScramServer server{other, true, "nonce", {}};
        const ScramVerifier known = make_scram_verifier("pencil", "0123456789abcdef", 4096);
        exchange.run(server, ScramClient{SecretBytes{scram_key_size}, known, "x", ScramClient::Binding::none});
        EXPECT_EQ(exchange.client_result.action, Action::failed);
        EXPECT_EQ(exchange.client_result.message, "");
        EXPECT_NE(exchange.client_result.error.find("another password verifier"), std::string::npos);
    }
}

TEST(Scram, AWrongPasswordIsRefusedAndLeavesNoKey) {
    Exchange exchange;
    exchange.client_password = "pencil2";
    exchange.run();
    EXPECT_EQ(exchange.server_result.action, Action::failed);
    EXPECT_EQ(exchange.server_result.sqlstate, "28P01");
    EXPECT_TRUE(exchange.client_key.empty());
}

TEST(Scram, AnUnknownUserLooksLikeAWrongPassword) {
    Exchange exchange;
    exchange.user_exists = false;
    exchange.run();  // even with a verifier that would fit
    EXPECT_EQ(exchange.server_result.action, Action::failed);
    EXPECT_EQ(exchange.server_result.sqlstate, "28P01");

    const ScramVerifier mock = mock_scram_verifier("nobody", "secret of this process");
    EXPECT_EQ(mock.salt.size(), 16U);
    EXPECT_EQ(mock, mock_scram_verifier("nobody", "secret of this process"));
    EXPECT_NE(mock.salt, mock_scram_verifier("somebody", "secret of this process").salt);
    EXPECT_NE(mock.salt, mock_scram_verifier("nobody", "secret of another").salt);
}

TEST(Scram, ChannelBindingOnBothSides) {
    Exchange exchange;
    exchange.offered = {true, "hash of the certificate"};
    exchange.binding = ScramClient::Binding::bind;
    exchange.client_binding_data = "hash of the certificate";
    exchange.run();
    EXPECT_TRUE(exchange.succeeded()) << exchange.server_result.error << exchange.client_result.error;
}

TEST(Scram, AnotherCertificateIsRefused) {
    Exchange exchange;
    exchange.offered = {true, "hash of the certificate"};
    exchange.binding = ScramClient::Binding::bind;
    exchange.client_binding_data = "hash of another one";
    exchange.run();
    EXPECT_EQ(exchange.server_result.action, Action::failed);
    EXPECT_EQ(exchange.server_result.error, "SCRAM channel binding check failed");
}

TEST(Scram, AClientThatThinksWeCannotBindIsTold) {
    Exchange downgraded;
    downgraded.offered = {true, "hash"};
    downgraded.binding = ScramClient::Binding::not_offered;
    downgraded.run();
    EXPECT_EQ(downgraded.server_result.action, Action::failed);
    EXPECT_EQ(downgraded.server_result.sqlstate, "28000");

    Exchange honest;
    honest.binding = ScramClient::Binding::not_offered;
    honest.run();
    EXPECT_TRUE(honest.succeeded());

    Exchange unable;
    unable.offered = {true, "hash"};
    unable.run();  // "n": the client cannot bind, which is no downgrade
    EXPECT_TRUE(unable.succeeded());
}

/// Replaces the first `from`; the test fails if there is none.
std::function<void(std::string&)> change(std::string from, std::string to) {
    return [from = std::move(from), to = std::move(to)](std::string& message) {
        const std::size_t at = message.find(from);
        ASSERT_NE(at, std::string::npos) << message;
        message.replace(at, from.size(), to);
    };
}

struct Tampering {
    const char* name;
    std::function<void(std::string&)> Exchange::*message;
    const char* from;
    const char* to;
};
void PrintTo(const Tampering& c, std::ostream* out) { *out << c.name; }
class Tampered : public testing::TestWithParam<Tampering> {};

TEST_P(Tampered, MessageEndsTheExchange) {
    Exchange exchange;
    exchange.*GetParam().message = change(GetParam().from, GetParam().to);
    exchange.run();
    EXPECT_FALSE(exchange.succeeded());
    EXPECT_TRUE(exchange.server_result.action == Action::failed || exchange.client_result.action == Action::failed);
}

const Tampering tamperings[] = {
    {"flag_unknown", &Exchange::client_first, "n,,", "x,,"},
    {"flag_missing", &Exchange::client_first, "n,,", ",,"},
    {"binding_without_plus", &Exchange::client_first, "n,,", "p=tls-server-end-point,,"},
    {"identity", &Exchange::client_first, "n,,", "n,a=root,"},
    {"header_cut", &Exchange::client_first, "n,,", "n,"},
    {"extension", &Exchange::client_first, "n=,", "m=1,n=,"},
    {"no_user", &Exchange::client_first, "n=,", ""},
    {"no_nonce", &Exchange::client_first, "r=client-nonce", "x=1"},
    {"empty_nonce", &Exchange::client_first, "r=client-nonce", "r="},
    {"nonce_with_blank", &Exchange::client_first, "client-nonce", "client nonce"},
    {"nonce_not_ascii", &Exchange::client_first, "client-nonce", "cli\xc3\xa9nt"},
    {"other_client_nonce", &Exchange::client_first, "client-nonce", "client-nonco"},
    {"user_changed_under_way", &Exchange::client_first, "n=,", "n=eve,"},
    {"server_drops_our_nonce", &Exchange::server_first, "client-nonce", "another"},
    {"server_adds_no_nonce", &Exchange::server_first, "server-nonce", ""},
    {"server_nonce_changed", &Exchange::server_first, "server-nonce", "server-nonco"},
    {"salt_changed", &Exchange::server_first, "s=MDEy", "s=MDEz"},
    {"salt_not_base64", &Exchange::server_first, "s=MDEy", "s=MDE*"},
    {"salt_empty", &Exchange::server_first, "s=MDEyMzQ1Njc4OWFiY2RlZg==", "s="},
    {"iterations_changed", &Exchange::server_first, "i=4096", "i=4095"},
    {"iterations_zero", &Exchange::server_first, "i=4096", "i=0"},
    {"iterations_missing", &Exchange::server_first, ",i=4096", ""},
    {"iterations_not_a_number", &Exchange::server_first, "i=4096", "i=4096x"},
    {"iterations_that_take_hours", &Exchange::server_first, "i=4096", "i=4294967295"},
    {"iterations_too_large", &Exchange::server_first, "i=4096", "i=99999999999999"},
    {"extension_from_the_server", &Exchange::server_first, "i=4096",
     "i=4096,x=00000000000000000000000000000000000000000000000000"},
    {"binding_changed", &Exchange::client_final, "c=biws", "c=eSws"},
    {"binding_missing", &Exchange::client_final, "c=biws,", ""},
    {"final_nonce_changed", &Exchange::client_final, "server-nonce", "server-nonco"},
    {"final_nonce_cut", &Exchange::client_final, "server-nonce", ""},
    {"proof_missing", &Exchange::client_final, ",p=", ",q="},
    {"proof_short", &Exchange::client_final, ",p=", ",p=AAAA"},
    {"proof_not_base64", &Exchange::client_final, ",p=", ",p=*"},
    {"extension_in_final", &Exchange::client_final, ",p=", ",x=1,p="},
    {"signature_missing", &Exchange::server_final, "v=", "w="},
    {"server_error", &Exchange::server_final, "v=", "e=invalid-proof,v="},
};
INSTANTIATE_TEST_SUITE_P(Scram, Tampered, testing::ValuesIn(tamperings), name_of);

/// With a password every iteration is computed on a thread that has others to serve; with a ClientKey none is.
TEST(Scram, AServerCannotAskForMoreIterationsThanOthersCanWaitFor) {
    const auto first = [](ScramClient client, std::uint32_t iterations) {
        (void)client.client_first();
        return client.on_server_first("r=nonce-more,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=" + std::to_string(iterations));
    };
    const auto with_password = [] {
        return ScramClient(SecretBytes(std::string_view("secret")), "nonce", ScramClient::Binding::none);
    };
    EXPECT_EQ(first(with_password(), 4096).action, Action::send);
    const ScramStep refused = first(with_password(), max_scram_client_iterations + 1);
    EXPECT_EQ(refused.action, Action::failed);
    EXPECT_EQ(refused.error, "the server's SCRAM iteration count is too large");
    ScramVerifier verifier;
    verifier.salt = "0123456789abcdef";
    verifier.iterations = max_scram_client_iterations + 1;
    const SecretBytes key(std::string_view("01234567890123456789012345678901"));
    const auto by_key =
        first(ScramClient(key.clone(), verifier, "nonce", ScramClient::Binding::none), max_scram_client_iterations + 1);
    EXPECT_EQ(by_key.action, Action::send);
}

TEST(Scram, EveryBitOfProofAndSignatureCounts) {
    for (std::size_t byte = 0; byte < scram_key_size; byte += 5) {
        const auto flip = [byte](char attribute) {
            return [byte, attribute](std::string& message) {
                const std::size_t at = message.rfind(std::string{attribute} + "=") + 2;
                std::string bytes = from_base64(message.substr(at)).value();
                bytes[byte] = static_cast<char>(bytes[byte] ^ 1);
                message.replace(at, std::string::npos, to_base64(bytes));
            };
        };
        Exchange proof;
        proof.client_final = flip('p');
        proof.run();
        EXPECT_EQ(proof.server_result.sqlstate, "28P01");
        Exchange signature;
        signature.server_final = flip('v');
        signature.run();
        EXPECT_EQ(signature.client_result.action, Action::failed);
    }
}

TEST(Scram, IsCutAnywhereSafely) {
    for (std::size_t size = 0; size < rfc_client_first.size(); ++size) {
        ScramServer server{rfc_verifier(), true, std::string{rfc_server_nonce}, {}};
        (void)server.on_client_first(scram_sha_256, rfc_client_first.substr(0, size));
    }
    for (std::size_t size = 0; size < rfc_client_final.size(); ++size) {
        ScramServer server{rfc_verifier(), true, std::string{rfc_server_nonce}, {}};
        (void)server.on_client_first(scram_sha_256, rfc_client_first);
        EXPECT_EQ(server.on_client_final(rfc_client_final.substr(0, size)).action, Action::failed) << size;
    }
}

TEST(Scram, LongMessagesAreRefused) {
    const std::string nonce(max_scram_message, 'x');
    ScramServer server{rfc_verifier(), true, "n", {}};
    EXPECT_EQ(server.on_client_first(scram_sha_256, "n,,n=,r=" + nonce).action, Action::failed);
    ScramClient client{SecretBytes{std::string_view{"x"}}, "c", ScramClient::Binding::none};
    (void)client.client_first();
    EXPECT_EQ(client.on_server_first("r=c" + nonce + ",s=AAAA,i=1").action, Action::failed);
}

TEST(Scram, MechanismsThatWereNotOfferedAreRefused) {
    for (const std::string_view mechanism : {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", ""}) {
        ScramServer server{rfc_verifier(), true, "n", {}};
        EXPECT_EQ(server.on_client_first(mechanism, rfc_client_first).action, Action::failed);
    }
    ScramServer server{rfc_verifier(), true, "n", {true, "hash"}};
    EXPECT_EQ(server.on_client_first(scram_sha_256_plus, rfc_client_first).action, Action::failed);
    ScramServer other{rfc_verifier(), true, "n", {true, "hash"}};
    EXPECT_EQ(other.on_client_first(scram_sha_256_plus, "p=tls-unique,,n=,r=x").action, Action::failed);
}

TEST(Scram, StepsOutOfOrderAreRefused) {
    ScramServer server{rfc_verifier(), true, std::string{rfc_server_nonce}, {}};
    EXPECT_EQ(server.on_client_final(rfc_client_final).action, Action::failed);
    EXPECT_EQ(server.on_client_first(scram_sha_256, rfc_client_first).action, Action::failed);

    ScramServer finished{rfc_verifier(), true, std::string{rfc_server_nonce}, {}};
    (void)finished.on_client_first(scram_sha_256, rfc_client_first);
    ASSERT_EQ(finished.on_client_final(rfc_client_final).action, Action::done);
    EXPECT_EQ(finished.on_client_final(rfc_client_final).action, Action::failed);

    ScramClient client{SecretBytes{std::string_view{"x"}}, "c", ScramClient::Binding::none};
    EXPECT_EQ(client.on_server_final("v=AAAA").action, Action::failed);
}

}  // namespace
}  // namespace turnout::test
