// The first bytes of a connection: requests for encryption, versions, options, cancel keys, and what must end it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "protocol/frontend_messages.hpp"
#include "protocol/startup.hpp"
#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"
#include "tests/integration/raw_peer.hpp"

namespace turnout::integration {
namespace {

using namespace std::string_literals;
namespace fs = std::filesystem;

class Handshakes : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        fs::create_directories(socket_);
        pair_ = std::make_unique<Pair>(
            PairOptions{.auth = support::ClusterAuth::trust,
                        .tls = true,
                        .listen_too = {"[::1]:{}", "unix:" + socket_.string()},
                        .lines = {{"auth", "method = \"trust\""}, {"proxy.tls", "mode = \"allow\""}}});
    }
    static void TearDownTestSuite() {
        pair_.reset();
        fs::remove_all(socket_);
    }

    /// A client that has come so far that it may send its StartupMessage: over plain TCP by either address, a Unix
    /// socket, TLS after a request, or TLS at once.
    static std::unique_ptr<RawPeer> come(const std::string& transport) {
        const std::uint16_t port = transport == "unix" ? 6432 : pair_->turnout().port();
        const std::string host = transport == "ipv6" ? "::1" : transport == "unix" ? socket_.string() : "127.0.0.1";
        auto client = std::make_unique<RawPeer>(port, host);
        if (transport == "tls") {
            client->send(ssl_request());
            EXPECT_EQ(client->byte(), "S");
            EXPECT_TRUE(client->begin_tls(""));
        }
        if (transport == "direct") {
            EXPECT_TRUE(client->begin_tls("postgresql"));
        }
        return client;
    }

    static std::string ssl_request() {
        std::string bytes;
        protocol::append(bytes, protocol::SSLRequest{});
        return bytes;
    }
    static std::string gssenc_request() {
        std::string bytes;
        protocol::append(bytes, protocol::GSSENCRequest{});
        return bytes;
    }

    static std::unique_ptr<Pair> pair_;
    static const fs::path socket_;
};
std::unique_ptr<Pair> Handshakes::pair_;
const fs::path Handshakes::socket_ = fs::temp_directory_path() / ("turnout_handshakes_" + std::to_string(::getpid()));

constexpr const char* kTransports[] = {"plain", "ipv6", "unix", "tls", "direct"};

TEST_F(Handshakes, VersionsAndOptionsAreNegotiated) {
    const struct {
        std::uint16_t major, minor;
        std::string options;
        const char* answer;
    } rows[] = {
        {3, 0, "", "R K(4) Z"},
        {3, 2, "", "R K(32) Z"},
        {3, 1, "", "v(3.0:) R K(4) Z"},
        {3, 7, "", "v(3.2:) R K(32) Z"},
        {3, 9999, "_pq_.test_protocol_negotiation\0\0"s, "v(3.2: _pq_.test_protocol_negotiation) R K(32) Z"},
        {3, 0, "_pq_.a\0on\0application_name\0x\0_pq_.b\0\0"s, "v(3.0: _pq_.a _pq_.b) R K(4) Z"},
        {3, 2, "_pq_.a\0on\0"s, "v(3.2: _pq_.a) R K(32) Z"},
        {2, 0, "", "E(0A000)"},
        {4, 0, "", "E(0A000)"},
        {3, 0, "replication\0perhaps\0"s, "E(22023)"},
    };
    for (const char* transport : kTransports) {
        for (const auto& row : rows) {
            const auto client = come(transport);
            client->send(startup_packet(row.major, row.minor, row.options));
            EXPECT_EQ(client->messages(), row.answer) << row.major << "." << row.minor << " over " << transport;
        }
    }
}

