// docker-compose.yml and what it mounts: read by the programs that will read them.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "control/config.hpp"

namespace turnout::house {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

const fs::path root = TURNOUT_SOURCE_DIR;

// $TURNOUT_COMPOSE, or the one that `./dev setup` has put there.
std::string compose_program() {
    const char* chosen = std::getenv("TURNOUT_COMPOSE");
    return chosen != nullptr ? chosen : (root / ".cache/bin/docker-compose").string();
}

struct Outcome {
    int status = -1;
    std::string output;  ///< both streams
};

Outcome compose(const std::string& arguments) {
    const std::string command =
        "'" + compose_program() + "' -f '" + (root / "docker-compose.yml").string() + "' " + arguments;
    std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return {};
    Outcome outcome;
    char buffer[4096];
    for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
        outcome.output.append(buffer, count);
    }
    const int status = ::pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
}

class Deployment : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(fs::exists(compose_program())) << "docker-compose 2 is needed to validate docker-compose.yml: run "
                                                      "./dev setup, or name one in TURNOUT_COMPOSE";
        const Outcome outcome = compose("config --format json");
        ASSERT_EQ(outcome.status, 0) << outcome.output;
        whole_ = json::parse(outcome.output);
    }
    const json::object& services() const { return whole_.at("services").as_object(); }

  private:
    json::value whole_;
};

TEST_F(Deployment, ComposeAcceptsTheFile) {
    const Outcome outcome = compose("config -q");
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_EQ(outcome.output, "");
}

TEST_F(Deployment, PortsAreBoundToLoopback) {
    int ports = 0;
    for (const auto& [name, service] : services()) {
        const json::value* const list = service.as_object().if_contains("ports");
        if (list == nullptr) continue;
        for (const auto& port : list->as_array()) {
            ++ports;
            EXPECT_EQ(port.at("host_ip").as_string(), "127.0.0.1") << name;
        }
    }
    EXPECT_EQ(ports, 5);
}

TEST_F(Deployment, ServersAreOfTwoMajorsAndFollowEachOther) {
    EXPECT_EQ(services().at("blue").at("image").as_string(), "postgres:15");
    EXPECT_EQ(services().at("green").at("image").as_string(), "postgres:17");
    for (const char* side : {"blue", "green"}) {
        const json::value& service = services().at(side);
        EXPECT_NE(json::serialize(service.at("command")).find("wal_level=logical"), std::string::npos) << side;
        // While the image initializes itself its server listens on the socket only: healthy has to mean by TCP.
        EXPECT_NE(json::serialize(service.at("healthcheck")).find(R"("pg_isready","-h","127.0.0.1")"),
                  std::string::npos)
            << side;
        EXPECT_EQ(service.at("volumes").at(0).at("type").as_string(), "volume") << side;
    }
}

TEST_F(Deployment, EveryMountedFileExists) {
    for (const auto& [name, service] : services()) {
        const json::value* const volumes = service.as_object().if_contains("volumes");
        if (volumes == nullptr || volumes->is_null()) continue;
        for (const auto& volume : volumes->as_array()) {
            if (volume.at("type").as_string() != "bind") continue;
            EXPECT_TRUE(fs::exists(volume.at("source").as_string().c_str())) << name << ": " << volume;
        }
    }
}

TEST(Deploy, TheSampleConfigurationIsAcceptedAndFitsTheComposeFile) {
    const auto config = control::load_config(root / "deploy/turnout.toml");
    EXPECT_EQ(config.switching.databases, std::vector<std::string>{"app"});
    EXPECT_EQ(config.metrics_listen, "0.0.0.0:9632");
    EXPECT_EQ(config.admin_directory, "/run/turnout");
    ASSERT_EQ(config.data_plane.listen.size(), 1u);
}

TEST(Deploy, PrometheusScrapesWhereMetricsAreServed) {
    std::ifstream file(root / "deploy/prometheus.yml", std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_NE(text.find("turnout:9632"), std::string::npos);
}

}  // namespace
}  // namespace turnout::house
