// Who may come in by which rule: every method over every transport, with a rule file as a DBA would write it.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"
#include "tests/support/cluster_certificate.hpp"

namespace turnout::integration {
namespace {

namespace fs = std::filesystem;

/// The files that the proxy reads: rules, maps, certificates.
class Files {
  public:
    Files() : directory(fs::temp_directory_path() / fmt::format("turnout_methods_{}", ::getpid())) {
        fs::create_directories(directory / "socket");
        for (const char* name : {"m_cert", "m_both", "Somebody", "stranger"})
            support::write_certificate(path(name, "crt"), path(name, "key"), name);
        std::ofstream authorities(directory / "ca.crt");
        for (const char* name : {"m_cert", "m_both", "Somebody"})
            authorities << std::ifstream(path(name, "crt")).rdbuf();
        write_rules("");
        std::ofstream(directory / "ident") << "people Somebody m_mapped\n";
    }
    ~Files() { fs::remove_all(directory); }

    fs::path path(const std::string& name, const std::string& kind) const { return directory / (name + "." + kind); }
    void write_rules(const std::string& first) const {
        std::ofstream(directory / "hba") << first << R"(
# type   database  user        address       method
local    all       m_trust                   trust
local    all       m_password                password
local    all       m_md5                     md5
local    all       m_scram                   scram-sha-256
host     all       m_reject    samehost      reject
host     app       m_trust     127.0.0.1/32  trust
host     "app"     m_trust     ::1/128       trust
hostssl  all       m_password  samehost      password
host     sameuser,/^ap m_md5   127.0.0.1 255.0.0.0 md5
host     all       m_md5       ::1/128       md5
host     all       +staff      samenet       scram-sha-256
hostssl  all       m_cert      all           cert
hostssl  all       m_mapped    all           cert map=people
hostssl  all       m_both      all           scram-sha-256 clientcert=verify-full
)";
    }

    const fs::path directory;
};

class Methods : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        files_ = std::make_unique<Files>();
        const auto named = [](const char* key, const fs::path& file) {
            return fmt::format("{} = \"{}\"", key, file.string());
        };
        pair_ = std::make_unique<Pair>(
            PairOptions{.auth = support::ClusterAuth::scram,
                        .tls = true,
                        .hba = {"host all m_trust,m_cert,m_mapped all trust", "host all m_md5 all md5"},
                        .listen_too = {"[::1]:{}", "unix:" + (files_->directory / "socket").string()},
                        .lines = {{"auth", named("hba_file", files_->directory / "hba")},
                                  {"auth", named("ident_file", files_->directory / "ident")},
                                  {"proxy.tls", "mode = \"allow\""},
                                  {"proxy.tls", named("client_ca", files_->directory / "ca.crt")}}});
        pair_->blue().execute(
            "CREATE ROLE staff; CREATE ROLE m_scram LOGIN PASSWORD 'secret' IN ROLE staff;"
            "CREATE ROLE m_trust LOGIN; CREATE ROLE m_cert LOGIN; CREATE ROLE m_mapped LOGIN;"
            "CREATE ROLE m_password LOGIN PASSWORD 'secret'; CREATE ROLE m_both LOGIN PASSWORD 'secret';"
            "CREATE ROLE m_reject LOGIN PASSWORD 'secret';"
            "SET password_encryption = md5; CREATE ROLE m_md5 LOGIN PASSWORD 'secret';");
    }
    static void TearDownTestSuite() {
        pair_.reset();
        files_.reset();
    }

    /// A conninfo over a transport: plain, tls, ipv6 (plain), unix.
    static std::string over(const std::string& transport, const std::string& user,
                            const std::string& password = "secret", const std::string& certificate = {}) {
        std::string conninfo = pair_->turnout().conninfo(user, password, "app");
        conninfo = bench::with(conninfo, "sslmode", transport == "tls" ? "require" : "disable");
        if (transport == "ipv6") conninfo = bench::with(conninfo, "host", "::1");
        if (transport == "unix") {
            conninfo = bench::with(conninfo, "host", (files_->directory / "socket").string());
            conninfo = bench::with(conninfo, "port", "6432");
        }
        if (certificate.empty()) return bench::with(conninfo, "sslcert", "/nonexistent");
        conninfo = bench::with(conninfo, "sslcert", files_->path(certificate, "crt").string());
        return bench::with(conninfo, "sslkey", files_->path(certificate, "key").string());
    }

    /// `ok` if a session of that user came about, else what the client was told.
    static std::string login(const std::string& conninfo, const std::string& user) {
        const bench::Connection connection = bench::try_connect(conninfo);
        if (PQstatus(connection.get()) != CONNECTION_OK) return PQerrorMessage(connection.get());
        const auto who = bench::value(connection.get(), "SELECT current_user");
        return who == user ? "ok" : "logged in as " + who.value_or("nobody");
    }

    static std::unique_ptr<Files> files_;
    static std::unique_ptr<Pair> pair_;
};
std::unique_ptr<Files> Methods::files_;
std::unique_ptr<Pair> Methods::pair_;

