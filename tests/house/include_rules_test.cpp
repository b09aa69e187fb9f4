#include "tests/house/include_rules.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace turnout::house {
namespace {

namespace fs = std::filesystem;

struct Case {
    const char* path;
    const char* include;
    bool allowed;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.path << " includes " << c.include; }

class IncludeRule : public testing::TestWithParam<Case> {};

TEST_P(IncludeRule, Holds) {
    const auto includes = includes_of(std::string("#include ") + GetParam().include + "\n");
    ASSERT_EQ(includes.size(), 1u);
    EXPECT_EQ(!complaint(GetParam().path, includes.front()).has_value(), GetParam().allowed);
}

INSTANTIATE_TEST_SUITE_P(
    Table, IncludeRule,
    testing::Values(
        Case{"protocol/framing.hpp", "<vector>", true}, Case{"protocol/scram.cpp", "<openssl/evp.h>", true},
        Case{"protocol/scram.cpp", "<openssl/ssl.h>", false}, Case{"protocol/framing.cpp", "<chrono>", false},
        Case{"protocol/framing.cpp", "<sys/socket.h>", false},
        Case{"protocol/framing.cpp", "<boost/asio/buffer.hpp>", false},
        Case{"protocol/framing.cpp", "<spdlog/spdlog.h>", false},
        Case{"protocol/framing.cpp", "\"proxy/session.hpp\"", false},
        Case{"proxy/session.cpp", "\"protocol/framing.hpp\"", true},
        Case{"proxy/session.cpp", "\"control/data_plane.hpp\"", true},
        Case{"proxy/session.cpp", "\"control/config.hpp\"", false}, Case{"proxy/session.cpp", "<libpq-fe.h>", false},
        Case{"proxy/session.cpp", "<openssl/ssl.h>", true}, Case{"proxy/session.cpp", "<prometheus/counter.h>", false},
        Case{"control/switch_machine.cpp", "\"proxy/gate.hpp\"", false},
        Case{"control/switch_machine.cpp", "\"protocol/framing.hpp\"", false},
        Case{"control/console_wire.cpp", "\"protocol/framing.hpp\"", true},
        Case{"control/pg_connection.hpp", "<libpq-fe.h>", true}, Case{"control/data_plane.hpp", "<libpq-fe.h>", false},
        Case{"control/data_plane.hpp", "\"control/config.hpp\"", false},
        Case{"program/main.cpp", "\"proxy/session.hpp\"", true}, Case{"bench/relay.cpp", "<libpq-fe.h>", true}));

TEST(Includes, AreFoundWhereverTheyStandOnTheirLine) {
    const auto found = includes_of("// #include <no>\n#include <one>\n  #  include\t\"two.hpp\"  // why\n#define x\n");
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].name, "one");
    EXPECT_FALSE(found[0].quoted);
    EXPECT_EQ(found[0].line, 2);
    EXPECT_EQ(found[1].name, "two.hpp");
    EXPECT_TRUE(found[1].quoted);
    EXPECT_EQ(found[1].line, 3);
}

TEST(House, EverySourceIncludesOnlyWhatItsFolderMay) {
    const fs::path root = TURNOUT_SOURCE_DIR;
    int sources = 0;
    for (const char* folder : {"protocol", "proxy", "control", "program"}) {
        for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
            const auto extension = entry.path().extension();
            if (extension != ".cpp" && extension != ".hpp") continue;
            ++sources;
            std::ifstream file(entry.path(), std::ios::binary);
            const std::string text{std::istreambuf_iterator<char>(file), {}};
            const std::string path = fs::relative(entry.path(), root).generic_string();
            for (const auto& include : includes_of(text)) {
                if (const auto why = complaint(path, include)) ADD_FAILURE() << *why;
            }
        }
    }
    EXPECT_GT(sources, 20) << "the sources are not where they are looked for: " << root;
}

TEST(House, EveryFolderSaysWhatItIs) {
    const fs::path root = TURNOUT_SOURCE_DIR;
    for (const char* folder : {"", "protocol", "proxy", "control", "program", "tests", "bench", "deploy"}) {
        EXPECT_TRUE(fs::exists(root / folder / "README.md")) << folder << "/README.md is missing";
    }
}

}  // namespace
}  // namespace turnout::house
