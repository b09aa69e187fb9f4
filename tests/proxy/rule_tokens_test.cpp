// pg_hba.conf's and pg_ident.conf's words: the tables were checked against PostgreSQL's pg_hba_file_rules.
#include "proxy/rule_tokens.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace turnout::proxy {
namespace {

namespace fs = std::filesystem;

/// A line as `field field`, a field's words joined by commas, quoted ones in quotes.
std::string shown(const RuleLine& line) {
    std::string text = std::to_string(line.line) + ":";
    for (const RuleField& field : line.fields) {
        text += ' ';
        for (const RuleToken& token : field) {
            if (&token != &field.front()) text += ',';
            text += token.quoted ? "\"" + token.text + "\"" : token.text;
        }
    }
    return text;
}

std::vector<std::string> split(std::string_view text) {
    std::vector<RuleProblem> problems;
    std::vector<std::string> lines;
    for (const RuleLine& line : split_rules(text, "/etc/pg_hba.conf", problems)) lines.push_back(shown(line));
    for (const RuleProblem& problem : problems) lines.push_back("! " + problem.text());
    return lines;
}

TEST(RuleTokens, AreTakenApartAsPostgresDoesIt) {
    using Lines = std::vector<std::string>;
    const struct {
        const char* text;
        Lines lines;
    } rows[] = {
        {"", {}},
        {"\n   \n# a remark\n \t# another\n", {}},
        {"local all all trust", {"1: local all all trust"}},
        {"local\tall  all\ttrust # why not\r\n", {"1: local all all trust"}},
        {"\n\nlocal all all trust\nhost all all all md5", {"3: local all all trust", "4: host all all all md5"}},
        {"local a,b , c all", {"1: local a,b c all"}},
        {"local a, b,\tc all", {"1: local a,b,c all"}},
        {"local ,a all", {"1: local a all"}},
        {"local \"all\" \"a b\" x", {"1: local \"all\" \"a b\" x"}},
        {"local \"a,b\",c x", {"1: local \"a,b\",c x"}},
        {"local \"say \"\"hi\"\"\" x", {"1: local \"say \"hi\"\" x"}},
        {"local a\"b c\"d x", {"1: local ab cd x"}},
        {"local \"\" x", {"1: local \"\" x"}},
        {"local \"#no remark\" a#remark", {"1: local \"#no remark\" a"}},
        {"local \"unterminated all", {"1: local \"unterminated all\""}},
        {"local all \\\nall trust\nlocal b b trust", {"1: local all all trust", "3: local b b trust"}},
        {"lo\\\ncal all all trust", {"1: local all all trust"}},
        {"# a remark that goes on \\\nlocal all all trust\nlocal b b trust", {"3: local b b trust"}},
        {"local all \\\r\n  all\\", {"1: local all all"}},
        {"local @ @", {"1: local @ @"}},
        {"local \"@quoted\" x", {"1: local \"@quoted\" x"}},
    };
    for (const auto& row : rows) EXPECT_EQ(split(row.text), row.lines) << row.text;
}

class RuleFiles : public testing::Test {
  protected:
    RuleFiles() : directory_(fs::temp_directory_path() / ("turnout_rules_" + std::to_string(::getpid()))) {
        fs::remove_all(directory_);
        fs::create_directories(directory_);
    }
    ~RuleFiles() override { fs::remove_all(directory_); }

    void write(const std::string& name, std::string_view text) const {
        fs::create_directories((directory_ / name).parent_path());
        std::ofstream(directory_ / name) << text;
    }
    /// Lines and problems, the directory's name left out.
    std::string read(const std::string& name) const {
        std::vector<RuleProblem> problems;
        std::string text;
        for (const RuleLine& line : read_rules(directory_ / name, problems))
            text += fs::path(line.file).filename().string() + ":" + shown(line) + "\n";
        for (const RuleProblem& problem : problems) text += "! " + problem.text() + "\n";
        for (std::size_t at = 0; (at = text.find(directory_.string() + "/")) != std::string::npos;)
            text.erase(at, directory_.string().size() + 1);
        return text;
    }

    fs::path directory_;
};

TEST_F(RuleFiles, IncludeWordsAndLines) {
    write("names", "alice bob # two\n\"carol, x\"\n");
    write("more/rules.conf", "local b b trust\n");
    write("d/2.conf", "local two two trust\n");
    write("d/1.conf", "local one one trust\n");
    write("d/.hidden.conf", "local no no trust\n");
    write("d/readme", "local no no trust\n");
    write("hba",
          "local all @names,dave md5\ninclude more/rules.conf\ninclude_if_exists nothing.conf\ninclude_dir d\n"
          "local z z trust\n");
    EXPECT_EQ(read("hba"),
              "hba:1: local all alice,bob,\"carol, x\",dave md5\nrules.conf:1: local b b trust\n"
              "1.conf:1: local one one trust\n2.conf:1: local two two trust\nhba:5: local z z trust\n");
}

TEST_F(RuleFiles, WhatCannotBeIncludedIsNamedWithItsPlace) {
    write("hba", "\nlocal @missing all trust\ninclude gone.conf\ninclude_dir nowhere\nlocal all all trust\n");
    EXPECT_EQ(read("hba"),
              "hba:5: local all all trust\n! hba:2: could not open file \"missing\": No such file or directory\n"
              "! hba:3: could not open file \"gone.conf\": No such file or directory\n"
              "! hba:4: could not open directory \"nowhere\": No such file or directory\n");
    write("self", "include self\n");
    EXPECT_NE(read("self").find("maximum nesting depth exceeded"), std::string::npos) << read("self");
    EXPECT_THROW(read("absent"), RuleFileError);
}

}  // namespace
}  // namespace turnout::proxy
