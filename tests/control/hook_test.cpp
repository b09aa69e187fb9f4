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

    static std::optional<std::string> run(std::string program, Conninfo::Parameters facts = {},
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

    fs::path directory_;
};

TEST_F(Hook, IsToldTheFactsInItsEnvironmentAndNothingElse) {
    ::setenv("TURNOUT_TEST_SECRET", "geheim", 1);
    EXPECT_EQ(run(script("env > " + (directory_ / "seen").string() + "\n"), {{"TURNOUT_FROM", "blue"}}), std::nullopt);
    std::ifstream file(directory_ / "seen");
    const std::string seen{std::istreambuf_iterator<char>(file), {}};
    EXPECT_NE(seen.find("TURNOUT_FROM=blue\n"), std::string::npos) << seen;
    EXPECT_EQ(seen.find("geheim"), std::string::npos) << seen;
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
