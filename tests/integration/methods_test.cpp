// Who may come in by which rule: every method over every transport, with a rule file as a DBA would write it.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"
#include "tests/integration/process_memory.hpp"
#include "tests/support/cluster_certificate.hpp"

namespace turnout::integration {
namespace {

namespace fs = std::filesystem;

/// The files that the proxy reads: rules, maps, certificates.
class Files {
  public:
    Files() : directory(fs::temp_directory_path() / fmt::format("turnout_methods_{}", ::getpid())) {
        fs::create_directories(directory / "socket");
        for (const char* name : {"m_cert", "m_both", "Somebody", "revoked", "stranger"})
            support::write_certificate(path(name, "crt"), path(name, "key"), name);
        std::ofstream authorities(directory / "ca.crt"), lists(directory / "lists.crl");
        for (const std::string name : {"m_cert", "m_both", "Somebody", "revoked"}) {
            support::write_revocation_list(path(name, "crl"), path(name, "crt"), path(name, "key"),
                                           name == "revoked" ? support::Revoked::itself : support::Revoked::nothing);
            // Some lists stand beside their authorities, some in a file of their own.
            authorities << std::ifstream(path(name, "crt")).rdbuf();
            (name.starts_with("m_") ? authorities : lists) << std::ifstream(path(name, "crl")).rdbuf();
        }
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
host     all       m_elsewhere .example.invalid trust
host     all       m_named     localhost     scram-sha-256
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
                                  {"proxy.tls", named("client_ca", files_->directory / "ca.crt") + "\n" +
                                                    named("client_crl", files_->directory / "lists.crl")}}});
        pair_->blue().execute(
            "CREATE ROLE staff; CREATE ROLE m_scram LOGIN PASSWORD 'secret' IN ROLE staff;"
            "CREATE ROLE m_trust LOGIN; CREATE ROLE m_cert LOGIN; CREATE ROLE m_mapped LOGIN;"
            "CREATE ROLE m_password LOGIN PASSWORD 'secret'; CREATE ROLE m_both LOGIN PASSWORD 'secret';"
            "CREATE ROLE m_reject LOGIN PASSWORD 'secret'; CREATE ROLE m_named LOGIN PASSWORD 'secret';"
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

TEST_F(Methods, ACertificateThatWasRevokedEndsTheHandshake) {
    const std::string told = login(over("tls", "m_cert", "", "revoked"), "m_cert");
    EXPECT_NE(told.find("revoked"), std::string::npos) << told;
}

/// As far as /etc/hosts goes: 127.0.0.1 is called localhost everywhere.
/// What a core dump would hold, if there were one. With SCRAM the password never comes here; with `password` it is kept
/// for the session's other side, and goes with the session.
TEST_F(Methods, APasswordIsNotInMemoryLongerThanItsSession) {
    const std::string by_scram = "scram-7tK4qvR2mZ", in_the_clear = "clear-9bX3wLf6pH";
    pair_->blue().execute("ALTER ROLE m_scram PASSWORD '" + by_scram + "'; ALTER ROLE m_password PASSWORD '" +
                          in_the_clear + "'");
    const auto memory = [] { return memory_of(pair_->turnout().pid()); };
    if (::geteuid() != 0) {
        EXPECT_THROW(memory(), std::system_error) << "nobody but root may look";
    } else {
        for (const char* transport : {"tls", "unix"}) {
            bench::Connection asking = bench::connect(over(transport, "m_scram", by_scram));
            bench::Connection telling = bench::connect(over(transport, "m_password", in_the_clear));
            const std::string meanwhile = memory();
            EXPECT_EQ(occurrences(meanwhile, by_scram), 0U) << transport;
            EXPECT_GE(occurrences(meanwhile, in_the_clear), 1U) << "it is what logs in elsewhere; " << transport;
            asking.reset();
            telling.reset();
            eventually(
                [&] {
                    const std::string now = memory();
                    return occurrences(now, by_scram) + occurrences(now, in_the_clear) == 0;
                },
                "passwords are gone with their sessions");
        }
    }
    pair_->blue().execute("ALTER ROLE m_scram PASSWORD 'secret'; ALTER ROLE m_password PASSWORD 'secret'");
}

TEST_F(Methods, RulesMayNameHosts) {
    EXPECT_EQ(login(over("plain", "m_named"), "m_named"), "ok");
    EXPECT_EQ(login(over("tls", "m_named"), "m_named"), "ok");
    EXPECT_NE(login(over("unix", "m_named"), "m_named").find(kNoRule), std::string::npos);
    EXPECT_NE(login(over("plain", "m_elsewhere"), "m_elsewhere").find(kNoRule), std::string::npos);
}

TEST_F(Methods, ChannelBindingIsOfferedOverTlsOnly) {
    const auto bound = [](const std::string& transport) {
        return login(bench::with(over(transport, "m_scram"), "channel_binding", "require"), "m_scram");
    };
    EXPECT_EQ(bound("tls"), "ok");
    EXPECT_NE(bound("plain").find("channel binding"), std::string::npos) << bound("plain");
    EXPECT_EQ(login(bench::with(over("tls", "m_scram"), "channel_binding", "disable"), "m_scram"), "ok");
}

/// Every method over every transport that lets it in: what the clients below have to manage.
constexpr struct {
    const char* user;
    const char* transport;
    const char* certificate = "";
} kCells[] = {
    {"m_trust", "plain"},   {"m_trust", "ipv6"},   {"m_trust", "unix"},         {"m_trust", "tls"},
    {"m_password", "unix"}, {"m_password", "tls"}, {"m_md5", "plain"},          {"m_md5", "ipv6"},
    {"m_md5", "unix"},      {"m_md5", "tls"},      {"m_scram", "plain"},        {"m_scram", "ipv6"},
    {"m_scram", "unix"},    {"m_scram", "tls"},    {"m_cert", "tls", "m_cert"}, {"m_both", "tls", "m_both"},
};

TEST_F(Methods, PgbenchReconnectsForEachTransactionInEachQueryMode) {
    const fs::path script = files_->directory / "one.sql";
    std::ofstream(script) << "SELECT 1;\n";
    for (const auto& cell : kCells) {
        for (const char* mode : {"simple", "extended", "prepared"}) {
            const bench::Exit exit = bench::run_program(
                {.arguments = {bench::client_program("pgbench"), "-n", "-C", "-M", mode, "-t", "2", "-f",
                               script.string(), over(cell.transport, cell.user, "secret", cell.certificate)},
                 .environment = {}});
            EXPECT_EQ(exit.status, 0) << mode << ", " << cell.user << " over " << cell.transport << ": " << exit.err;
            EXPECT_NE(exit.out.find("processed: 2/2"), std::string::npos) << exit.out;
        }
    }
}

TEST_F(Methods, PsqlLogsInByEachMethodOverEachTransport) {
    for (const auto& cell : kCells) {
        const bench::Exit exit = psql(over(cell.transport, cell.user, "secret", cell.certificate),
                                      "SELECT current_user;\n\\connect\nSELECT 7;\n");
        EXPECT_EQ(exit.out, std::string(cell.user) + "\n7\n")
            << cell.user << " over " << cell.transport << ": " << exit.err;
    }
}

TEST_F(Methods, DriversThatAreNotLibpqLogInByEachMethodOverEachTransport) {
    const std::string port = std::to_string(pair_->turnout().port());
    std::vector<std::string> cells;
    std::string expected;
    for (const auto& cell : kCells) {
        const std::string transport = cell.transport, certificate = cell.certificate;
        const bool local = transport == "unix";
        cells.insert(cells.end(), {local                 ? (files_->directory / "socket").string()
                                   : transport == "ipv6" ? "::1"
                                                         : "127.0.0.1",
                                   local ? "6432" : port, cell.user, "secret",
                                   !certificate.empty() ? files_->path(certificate, "crt").string()
                                   : transport == "tls" ? "tls"
                                                        : "",
                                   certificate.empty() ? "" : files_->path(certificate, "key").string()});
        expected += "ok\n";
    }
    for (const char* driver : {"pg", "postgres"}) {
        std::vector<std::string> arguments{driver};
        arguments.insert(arguments.end(), cells.begin(), cells.end());
        EXPECT_EQ(bench::must_run(node("driver_matrix.js", arguments)).out, expected) << driver;
    }
    const bench::Exit wrong =
        bench::must_run(node("driver_matrix.js", {"postgres", "127.0.0.1", port, "m_scram", "wrong", "", ""}));
    EXPECT_EQ(wrong.out.substr(0, 5), "28P01");
}

/// What psql prints for the name of its user, by the libpq of 18, which knows more ways in than the system's may.
std::string newest_psql(const std::string& conninfo) {
    const bench::Exit exit = bench::run_program(
        {.arguments = {bench::client_program("psql"), "-X", "-A", "-t", "-c", "SELECT current_user", conninfo},
         .environment = {{"LD_LIBRARY_PATH", TURNOUT_SOURCE_DIR "/.cache/pg/18/native/lib"}}});
    return exit.out + exit.err;
}

TEST_F(Methods, ANewerLibpqSpeaksTheNewestProtocolAndTheOldest) {
    for (const std::string more :
         {"min_protocol_version=3.2 max_protocol_version=latest", "max_protocol_version=3.0 channel_binding=require"})
        EXPECT_EQ(newest_psql(over("tls", "m_scram") + " " + more), "m_scram\n") << more;
}

TEST_F(Methods, EachThatMayComeByTlsMayComeDirectlyByTls) {
    for (const auto& cell : kCells) {
        if (cell.transport != std::string("tls")) continue;
        const std::string conninfo = over("tls", cell.user, "secret", cell.certificate) + " sslnegotiation=direct";
        EXPECT_EQ(newest_psql(conninfo), std::string(cell.user) + "\n") << cell.user;
    }
    EXPECT_EQ(newest_psql(over("tls", "m_scram") + " sslnegotiation=direct channel_binding=require"), "m_scram\n");
    EXPECT_NE(newest_psql(over("tls", "m_scram", "wrong") + " sslnegotiation=direct").find("authentication failed"),
              std::string::npos);
    EXPECT_EQ(newest_psql(over("tls", "m_named") + " sslnegotiation=direct"), "m_named\n") << "by the host's name";
    EXPECT_NE(newest_psql(over("tls", "m_elsewhere") + " sslnegotiation=direct").find(kNoRule), std::string::npos);
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
