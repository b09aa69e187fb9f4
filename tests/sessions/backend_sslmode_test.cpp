// How a session reaches its server by each sslmode: libpq, given the same conninfo, says what must come out.
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "control/server_address.hpp"
#include "proxy/backend.hpp"
#include "proxy/event_loop.hpp"
#include "proxy/shared.hpp"
#include "tests/support/cluster.hpp"
#include "tests/support/cluster_certificate.hpp"

namespace turnout::proxy {
namespace {

namespace fs = std::filesystem;

class BackendSslmode : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        server_ = std::make_unique<support::Cluster>(support::ClusterOptions{
            .major = support::majors_available().back(),
            .fsync = false,
            .auth = support::ClusterAuth::scram,
            .tls = true,
            .hba = {"hostssl all only_tls all trust", "hostnossl all only_plain all trust", "local all either trust"}});
        server_->execute(
            "CREATE ROLE only_tls LOGIN; CREATE ROLE only_plain LOGIN; CREATE ROLE either LOGIN PASSWORD 'secret'");
        other_ = fs::temp_directory_path() / ("turnout_other_" + std::to_string(::getpid()));
        support::write_certificate(other_.string() + ".crt", other_.string() + ".key");
    }
    static void TearDownTestSuite() {
        server_.reset();
        fs::remove(other_.string() + ".crt");
        fs::remove(other_.string() + ".key");
        fs::remove(other_.string() + ".crl");
        fs::remove(other_.string() + ".pem");
    }

    /// "plain", "tls" or "refused", as libpq finds it.
    static std::string by_libpq(const std::string& conninfo) {
        const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(conninfo.c_str()), &PQfinish);
        if (PQstatus(connection.get()) != CONNECTION_OK) return "refused";
        return PQsslInUse(connection.get()) == 1 ? "tls" : "plain";
    }

    /// The same, as a session of the proxy finds it.
    static std::string by_proxy(const std::string& url, const std::string& user) {
        control::DataPlaneSettings settings;
        settings.sides[0] = control::server_address(url);
        const auto runtime = Runtime::make(settings);
        Credentials credentials;
        credentials.user = user;
        credentials.password = protocol::SecretBytes(std::string_view("secret"));
        Parameters startup;
        startup.add("user", user);
        startup.add("database", "postgres");
        boost::asio::io_context context;
        std::string found = "nothing";
        boost::asio::co_spawn(context, open_backend(context, Side::blue, runtime, std::move(startup), credentials),
                              [&](std::exception_ptr failure, BackendResult result) {
                                  if (failure) std::rethrow_exception(failure);
                                  const auto* backend = std::get_if<std::shared_ptr<Backend>>(&result);
                                  found = backend == nullptr ? "refused" : (*backend)->stream->tls() ? "tls" : "plain";
                                  result = LoginFailure{};
                              });
        EventLoop::run(context);
        return found;
    }

    /// Both, with this said about the server besides its port.
    static void compare(const std::string& about, const std::string& user) {
        const std::string url = "port=" + std::to_string(server_->port()) + " " + about;
        const std::string expected = by_libpq(url + " dbname=postgres password=secret user=" + user);
        EXPECT_EQ(by_proxy(url + " user=postgres", user), expected) << about << " as " << user;
    }

    static std::unique_ptr<support::Cluster> server_;
    static fs::path other_;
};
std::unique_ptr<support::Cluster> BackendSslmode::server_;
fs::path BackendSslmode::other_;

TEST_F(BackendSslmode, EveryModeIsAsLibpqHasIt) {
    for (const std::string mode : {"disable", "allow", "prefer", "require"}) {
        for (const std::string user : {"only_tls", "only_plain", "either"})
            compare("host=127.0.0.1 sslmode=" + mode, user);
    }
}

TEST_F(BackendSslmode, CertificatesAreVerifiedAsLibpqDoesIt) {
    const std::string right = " sslrootcert=" + server_->certificate().string();
    const std::string wrong = " sslrootcert=" + other_.string() + ".crt";
    for (const std::string mode : {"prefer", "require", "verify-ca", "verify-full"}) {
        for (const std::string& root : {right, wrong}) {
            for (const std::string host : {"host=127.0.0.1", "host=localhost",
                                           "host=elsewhere.example hostaddr=127.0.0.1", "hostaddr=127.0.0.1"})
                compare(host + " sslmode=" + mode + root, "either");
        }
    }
}

/// The lists may stand beside the authorities, too.
TEST_F(BackendSslmode, ARevokedCertificateIsRefused) {
    const fs::path certificate = server_->certificate(), list = other_.string() + ".crl",
                   both = other_.string() + ".pem";
    const std::string url = "host=localhost user=postgres sslmode=verify-full port=" + std::to_string(server_->port()) +
                            " sslrootcert=" + both.string();
    for (const support::Revoked revoked : {support::Revoked::nothing, support::Revoked::itself}) {
        support::write_revocation_list(list, certificate, fs::path(certificate).replace_extension(".key"), revoked);
        std::ofstream(both) << std::ifstream(certificate).rdbuf() << std::ifstream(list).rdbuf();
        EXPECT_EQ(by_proxy(url, "either"), revoked == support::Revoked::nothing ? "tls" : "refused");
    }
}

TEST_F(BackendSslmode, ListsOfRevokedCertificatesAreReadAsLibpqReadsThem) {
    const fs::path certificate = server_->certificate(), list = other_.string() + ".crl",
                   directory = other_.string() + ".crls";
    fs::create_directory(directory);
    for (const support::Revoked revoked : {support::Revoked::nothing, support::Revoked::itself}) {
        support::write_revocation_list(list, certificate, fs::path(certificate).replace_extension(".key"), revoked);
        fs::copy_file(list, directory / support::revocation_list_name(certificate),
                      fs::copy_options::overwrite_existing);
        for (const std::string& given : {" sslcrl=" + list.string(), " sslcrldir=" + directory.string()}) {
            for (const std::string mode : {"require", "verify-ca", "verify-full"})
                compare("host=localhost sslmode=" + mode + " sslrootcert=" + certificate.string() + given, "either");
            compare("host=localhost sslmode=require" + given, "either");
        }
    }
    fs::remove_all(directory);
    // libpq goes on as if nobody was revoked.
    EXPECT_THROW(by_proxy("host=localhost user=postgres sslmode=verify-ca sslcrl=/nonexistent.crl port=" +
                              std::to_string(server_->port()) + " sslrootcert=" + certificate.string(),
                          "either"),
                 std::runtime_error);
}

TEST_F(BackendSslmode, ChannelBindingIsAsLibpqHasIt) {
    for (const std::string binding : {"disable", "prefer", "require"}) {
        for (const std::string mode : {"disable", "require"}) {
            for (const std::string user : {"either", "only_tls"})
                compare("host=127.0.0.1 sslmode=" + mode + " channel_binding=" + binding, user);
        }
    }
}

TEST_F(BackendSslmode, SeveralPlacesAreTriedInOrder) {
    const std::string port = std::to_string(server_->port());
    const std::string socket = server_->directory().string();
    compare("host=127.0.0.1,127.0.0.1 port=1," + port + " sslmode=require", "either");
    compare("host=/nonexistent,localhost sslmode=disable", "either");
    compare("host=" + socket + " sslmode=require", "either");
    compare("host=localhost port=1", "either");
}

}  // namespace
}  // namespace turnout::proxy