constexpr std::array<const char*, 4> kTransports{"plain", "tls", "ipv6", "unix"};
constexpr const char* kNoRule = "no pg_hba.conf entry for host";
constexpr const char* kNoCertificate = "connection requires a valid client certificate";

TEST_F(Methods, EachOverEachTransport) {
    const struct {
        const char* user;
        const char* certificate;
        std::array<const char*, 4> expected;  ///< by kTransports
    } rows[] = {
        {"m_trust", "", {"ok", "ok", "ok", "ok"}},
        {"m_password", "", {kNoRule, "ok", kNoRule, "ok"}},
        {"m_md5", "", {"ok", "ok", "ok", "ok"}},
        {"m_scram", "", {"ok", "ok", "ok", "ok"}},
        {"m_scram", "m_cert", {"ok", "ok", "ok", "ok"}},
        {"m_cert", "m_cert", {kNoRule, "ok", kNoRule, kNoRule}},
        {"m_cert", "", {kNoRule, kNoCertificate, kNoRule, kNoRule}},
        {"m_cert", "m_both", {kNoRule, "certificate authentication failed for user \"m_cert\"", kNoRule, kNoRule}},
        {"m_mapped", "Somebody", {kNoRule, "ok", kNoRule, kNoRule}},
        {"m_mapped", "m_cert", {kNoRule, "certificate authentication failed for user \"m_mapped\"", kNoRule, kNoRule}},
        {"m_both", "m_both", {kNoRule, "ok", kNoRule, kNoRule}},
        {"m_both", "", {kNoRule, kNoCertificate, kNoRule, kNoRule}},
        {"m_both", "m_cert", {kNoRule, "password authentication failed for user \"m_both\"", kNoRule, kNoRule}},
        {"m_reject",
         "",
         {"pg_hba.conf rejects connection for host \"127.0.0.1\", user \"m_reject\", database \"app\", no encryption",
          "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"m_reject\", database \"app\", SSL encryption",
          "pg_hba.conf rejects connection for host \"::1\"", kNoRule}},
        {"app", "", {kNoRule, kNoRule, kNoRule, "no pg_hba.conf entry for host \"[local]\""}},
        {"postgres", "", {kNoRule, kNoRule, kNoRule, kNoRule}},
        {"nobody_of_that_name", "", {kNoRule, kNoRule, kNoRule, kNoRule}},
    };
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < kTransports.size(); ++i) {
            const std::string told = login(over(kTransports[i], row.user, "secret", row.certificate), row.user);
            EXPECT_NE(told.find(row.expected[i]), std::string::npos)
                << row.user << " over " << kTransports[i] << " with certificate '" << row.certificate << "': " << told;
        }
    }
}

TEST_F(Methods, AWrongPasswordIsRefusedByEachThatAsks) {
    for (const char* user : {"m_password", "m_md5", "m_scram"}) {
        for (const char* transport : {"tls", "unix"}) {
            const std::string told = login(over(transport, user, "wrong"), user);
            EXPECT_NE(told.find("password authentication failed for user"), std::string::npos)
                << user << " over " << transport << ": " << told;
        }
    }
    EXPECT_EQ(pair_->turnout().log().find("wrong"), std::string::npos);
}

TEST_F(Methods, ACertificateOfAStrangerEndsTheHandshake) {
    const std::string told = login(over("tls", "m_cert", "", "stranger"), "m_cert");
    EXPECT_NE(told.find("alert"), std::string::npos) << told;
}

TEST_F(Methods, ChannelBindingIsOfferedOverTlsOnly) {
    const auto bound = [](const std::string& transport) {
        return login(bench::with(over(transport, "m_scram"), "channel_binding", "require"), "m_scram");
    };
    EXPECT_EQ(bound("tls"), "ok");
    EXPECT_NE(bound("plain").find("channel binding"), std::string::npos) << bound("plain");
    EXPECT_EQ(login(bench::with(over("tls", "m_scram"), "channel_binding", "disable"), "m_scram"), "ok");
}

