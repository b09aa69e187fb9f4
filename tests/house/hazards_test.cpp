// Every test that tests/HAZARDS.md names exists, so that renaming or removing one does not leave a hazard unwatched.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace turnout::house {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::set<std::string> every_test() {
    static const std::regex form(R"(\n *TEST(?:_F|_P)?\((\w+),\s*(\w+)\))");
    std::set<std::string> names;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(TURNOUT_SOURCE_DIR "/tests")) {
        if (entry.path().extension() != ".cpp") continue;
        const std::string text = contents(entry.path());
        for (std::sregex_iterator it(text.begin(), text.end(), form), end; it != end; ++it)
            names.insert(it->str(1) + "." + it->str(2));
    }
    return names;
}

TEST(Hazards, EachIsWatchedByTestsThatExist) {
    const std::set<std::string> tests = every_test();
    ASSERT_TRUE(tests.contains("Hazards.EachIsWatchedByTestsThatExist"));
    const std::string text = contents(TURNOUT_SOURCE_DIR "/tests/HAZARDS.md");
    static const std::regex named(R"(`(\w+\.\w+)`)");
    int count = 0;
    for (std::sregex_iterator it(text.begin(), text.end(), named), end; it != end; ++it, ++count)
        EXPECT_TRUE(tests.contains(it->str(1))) << it->str(1);
    EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace turnout::house
