// `turnout serve` as a process, between two servers that cannot be reached: what it tells, how it stops, and that no
// password is seen anywhere.
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <csignal>
#include <filesystem>
#include <fstream>
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

TEST(Serve, AnAddressThatIsTakenIsNamed) {
    bench::Served served(unreachable());
    const Exit exit =
        bench::run_program({.arguments = {TURNOUT_PROGRAM, "serve", "--config", served.configuration().string()}});
    EXPECT_EQ(exit.status, 1);
    EXPECT_NE(exit.err.find("127.0.0.1:" + std::to_string(served.port())), std::string::npos) << exit.err;
}

}  // namespace
}  // namespace turnout
