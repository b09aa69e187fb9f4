#include "protocol/passwords.hpp"

#include <gtest/gtest.h>

#include <type_traits>

#include "protocol/base64.hpp"
#include "protocol/md5.hpp"
#include "protocol/scram.hpp"
#include "tests/protocol/bytes.hpp"

namespace turnout::test {
namespace {

using namespace protocol;

// What PostgreSQL 15 stored for user bob with password "secret".
constexpr std::string_view bobs_md5 = "md521f3163f8f86fa10bdefbfbd502a8f06";

TEST(Md5, IsThatOfPostgres) { EXPECT_EQ(make_md5_verifier("bob", "secret"), bobs_md5); }

TEST(Md5, AnswersASalt) {
    const std::array<char, 4> salt{'\x01', '\x02', '\xff', '\0'};
    const auto response = md5_response(bobs_md5, salt);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->size(), 35U);
    EXPECT_TRUE(check_md5_response(bobs_md5, salt, *response));
    EXPECT_FALSE(check_md5_response(bobs_md5, {}, *response));
    EXPECT_FALSE(check_md5_response(bobs_md5, salt, bobs_md5));
    EXPECT_FALSE(check_md5_response(bobs_md5, salt, ""));
    EXPECT_FALSE(check_md5_response("secret", salt, *response));
    EXPECT_EQ(md5_response("secret", salt), std::nullopt);
}

TEST(Passwords, TheirKinds) {
    EXPECT_EQ(kind_of_password(""), StoredPassword::none);
    EXPECT_EQ(kind_of_password(bobs_md5), StoredPassword::md5);
    EXPECT_EQ(kind_of_password(to_string(make_scram_verifier("x", "salt", 1))), StoredPassword::scram);
    EXPECT_EQ(kind_of_password("md5"), StoredPassword::plain);
}

TEST(Passwords, ABrokenVerifierIsNobodysPassword) {
    for (const std::string_view broken :
         {"md521F3163F8F86FA10BDEFBFBD502A8F06", "SCRAM-SHA-256$nonsense", "SCRAM-SHA-256$4096:c2FsdA==$cut"}) {
        EXPECT_EQ(kind_of_password(broken), StoredPassword::none);
        EXPECT_FALSE(check_password("bob", broken, broken)) << "who has read it does not get in with it";
    }
}

TEST(Passwords, FitWhatIsStored) {
    const std::string scram = to_string(make_scram_verifier("secret", "salt", 4096));
    for (const std::string_view stored : {std::string_view{scram}, bobs_md5, std::string_view{"secret"}}) {
        EXPECT_TRUE(check_password("bob", "secret", stored)) << stored;
        EXPECT_FALSE(check_password("bob", "Secret", stored)) << stored;
        EXPECT_FALSE(check_password("bob", "secret ", stored)) << stored;
        EXPECT_FALSE(check_password("bob", "", stored)) << stored;
    }
    EXPECT_FALSE(check_password("eve", "secret", bobs_md5));
    EXPECT_FALSE(check_password("bob", "secret", ""));
    EXPECT_FALSE(check_password("bob", bobs_md5, bobs_md5)) << "a verifier is not a password";
}

TEST(Passwords, GiveTheClientKeyOfTheVerifier) {
    const ScramVerifier verifier = make_scram_verifier("secret", "salt", 4096);
    auto key = client_key_of("secret", to_string(verifier));
    ASSERT_TRUE(key);
    ScramServer server{verifier, true, "nonce", {}};
    ScramClient client{std::move(*key), verifier, "x", ScramClient::Binding::none};
    const ScramStep first = server.on_client_first(client.mechanism(), client.client_first());
    EXPECT_EQ(server.on_client_final(client.on_server_first(first.message).message).action, ScramStep::Action::done);
    EXPECT_FALSE(client_key_of("wrong", to_string(verifier)));
    EXPECT_FALSE(client_key_of("secret", bobs_md5));
}

TEST(SecretBytes, AreMovedAndNeverCopiedByAccident) {
    static_assert(!std::is_copy_constructible_v<SecretBytes> && !std::is_copy_assignable_v<SecretBytes>);
    SecretBytes first{std::string_view{"key"}};
    SecretBytes second = std::move(first);
    EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): that it is empty is the promise
    EXPECT_EQ(second.reveal(), "key");
    const SecretBytes third = second.clone();
    first = std::move(second);
    EXPECT_EQ(first.reveal(), third.reveal());
    first.clear();
    EXPECT_TRUE(first.empty());
}

TEST(SecretBytes, WipeLeavesNothingInABuffer) {
    std::string text(100, 's');
    const char* memory = text.data();
    text.resize(10);  // the rest of the secret still lies behind the end
    wipe(text);
    EXPECT_TRUE(text.empty());
    text.reserve(100);
    ASSERT_EQ(text.data(), memory);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(memory[i], '\0') << i;
}

TEST(ConstantTime, Equality) {
    EXPECT_TRUE(equal_in_constant_time("", ""));
    EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
    EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
    EXPECT_FALSE(equal_in_constant_time("abc", "abcd"));
}

TEST(Base64, OfTheRfc) {
    // RFC 4648, section 10.
    const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                           {"f", "Zg=="},
                                                           {"fo", "Zm8="},
                                                           {"foo", "Zm9v"},
                                                           {"foob", "Zm9vYg=="},
                                                           {"fooba", "Zm9vYmE="},
                                                           {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : vectors) {
        EXPECT_EQ(to_base64(plain), encoded);
        EXPECT_EQ(from_base64(encoded), plain);
    }
    std::string all;
    for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
    EXPECT_EQ(from_base64(to_base64(all)), all);
}

TEST(Base64, IsStrict) {
    for (const char* bad :
         {"Zg", "Zg=", "Z===", "====", "=", "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "Zm-v", "Zg==Zg==", "Z=g="}) {
        EXPECT_EQ(from_base64(bad), std::nullopt) << bad;
    }
}

}  // namespace
}  // namespace turnout::test