TEST_F(Methods, PgbenchReconnectsForEachTransaction) {
    const fs::path script = files_->directory / "one.sql";
    std::ofstream(script) << "SELECT 1;\n";
    const struct {
        const char* user;
        const char* transport;
        const char* certificate;
    } rows[] = {{"m_trust", "plain", ""}, {"m_password", "tls", ""}, {"m_md5", "unix", ""},
                {"m_scram", "plain", ""}, {"m_scram", "tls", ""},    {"m_cert", "tls", "m_cert"}};
    for (const auto& row : rows) {
        const bench::Exit exit = bench::run_program(
            {.arguments = {bench::client_program("pgbench"), "-n", "-C", "-c", "2", "-t", "5", "-f", script.string(),
                           over(row.transport, row.user, "secret", row.certificate)},
             .environment = {}});
        EXPECT_EQ(exit.status, 0) << row.user << " over " << row.transport << ": " << exit.err;
        EXPECT_NE(exit.out.find("processed: 10/10"), std::string::npos) << exit.out;
    }
}

TEST_F(Methods, DriversThatAreNotLibpqLogInByEachMethodOverEachTransportTheyHave) {
    const std::string socket = (files_->directory / "socket").string();
    const std::string port = std::to_string(pair_->turnout().port());
    const auto certificate = [](const char* kind) { return files_->path("m_cert", kind).string(); };
    const std::vector<std::vector<std::string>> rows{
        {"127.0.0.1", port, "m_trust", "secret"},
        {"127.0.0.1", port, "m_md5", "secret"},
        {"127.0.0.1", port, "m_scram", "secret"},
        {"::1", port, "m_scram", "secret"},
        {"127.0.0.1", port, "m_scram", "secret", "tls"},
        {"127.0.0.1", port, "m_password", "secret", "tls"},
        {socket, "6432", "m_password", "secret"},
        {socket, "6432", "m_scram", "secret"},
        {"127.0.0.1", port, "m_cert", "secret", certificate("crt"), certificate("key")}};
    for (const char* driver : {"pg", "postgres"}) {
        for (std::vector<std::string> arguments : rows) {
            const std::string what = fmt::format("{}: {} at {}", driver, arguments[2], arguments[0]);
            arguments.insert(arguments.begin(), driver);
            EXPECT_EQ(bench::must_run(node("driver_matrix.js", arguments)).out, "ok\n") << what;
        }
    }
    EXPECT_EQ(
        bench::must_run(node("driver_matrix.js", {"postgres", "127.0.0.1", port, "m_scram", "wrong"})).out.substr(0, 5),
        "28P01");
}

TEST_F(Methods, ANewerLibpqComesInDirectlyByTlsAndWithTheNewestProtocol) {
    const std::string libraries = TURNOUT_SOURCE_DIR "/.cache/pg/18/native/lib";
    for (const std::string more : {"sslnegotiation=direct", "min_protocol_version=3.2 max_protocol_version=latest",
                                   "max_protocol_version=3.0 channel_binding=require"}) {
        const bench::Exit exit =
            bench::run_program({.arguments = {bench::client_program("psql"), "-X", "-A", "-t", "-c",
                                              "SELECT current_user", over("tls", "m_scram") + " " + more},
                                .environment = {{"LD_LIBRARY_PATH", libraries}}});
        EXPECT_EQ(exit.out, "m_scram\n") << more << ": " << exit.err;
    }
}

/// After the reload is done, whichever way it went.
void reload(Pair& pair, const std::string& log) {
    const std::size_t before = pair.turnout().log().size();
    ASSERT_EQ(::kill(pair.turnout().pid(), SIGHUP), 0);
    eventually([&] { return pair.turnout().log().find(log, before) != std::string::npos; }, "the reload");
}

TEST_F(Methods, RulesAreReadAgainOnSighupAllOrNothing) {
    const std::string user = "m_trust";
    ASSERT_EQ(login(over("plain", user), user), "ok");
    files_->write_rules("host all m_trust all reject\n");
    reload(*pair_, "RELOAD ends: exit status 0");
    EXPECT_NE(login(over("plain", user), user).find("pg_hba.conf rejects"), std::string::npos);
    files_->write_rules("host all m_trust all trust\nhosts all all all trust\nlocal all all scrum\n");
    reload(*pair_, "RELOAD ends: ");
    const bench::Exit checked =
        bench::run_program({.arguments = {TURNOUT_PROGRAM, "serve", "--check-config", "--config",
                                          pair_->turnout().configuration().string()},
                            .environment = {}});
    EXPECT_EQ(checked.status, 2);
    EXPECT_NE(checked.err.find("hba:2: invalid connection type"), std::string::npos) << checked.err;
    EXPECT_NE(pair_->turnout().log().find("hba:2: invalid connection type \"hosts\""), std::string::npos);
    EXPECT_NE(pair_->turnout().log().find("hba:3: invalid authentication method \"scrum\""), std::string::npos);
    EXPECT_NE(login(over("plain", user), user).find("pg_hba.conf rejects"), std::string::npos) << "as before";
    files_->write_rules("");
    reload(*pair_, "RELOAD ends: exit status 0");
    EXPECT_EQ(login(over("plain", user), user), "ok");
}

}  // namespace
}  // namespace turnout::integration
