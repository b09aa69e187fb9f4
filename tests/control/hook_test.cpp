// Programs of the operator's: what they are told, and how they fail.
#include "control/hook.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace turnout::control {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

class Hook : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "turnout-hook-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
    }
    void TearDown() override { fs::remove_all(directory_); }

    std::string script(const std::string& text) {
        const fs::path file = directory_ / "hook";
        std::ofstream(file) << "#!/bin/sh\n" << text;
        fs::permissions(file, fs::perms::owner_all);
        return file.string();
    }

    static std::optional<std::string> run(std::string program, boost::json::object facts = {},
                                          Milliseconds timeout = Milliseconds(60'000)) {
        asio::io_context context;
        std::optional<std::string> failure;
        asio::co_spawn(context, run_hook(std::move(program), std::move(facts), timeout),
                       [&failure](std::exception_ptr error, std::optional<std::string> result) {
                           if (error) std::rethrow_exception(error);
                           failure = std::move(result);
                       });
        context.run();
        return failure;
    }

    std::string seen_file() const { return (directory_ / "seen").string(); }
    std::string seen() const {
        std::ifstream file(seen_file());
        return {std::istreambuf_iterator<char>(file), {}};
    }

    fs::path directory_;
};

TEST_F(Hook, IsToldTheFactsInItsEnvironmentAndNothingElse) {
    ::setenv("TURNOUT_TEST_SECRET", "geheim", 1);
    EXPECT_EQ(run(script("env > " + seen_file() + "\n"), {{"from", "blue"}, {"report", {{"window_us", 5}}}}),
              std::nullopt);
    EXPECT_NE(seen().find("TURNOUT_FROM=blue\n"), std::string::npos) << seen();
    EXPECT_NE(seen().find("TURNOUT_JSON={\"window_us\":5}\n"), std::string::npos) << seen();
    EXPECT_EQ(seen().find("geheim"), std::string::npos) << seen();
}

TEST_F(Hook, ReadsTheFactsAsJsonHoweverLongTheyAre) {
    const std::string much(200'000, 'x');  // more than an environment takes
    EXPECT_EQ(run(script("cat > " + seen_file() + "\n"), {{"from", "blue"}, {"report", {{"much", much}}}}),
              std::nullopt);
    EXPECT_EQ(seen(), "{\"from\":\"blue\",\"report\":{\"much\":\"" + much + "\"}}\n");
    EXPECT_EQ(run(script("exit 0\n"), {{"report", {{"much", much}}}}), std::nullopt) << "it need not read";
}

TEST_F(Hook, AreToldInTheirOrderAndNoneBeginsWhileHeld) {
    asio::io_context context;
    HookTeller teller(context.get_executor());
    const std::string program = script("cat >> " + seen_file() + "\n[ \"$TURNOUT_EVENT\" != second ]\n");
    teller.tell("", {{"event", "of none"}}, Milliseconds(60'000));
    teller.hold(true);
    teller.tell(program, {{"event", "first"}}, Milliseconds(60'000));
    context.run();
    EXPECT_FALSE(fs::exists(seen_file()));
    teller.tell(program, {{"event", "second"}}, Milliseconds(60'000));
    teller.tell(program, {{"event", "third"}}, Milliseconds(60'000));
    teller.hold(false);
    context.restart();
    context.run();
    EXPECT_EQ(seen(), "{\"event\":\"first\"}\n{\"event\":\"second\"}\n{\"event\":\"third\"}\n")
        << "and one that fails keeps no other from being told";
}

TEST_F(Hook, ThatFailsSaysWhy) {
    const auto failure = run(script("echo the CDC job still runs >&2\nexit 3\n"));
    ASSERT_TRUE(failure.has_value());
    EXPECT_NE(failure->find("the CDC job still runs"), std::string::npos) << *failure;
}

TEST_F(Hook, ThatDoesNotExistFails) { EXPECT_TRUE(run("/nonexistent/hook").has_value()); }

TEST_F(Hook, ThatTakesTooLongIsEnded) {
    const auto failure = run(script("exec sleep 600\n"), {}, Milliseconds(50));
    ASSERT_TRUE(failure.has_value());
    EXPECT_NE(failure->find("took longer than 50ms"), std::string::npos) << *failure;
}

}  // namespace
}  // namespace turnout::control
