// Who may come in, and how: every method, TLS on both legs, and what a refused client is told.
#include <gtest/gtest.h>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

constexpr const char* kSchema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)";

/// `ok`, or SQLSTATE and message, as npm's driver tells them.
std::string login(Pair& pair, const std::string& user, const std::string& password,
                  const std::string& database = "app") {
    return bench::must_run(node("driver_login.js", {std::to_string(pair.turnout().port()), user, password, database}))
        .out;
}

std::string sqlstate(const std::string& answer) { return answer.substr(0, 5); }

/// A session that was there before goes on after a switch, and new ones come in.
void expect_switchable(Pair& pair, const bench::Connection& session) {
    pair.sync();
    bench::run(session.get(), "INSERT INTO things (note) VALUES ('before')");
    pair.change();
    bench::run(session.get(), "INSERT INTO things (note) VALUES ('after')");
    EXPECT_EQ(bench::number(session.get(), "SELECT count(*) FROM things"), 2);
    EXPECT_EQ(bench::number(pair.connect().get(), "SELECT count(*) FROM things"), 2);
}

TEST(Logins, ScramWithAndWithoutTheRightPassword) {
    Pair pair;
    EXPECT_EQ(login(pair, Pair::kRole, Pair::kPassword), "ok\n");
    EXPECT_EQ(sqlstate(login(pair, Pair::kRole, "wrong")), "28P01");
    EXPECT_EQ(sqlstate(login(pair, "nobody_of_that_name", "wrong")), "28P01") << "as for a wrong password";
    EXPECT_EQ(sqlstate(login(pair, Pair::kRole, Pair::kPassword, "postgres")), "3D000") << "it is not listed";
    EXPECT_EQ(pair.turnout().log().find(Pair::kPassword), std::string::npos);
}

TEST(Logins, ARoleThatMayNotLogInIsRefusedInTheServersWords) {
    Pair pair;
    pair.blue().execute("ALTER ROLE app NOLOGIN");
    const std::string answer = login(pair, Pair::kRole, Pair::kPassword);
    EXPECT_EQ(sqlstate(answer), "28000") << answer;
    EXPECT_NE(answer.find("is not permitted to log in"), std::string::npos) << answer;
}

TEST(Logins, Md5) {
    Pair pair({.schema = kSchema, .auth = support::ClusterAuth::md5, .lines = {{"auth", "method = \"md5\""}}});
    EXPECT_EQ(login(pair, Pair::kRole, Pair::kPassword), "ok\n");
    EXPECT_EQ(sqlstate(login(pair, Pair::kRole, "wrong")), "28P01");
    expect_switchable(pair, pair.connect());
}

TEST(Logins, Trust) {
    Pair pair({.schema = kSchema, .auth = support::ClusterAuth::trust, .lines = {{"auth", "method = \"trust\""}}});
    EXPECT_EQ(login(pair, Pair::kRole, ""), "ok\n");
    expect_switchable(pair, pair.connect());
}

TEST(Logins, TlsOnBothLegs) {
    Pair pair({.schema = kSchema, .tls = true, .lines = {{"proxy.tls", "mode = \"require\""}}});
    const std::string verified = bench::with(bench::with(pair.conninfo(), "sslmode", "verify-full"), "sslrootcert",
                                             pair.blue().certificate().string());
    const bench::Connection session = bench::connect(verified);
    EXPECT_EQ(PQsslInUse(session.get()), 1);
    const std::string backend_uses_tls = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    EXPECT_EQ(bench::value(session.get(), backend_uses_tls), "t");
    expect_switchable(pair, session);
    EXPECT_EQ(bench::value(session.get(), backend_uses_tls), "t") << "on the other side, too";
    const bench::Connection plain = bench::try_connect(bench::with(pair.conninfo(), "sslmode", "disable"));
    ASSERT_EQ(PQstatus(plain.get()), CONNECTION_BAD);
    EXPECT_NE(std::string(PQerrorMessage(plain.get())).find("FATAL"), std::string::npos)
        << "a refusal, not a closed socket: " << PQerrorMessage(plain.get());
}

TEST(Logins, WhileNoSideCanBeReachedAClientIsToldAndLaterServed) {
    Pair pair;
    pair.green().stop();
    pair.blue().stop();
    const std::string answer = login(pair, Pair::kRole, Pair::kPassword);
    EXPECT_EQ(sqlstate(answer), "57P03") << answer;
    pair.blue().start();
    pair.green().start();
    eventually([&] { return login(pair, Pair::kRole, Pair::kPassword) == "ok\n"; },
               "a login after the servers are back");
}

TEST(Logins, AProxyThatStartsWhileNoSideCanBeReachedSaysSo) {
    Pair pair;
    pair.turnout().stop();
    pair.green().stop();
    pair.blue().stop();
    pair.turnout().start();
    const std::string answer = login(pair, Pair::kRole, Pair::kPassword);
    EXPECT_EQ(sqlstate(answer), "57P03") << answer;
    pair.blue().start();
    pair.green().start();
    eventually([&] { return login(pair, Pair::kRole, Pair::kPassword) == "ok\n"; }, "a login after the servers are up");
}

}  // namespace
}  // namespace turnout::integration
