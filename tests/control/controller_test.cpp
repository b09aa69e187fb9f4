// The controller without servers: both sides refuse connections, the data plane is a fake. What it does with real ones
// is tested in tests/integration.
#include "control/controller.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include "tests/support/fake_data_plane.hpp"

namespace turnout::control {
namespace {

namespace asio = boost::asio;
using turnout::support::FakeDataPlane;

/// Nobody listens on port 1.
constexpr std::string_view kConfig = R"([side.blue]
url = "host=127.0.0.1 port=1 user=postgres password=hunter2"
[side.green]
url = "hostaddr=127.0.0.1 port=1 user=postgres"
[switch]
databases = ["app"]
)";

class ControllerTest : public testing::Test {
  protected:
    ControllerTest() {
        directory_ = std::filesystem::temp_directory_path() / ("turnout-controller-" + std::to_string(::getpid()));
        std::filesystem::create_directory(directory_);
        write(kConfig);
        Config config = load_config(file());
        config.state_file = directory_ / "state";
        controller_.emplace(context_.get_executor(), ControllerSettings{std::move(config), "0.0.test"}, metrics_,
                            [this](asio::any_io_executor executor, RoleDirectory&) {
                                auto plane = std::make_unique<FakeDataPlane>(executor);
                                plane_ = plane.get();
                                return plane;
                            });
    }
    ~ControllerTest() override { std::filesystem::remove_all(directory_); }

    std::filesystem::path file() const { return directory_ / "turnout.toml"; }
    void write(std::string_view text) const { std::ofstream(file()) << text; }

    void start() {
        controller_->start([this](ExitStatus status) { ended_ = status; });
    }
    /// Runs until what is asked is so.
    void run_until(const std::function<bool()>& so) {
        while (!so()) ASSERT_GT(context_.run_one(), 0U) << "control has nothing left to do";
    }
    bool called(const std::string& beginning) const {
        for (const std::string& call : plane_->calls)
            if (call.starts_with(beginning)) return true;
        return false;
    }

    Answer execute(const std::string& text) {
        std::optional<Answer> answer;
        begin(text, answer);
        run_until([&answer] { return answer.has_value(); });
        return *answer;
    }
    void begin(const std::string& text, std::optional<Answer>& answer) {
        const auto commands = parse_commands(text);
        asio::co_spawn(context_, controller_->execute(commands->front(), [](const std::string&) {}),
                       asio::bind_cancellation_slot(cancel_.slot(), [&answer](std::exception_ptr error, Answer got) {
                           EXPECT_FALSE(error) << "execute() never throws";
                           answer = std::move(got);
                       }));
    }

    std::filesystem::path directory_;
    asio::io_context context_{1};
    Metrics metrics_{"0.0.test"};
    FakeDataPlane* plane_ = nullptr;
    asio::cancellation_signal cancel_;
    std::optional<ExitStatus> ended_;
    std::optional<Controller> controller_;
};

TEST_F(ControllerTest, ForceActiveOfASideThatCannotBeReachedFails) {
    start();
    const Answer answer = execute("FORCE ACTIVE green");
    EXPECT_EQ(answer.sqlstate, "08001") << answer.message;
    EXPECT_NE(answer.message.find("green"), std::string::npos);
    EXPECT_FALSE(called("serve"));
}

TEST_F(ControllerTest, ReloadTakesOverOrLeavesAllAsItWas) {
    start();
    write(std::string(kConfig) + "max_pause = \"70ms\"\n[proxy]\nmax_client_connections = 77\nworkers = 9\n");
    const Answer reloaded = execute("RELOAD");
    EXPECT_FALSE(reloaded.failed()) << reloaded.detail;
    EXPECT_EQ(reloaded.json.at("needs_restart").as_array().size(), 2U) << "the state file and the workers";
    EXPECT_EQ(plane_->calls.back(), "reload 77");
    EXPECT_EQ(controller_->config().switching.max_pause, Milliseconds(70));

    write(std::string(kConfig) + "max_pauze = \"90ms\"\n");
    const Answer refused = execute("RELOAD");
    EXPECT_EQ(refused.sqlstate, "F0000");
    EXPECT_NE(refused.detail.find(":7:1: unknown key 'max_pauze'"), std::string::npos) << refused.detail;

    write(std::string(kConfig) + "max_pause = \"90ms\"\n");
    plane_->reload_problem = "the certificate cannot be read";
    EXPECT_EQ(execute("RELOAD").detail, "the certificate cannot be read");
    EXPECT_EQ(controller_->config().switching.max_pause, Milliseconds(70));
}

}  // namespace
}  // namespace turnout::control
