// `turnout serve` as a process, between two servers that cannot be reached: what it tells, how it stops, and that no
// password is seen anywhere.
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "bench/program.hpp"
#include "bench/served.hpp"

namespace turnout {
namespace {

using bench::Exit;

/// Nobody listens on port 1.
bench::ServedOptions unreachable() {
    bench::ServedOptions options;
    options.program = TURNOUT_PROGRAM;
    options.blue = "host=127.0.0.1 port=1 user=postgres password='hunter2 and more'";
    options.green = "postgresql://postgres:hunter2@127.0.0.1:1";
    return options;
}

std::string error_of(const std::string& conninfo) {
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(conninfo.c_str()), &PQfinish);
    EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
    return PQerrorMessage(connection.get());
}

TEST(Serve, ClientsGetAProperErrorWhileNoSideCanBeReached) {
    bench::Served served(unreachable());
    std::string error;
    do {  // until it has been found out, the answer is that turnout is starting
        error = error_of(served.conninfo("app", "app", "app"));
        EXPECT_NE(error.find("FATAL"), std::string::npos) << error;
    } while (error.find("starting") != std::string::npos);
    EXPECT_NE(error.find("neither side can be reached"), std::string::npos) << error;
    EXPECT_NE(error.find("HINT:  start the servers"), std::string::npos) << error;
    const Exit exit = served.run({"switch"});
    EXPECT_EQ(exit.status, 1);
    EXPECT_NE(exit.err.find("neither side can be reached"), std::string::npos) << exit.err;
}

TEST(Serve, NoPasswordIsSeenAnywhere) {
    bench::Served served(unreachable());
    std::string seen;
    for (const char* topic : {"status", "sides", "config", "switch", "lag", "databases", "lists"}) {
        for (const bool json : {false, true}) {
            std::vector<std::string> arguments{"show", topic};
            if (json) arguments.emplace_back("--json");
            const Exit exit = served.run(arguments);
            seen += exit.out + exit.err;
        }
    }
    for (const char* verb : {"check", "sync", "switch", "finish", "reload"}) {
        const Exit exit = served.run({verb});
        seen += exit.out + exit.err;
    }
    const Exit forced = served.run({"force-active", "blue"});
    seen += forced.out + forced.err;
    served.stop();
    seen += served.log();
    EXPECT_NE(seen.find("host=127.0.0.1 port=1 user=postgres password=***"), std::string::npos);
    EXPECT_EQ(seen.find("hunter2"), std::string::npos);
    EXPECT_EQ(seen.find("and more"), std::string::npos);
}

TEST(Serve, StopsOnSigtermAndOnShutdown) {
    bench::Served served(unreachable());
    EXPECT_EQ(served.stop(), 0);
    EXPECT_NE(served.log().find("turnout has ended"), std::string::npos);
    bench::Served other(unreachable());
    EXPECT_EQ(other.run({"shutdown"}).status, 0);
    while (other.running()) {
    }
    EXPECT_NE(other.log().find("turnout has ended"), std::string::npos);
}

TEST(Serve, AConfigurationThatIsWrongIsRefusedWithItsPlaceAndStatusTwo) {
    const std::filesystem::path file = testing::TempDir() + "turnout-wrong.toml";
    std::ofstream(file) << "[switch]\ndatabases = [\"app\"]\nmax_puase = \"1s\"\n[log]\nlevel = 3\n";
    const Exit exit = bench::run_program({.arguments = {TURNOUT_PROGRAM, "serve", "--config", file.string()}});
    EXPECT_EQ(exit.status, 2);
    EXPECT_NE(exit.err.find(file.string() + ":3:1: unknown key 'max_puase' in [switch]; did you mean 'max_pause'?\n"),
              std::string::npos)
        << exit.err;
    EXPECT_NE(exit.err.find(file.string() + ":5:9: 'level' in [log] must be"), std::string::npos) << exit.err;
    const Exit missing = bench::run_program({.arguments = {TURNOUT_PROGRAM, "serve", "--config", "/nonexistent"}});
    EXPECT_EQ(missing.status, 2);
    std::filesystem::remove(file);
}

/// A socket that listens on a port of 127.0.0.1.
int listening(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd, 8), 0);
    return fd;
}

/// Starts `turnout serve` as systemd does: with these sockets from descriptor 3 on, and its pid in the environment.
pid_t activate(const bench::Served& served, const std::vector<int>& sockets) {
    const std::string log = (served.directory() / "activated.log").string();
    const std::string configuration = served.configuration().string();
    const std::string count = std::to_string(sockets.size());
    const pid_t child = ::fork();
    if (child != 0) return child;
    const std::string own = std::to_string(::getpid());
    // By way of high numbers: one of the sockets may have the number of another's place, or its own, and be closed
    // there.
    std::vector<int> high;
    for (const int socket : sockets) high.push_back(::fcntl(socket, F_DUPFD_CLOEXEC, 100));
    for (std::size_t i = 0; i < high.size(); ++i) ::dup2(high[i], 3 + static_cast<int>(i));
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(out, STDERR_FILENO);
    ::setenv("LISTEN_PID", own.c_str(), 1);
    ::setenv("LISTEN_FDS", count.c_str(), 1);
    ::execl(TURNOUT_PROGRAM, TURNOUT_PROGRAM, "serve", "--config", configuration.c_str(), nullptr);
    ::_exit(127);
}

