// The auth_file: PgBouncer's format, and how its verifiers stand in front of what the servers say.
#include "control/auth_file.hpp"

#include <gtest/gtest.h>

namespace turnout::control {
namespace {

constexpr const char* kVerifier = "SCRAM-SHA-256$4096:salt$stored:server";

std::string refused(std::string_view text) {
    try {
        parse_auth_file(text, "users.txt");
    } catch (const AuthFileError& error) {
        return error.what();
    }
    return "accepted";
}

TEST(AuthFile, HasPgBouncersFormat) {
    const Verifiers verifiers = parse_auth_file(
        "; a remark\n\n\"app\" \"SCRAM-SHA-256$4096:salt$stored:server\"\r\n"
        "  \"with \"\"quotes\"\"\"\t\"md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" ignored\n\"nobody\" \"\"",
        "users.txt");
    EXPECT_EQ(verifiers.size(), 3U);
    EXPECT_EQ(verifiers.at("app"), kVerifier);
    EXPECT_EQ(verifiers.at("with \"quotes\""), "md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    EXPECT_EQ(verifiers.at("nobody"), "");
    EXPECT_TRUE(parse_auth_file("", "users.txt").empty());
}

TEST(AuthFile, ProblemsAreNamedWithTheirLineAndWithoutThePassword) {
    EXPECT_EQ(refused("\n\"app\" \"hunter2\"\n"),
              "users.txt:2: the password of \"app\" is in the clear: put its verifier there (SELECT rolpassword FROM "
              "pg_authid)");
    EXPECT_EQ(refused("app hunter2\n"), "users.txt:1: a line must be \"role\" \"verifier\"");
    EXPECT_EQ(refused("\"app\"\n"), "users.txt:1: a line must be \"role\" \"verifier\"");
    EXPECT_EQ(refused("\"app\" \"unterminated\n"), "users.txt:1: a line must be \"role\" \"verifier\"");
    EXPECT_EQ(refused("\"a\" \"\"\n\"a\" \"\"\n"), "users.txt:2: role \"a\" is there twice: leave one of the lines");
    EXPECT_THROW(load_auth_file("/nonexistent/users.txt"), AuthFileError);
    EXPECT_TRUE(load_auth_file("").empty());
}

class Servers final : public RoleDirectory {
  public:
    RoleAnswer answer;
    int asked = 0;
    void look_up(Side, std::string, std::string, std::function<void(RoleAnswer)> done) override {
        ++asked;
        done(answer);
    }
};

RoleAnswer ask(RoleDirectory& directory, std::string user) {
    RoleAnswer got;
    directory.look_up(Side::blue, std::move(user), "app", [&got](RoleAnswer answer) { got = std::move(answer); });
    return got;
}

TEST(AuthFileDirectory, GivesTheVerifierAndAsksTheServersForTheRest) {
    Servers servers;
    servers.answer = RoleFacts{.exists = true, .superuser = true, .verifier = "theirs", .read_only = "off"};
    AuthFileDirectory directory(servers, {{"app", "ours"}});
    const auto ours = std::get<RoleFacts>(ask(directory, "app"));
    EXPECT_EQ(ours.verifier, "ours");
    EXPECT_TRUE(ours.exists && ours.superuser);
    EXPECT_EQ(ours.read_only, "off");
    EXPECT_EQ(std::get<RoleFacts>(ask(directory, "other")).verifier, "theirs");
    EXPECT_EQ(servers.asked, 2);
    directory.replace({});
    EXPECT_EQ(std::get<RoleFacts>(ask(directory, "app")).verifier, "theirs");
    servers.answer = RoleUnknown{"the side is away"};
    directory.replace({{"app", "ours"}});
    EXPECT_EQ(std::get<RoleUnknown>(ask(directory, "app")).message, "the side is away");
}

}  // namespace
}  // namespace turnout::control
