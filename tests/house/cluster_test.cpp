// The fixture that gives tests their servers: what it promises is relied upon by every other test of real servers.
#include "tests/support/cluster.hpp"
#include "tests/integration/eventually.hpp"

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace turnout::support {
namespace {

namespace fs = std::filesystem;

class EveryMajor : public testing::TestWithParam<int> {};

TEST_P(EveryMajor, StartsAndAnswersAsItself) {
    const Cluster cluster({.major = GetParam(), .name = "blue", .fsync = false});
    EXPECT_EQ(cluster.value("SELECT current_setting('server_version_num')::int / 10000"), std::to_string(GetParam()));
    EXPECT_EQ(cluster.value("SHOW wal_level"), "logical");
    EXPECT_EQ(cluster.value("SHOW server_encoding"), "UTF8");
}

INSTANTIATE_TEST_SUITE_P(Installed, EveryMajor, testing::ValuesIn(majors_available()),
                         [](const auto& parameter) { return "Major" + std::to_string(parameter.param); });

// Everything the project promises is about two majors: a machine with one proves nothing.
TEST(Majors, TwoAtLeastAreInstalled) { EXPECT_GE(majors_available().size(), 2u); }

TEST(Majors, AMissingOneIsRefusedWithAHint) {
    try {
        const Cluster cluster({.major = 9});
        FAIL() << "a server of version 9 started";
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("./dev setup"), std::string::npos) << error.what();
    }
}

TEST(Majors, ADumpCanBeTakenOfTheOldestOfThem) {
    const auto folder = client_binaries(majors_available().front());
    ASSERT_TRUE(folder.has_value());
    const std::string command = "'" + (*folder / "pg_dump").string() + "' --version";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

class OneCluster : public testing::Test {
  protected:
    static int major() { return majors_available().front(); }
    // fsync is off: these tests end processes, not machines.
    Cluster cluster{{.major = major(), .name = "blue", .settings = {{"work_mem", "5MB"}}, .fsync = false}};
};

TEST_F(OneCluster, TakesTheCallersSettings) {
    EXPECT_EQ(cluster.value("SHOW work_mem"), "5MB");
    cluster.configure({{"work_mem", "6MB"}});
    cluster.restart();
    EXPECT_EQ(cluster.value("SHOW work_mem"), "6MB");
}

TEST_F(OneCluster, KeepsItsPortAndItsCommitsAcrossACrash) {
    const auto port = cluster.port();
    cluster.execute("CREATE TABLE kept AS SELECT 42 AS answer");
    cluster.crash();
    EXPECT_FALSE(cluster.running());
    EXPECT_EQ(PQping(cluster.conninfo().c_str()), PQPING_NO_RESPONSE);
    cluster.start();
    EXPECT_EQ(cluster.port(), port);
    EXPECT_EQ(cluster.value("SELECT answer FROM kept"), "42");
}

TEST_F(OneCluster, AFrozenServerAnswersAgainAfterItIsThawed) {
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(cluster.conninfo().c_str()), &PQfinish);
    ASSERT_EQ(PQstatus(connection.get()), CONNECTION_OK);
    cluster.freeze();
    ASSERT_EQ(PQsendQuery(connection.get(), "SELECT 1"), 1);
    // Nothing can be waited for where nothing must happen: this is long against the answer's usual 0.1 ms.
    pollfd descriptor{.fd = PQsocket(connection.get()), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&descriptor, 1, 100), 0);
    cluster.thaw();
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQgetResult(connection.get()), &PQclear);
    EXPECT_EQ(PQresultStatus(result.get()), PGRES_TUPLES_OK);
}

TEST_F(OneCluster, AFrozenServerIsRemovedLikeAnyOther) { cluster.freeze(); }

TEST(Cluster, AsksForAPasswordWhereToldTo) {
    for (const auto auth : {ClusterAuth::md5, ClusterAuth::scram}) {
        const Cluster cluster(
            {.major = majors_available().back(), .fsync = false, .auth = auth, .password = "it's me"});
        EXPECT_EQ(cluster.value("SELECT 1"), "1");
        const std::string wrong = cluster.conninfo() + " password=wrong";
        const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(wrong.c_str()), &PQfinish);
        EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
    }
}

TEST(Cluster, ServesTlsThatCanBeVerified) {
    for (const int major : majors_available()) {
        const Cluster cluster({.major = major, .fsync = false, .tls = true});
        const std::string verified =
            cluster.conninfo() +
            " host=localhost hostaddr=127.0.0.1 sslmode=verify-full sslrootcert=" + cluster.certificate().string();
        const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(verified.c_str()), &PQfinish);
        EXPECT_EQ(PQstatus(connection.get()), CONNECTION_OK) << PQerrorMessage(connection.get());
        EXPECT_EQ(PQsslInUse(connection.get()), 1);
    }
}

TEST(Cluster, LeavesNothingBehind) {
    fs::path directory;
    std::string conninfo;
    {
        const Cluster cluster({.major = majors_available().front(), .fsync = false});
        directory = cluster.directory();
        conninfo = cluster.conninfo();
        ASSERT_TRUE(fs::exists(directory));
    }
    EXPECT_FALSE(fs::exists(directory));
    EXPECT_EQ(PQping(conninfo.c_str()), PQPING_NO_RESPONSE);
}

// A child makes a cluster and is killed by each signal in turn; the keeper has to notice. The end of the keeper is seen
// at a pipe that only the keeper and the server could still hold.
TEST(Cluster, LeavesNothingBehindWhenItsProcessIsKilled) {
    for (const int number : {SIGINT, SIGTERM, SIGKILL}) {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            ::signal(SIGINT, SIG_DFL);
            const Cluster cluster({.major = majors_available().front(), .fsync = false});
            const std::string told = cluster.directory().string() + "\n" + cluster.conninfo() + "\n";
            if (::write(ends[1], told.data(), told.size()) > 0) ::kill(::getpid(), number);
            ::_exit(1);
        }
        ::close(ends[1]);
        std::string told;
        char buffer[512];
        for (ssize_t count = 0; (count = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
            told.append(buffer, static_cast<std::size_t>(count));
        }
        ::close(ends[0]);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status));
        const auto line = told.find('\n');
        ASSERT_NE(line, std::string::npos) << "the child died too early";
        const std::string directory = told.substr(0, line);
        const std::string conninfo = told.substr(line + 1);
        SCOPED_TRACE(number);
        integration::eventually([&] { return PQping(conninfo.c_str()) == PQPING_NO_RESPONSE; }, "the server's end");
        integration::eventually([&] { return !fs::exists(directory); }, "the end of its directory");
    }
}

}  // namespace
}  // namespace turnout::support