TEST(Serve, SocketsOfTheServiceManagerOutliveIt) {
    bench::ServedOptions options = unreachable();
    options.start = false;
    const bench::Served served(options);
    const int ours = listening(served.port()), nobodys = listening(bench::free_port());
    for (int i = 0; i < 2; ++i) {
        const pid_t child = activate(served, {ours, nobodys});
        // It may not have begun yet: whoever comes waits in the socket's queue.
        EXPECT_NE(error_of(served.conninfo("app", "app", "app")).find("FATAL"), std::string::npos);
        ASSERT_EQ(::kill(child, SIGTERM), 0);
        int status = -1;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    std::ifstream file(served.directory() / "activated.log");
    const std::string log{std::istreambuf_iterator<char>(file), {}};
    EXPECT_NE(log.find(" was passed as a listening socket, but [proxy] listen does not name it"), std::string::npos)
        << log;
    ::close(ours);
    ::close(nobodys);
}

TEST(Serve, TheServiceManagerHearsOfTheBeginningTheStateTheLifeAndTheEnd) {
    std::string directory = (std::filesystem::temp_directory_path() / "turnout-notify-XXXXXX").string();
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    const std::string path = directory + "/socket";
    const int manager = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(manager, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval patience{60, 0};
    ::setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    std::string heard = "\n";
    const auto hears = [&](const std::string& assignment) {
        while (heard.find("\n" + assignment + "\n") == std::string::npos) {
            char buffer[4096];
            const ssize_t got = ::recv(manager, buffer, sizeof buffer, 0);
            if (got <= 0) return false;
            heard.append(buffer, static_cast<std::size_t>(got));
        }
        return true;
    };
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    ::setenv("WATCHDOG_USEC", "100000", 1);
    bench::Served served(unreachable());
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    EXPECT_TRUE(hears("READY=1")) << heard;
    EXPECT_TRUE(hears("STATUS=nobody is served")) << heard;
    EXPECT_TRUE(hears("WATCHDOG=1")) << heard;
    EXPECT_EQ(heard.find("STOPPING=1"), std::string::npos);
    ASSERT_EQ(::kill(served.pid(), SIGTERM), 0);
    EXPECT_TRUE(hears("STOPPING=1")) << heard;
    ::close(manager);
    std::filesystem::remove_all(directory);
}

TEST(Serve, AnAddressThatIsTakenIsNamed) {
    bench::Served served(unreachable());
    const Exit exit =
        bench::run_program({.arguments = {TURNOUT_PROGRAM, "serve", "--config", served.configuration().string()}});
    EXPECT_EQ(exit.status, 1);
    EXPECT_NE(exit.err.find("could not listen on \"127.0.0.1:" + std::to_string(served.port())), std::string::npos)
        << exit.err;
    EXPECT_NE(exit.err.find("name another address in [proxy] listen"), std::string::npos) << exit.err;
}

TEST(Serve, WhatKeepsItFromBeginningIsNamedWithTheKeyThatMendsIt) {
    const std::filesystem::path file = testing::TempDir() + "turnout-cannot.toml";
    const struct {
        const char* lines;
        const char* told;
    } rows[] = {
        {"[admin]\nsocket = \"/proc/none\"\n", "; make it, or name another one in [admin] socket"},
        {"[admin]\nsocket = \"/proc\"\n", "; name a directory that this user may write in [admin] socket"},
        {"[log]\nfile = \"/proc/none/log\"\n", "; name another in [log] file"},
    };
    for (const auto& row : rows) {
        std::ofstream(file) << "[proxy]\nlisten = [\"127.0.0.1:" << bench::free_port()
                            << "\"]\nstate = \"/proc/none/state\"\n[side.blue]\nurl = \"host=127.0.0.1 port=1\"\n"
                               "[side.green]\nurl = \"host=127.0.0.1 port=2\"\n[switch]\ndatabases = [\"app\"]\n"
                               "[metrics]\nlisten = \"\"\n"
                            << row.lines;
        const Exit exit = bench::run_program({.arguments = {TURNOUT_PROGRAM, "serve", "--config", file.string()}});
        EXPECT_EQ(exit.status, 1) << exit.err;
        EXPECT_NE(exit.err.find(row.told), std::string::npos) << exit.err;
    }
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace turnout