TEST_F(Handshakes, ARequestForEncryptionMayBeFollowedByEither) {
    for (const char* transport : {"plain", "ipv6", "unix"}) {
        const auto client = come(transport);
        client->send(gssenc_request());
        EXPECT_EQ(client->byte(), "N");
        client->send(startup_packet(3, 0));
        EXPECT_EQ(client->messages(), "R K(4) Z") << transport;
    }
    {
        const auto client = come("unix");
        client->send(ssl_request());
        EXPECT_EQ(client->byte(), "N") << "as PostgreSQL: no TLS on a Unix socket";
        client->send(startup_packet(3, 2));
        EXPECT_EQ(client->messages(), "R K(32) Z");
    }
    {
        RawPeer client(pair_->turnout().port());
        client.send(gssenc_request());
        EXPECT_EQ(client.byte(), "N");
        client.send(ssl_request());
        EXPECT_EQ(client.byte(), "S");
        ASSERT_TRUE(client.begin_tls(""));
        client.send(startup_packet(3, 2));
        EXPECT_EQ(client.messages(), "R K(32) Z");
    }
    {
        RawPeer client(pair_->turnout().port());
        client.send(ssl_request());
        EXPECT_EQ(client.byte(), "S");
        ASSERT_TRUE(client.begin_tls("postgresql")) << "ALPN is welcome here too";
        client.send(startup_packet(3, 0));
        EXPECT_EQ(client.messages(), "R K(4) Z");
    }
}

TEST_F(Handshakes, BytesBehindARequestEndTheConnection) {
    for (const char* transport : {"plain", "ipv6", "unix"}) {
        for (const std::string& request : {ssl_request(), gssenc_request()}) {
            const auto client = come(transport);
            client->send(request + startup_packet(3, 0));
            EXPECT_EQ(client->messages(), "E(08P01)") << transport;
            EXPECT_TRUE(client->closed());
        }
    }
}

TEST_F(Handshakes, ARequestMayComeOnce) {
    RawPeer gss_twice(pair_->turnout().port());
    gss_twice.send(gssenc_request());
    EXPECT_EQ(gss_twice.byte(), "N");
    gss_twice.send(gssenc_request());
    EXPECT_EQ(gss_twice.byte(), "");
    RawPeer ssl_in_ssl(pair_->turnout().port());
    ssl_in_ssl.send(ssl_request());
    EXPECT_EQ(ssl_in_ssl.byte(), "S");
    ASSERT_TRUE(ssl_in_ssl.begin_tls(""));
    ssl_in_ssl.send(ssl_request());
    EXPECT_EQ(ssl_in_ssl.byte(), "");
}

TEST_F(Handshakes, DirectTlsNeedsItsAlpn) {
    RawPeer right(pair_->turnout().port());
    ASSERT_TRUE(right.begin_tls("postgresql"));
    right.send(startup_packet(3, 2));
    EXPECT_EQ(right.messages(), "R K(32) Z");
    RawPeer other(pair_->turnout().port());
    EXPECT_FALSE(other.begin_tls("http/1.1"));
    RawPeer none(pair_->turnout().port());
    // With TLS 1.3 the client believes that all is well before it is turned away.
    (void)none.begin_tls("");
    EXPECT_TRUE(none.closed());
    RawPeer after_gss(pair_->turnout().port());
    after_gss.send(gssenc_request());
    EXPECT_EQ(after_gss.byte(), "N");
    EXPECT_FALSE(after_gss.begin_tls("postgresql"));
}

TEST_F(Handshakes, ALongCancelKeyCancelsItsOwnStatementOnly) {
    RawPeer client(pair_->turnout().port());
    client.send(startup_packet(3, 2));
    ASSERT_EQ(client.messages(), "R K(32) Z");
    std::string query;
    protocol::append(query, protocol::Query{"SELECT pg_sleep(600)"});
    client.send(query);
    const auto cancel = [&](std::int32_t pid, const std::string& secret) {
        RawPeer canceller(pair_->turnout().port());
        std::string request;
        protocol::append(request, protocol::CancelRequest{pid, secret});
        canceller.send(request);
        EXPECT_TRUE(canceller.closed());
    };
    eventually(
        [&] {
            return pair_->blue().value(
                       "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT "
                       "pg_sleep(600)'") == "1";
        },
        "the statement at the server");
    std::string wrong = client.secret();
    wrong.back() = static_cast<char>(wrong.back() ^ 1);
    cancel(client.pid(), wrong);
    cancel(client.pid(), client.secret().substr(0, 4));
    EXPECT_EQ(pair_->blue().value("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND "
                                  "state = 'active'"),
              "1");
    cancel(client.pid(), client.secret());
    EXPECT_EQ(client.messages(), "T E(57014) Z");
}

}  // namespace
}  // namespace turnout::integration
