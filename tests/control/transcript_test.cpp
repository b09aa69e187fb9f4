// The transcript that a newcomer is shown, tests/newcomer/transcript.txt, is of this program: what it says there it can
// still say. `./dev newcomer` makes it anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/control/error_sites.hpp"

namespace turnout::house {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = TURNOUT_SOURCE_DIR;

std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// Names, values and units that are put into messages.
constexpr std::array<std::string_view, 8> kValues{"app", "blue", "green", "psql", "postgres", "active", "ms", "us"};

/// Each three words that stand side by side, without a number, a name, a mark or a wide space between them.
std::vector<std::string> triples_of(std::string_view text) {
    std::vector<std::string> found, row;
    const auto end_row = [&] {
        for (std::size_t i = 0; i + 3 <= row.size(); ++i) found.push_back(row[i] + " " + row[i + 1] + " " + row[i + 2]);
        row.clear();
    };
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
        std::string_view word = text.substr(0, end);
        const std::size_t marks = word.find_last_not_of(".,;:)'\"") + 1;
        const bool last = marks < word.size();
        word = word.substr(0, marks);
        const bool plain = !word.empty() &&
                           word.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string_view::npos &&
                           std::find(kValues.begin(), kValues.end(), word) == kValues.end();
        if (plain) row.emplace_back(word);
        if (!plain || last || (end < text.size() && text[end] == '\n')) end_row();
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    end_row();
    return found;
}

/// What the sources can say.
std::set<std::string> sayable() {
    std::set<std::string> all;
    for (const char* folder : {"control", "program", "proxy"})
        for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
            if (entry.path().extension() != ".cpp") continue;
            std::string literals = literals_of(read(entry.path()));
            for (char& c : literals)
                if (c == '{' || c == '}') c = '0';  // a gap ends a row as a number does
            for (std::string& triple : triples_of(literals)) all.insert(std::move(triple));
        }
    return all;
}

/// What `turnout` said there, without what was typed and what others said.
std::string said_in(const std::string& transcript) {
    std::string said;
    bool ours = false;
    std::istringstream lines(transcript);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("$ ") || line.starts_with("# ")) {
            ours = line.starts_with("$ turnout");
        } else if (ours) {
            said += line + "\n";
        }
    }
    return said;
}

TEST(Transcript, SaysNothingThatTurnoutDoesNotSayAnyMore) {
    const std::set<std::string> known = sayable();
    const auto triples = triples_of(said_in(read(kRoot / "tests/newcomer/transcript.txt")));
    EXPECT_GT(triples.size(), 100U);
    for (const std::string& triple : triples)
        EXPECT_TRUE(known.contains(triple)) << "\"" << triple
                                            << "\" is not in the sources: run ./dev newcomer and "
                                               "copy build/newcomer/transcript.txt";
}

TEST(Transcript, ShowsNoPlaceOfTheMachineThatMadeIt) {
    for (const auto& entry : fs::directory_iterator(kRoot / "tests/newcomer")) {
        if (entry.path().extension() != ".txt") continue;
        const std::string text = read(entry.path());
        for (const std::string& place :
             {kRoot.string(), std::string("/tmp/"), std::string("/home/"), std::string("secret")})
            EXPECT_EQ(text.find(place), std::string::npos) << entry.path().filename() << ": " << place;
    }
}

TEST(Transcript, WordsSideBySideAreFoundAndGapsAreNot) {
    EXPECT_EQ(triples_of("comparing app public.log: all of it, at once\nfor two  and three"),
              (std::vector<std::string>{"all of it"}));
}

}  // namespace
}  // namespace turnout::house
