// What the program writes about itself: manual pages, completions, the schema. Nothing that it can do is missing.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>

#include "bench/program.hpp"
#include "control/command.hpp"
#include "control/config_table.hpp"

namespace turnout {
namespace {

std::string generated(const std::string& document) {
    return bench::must_run({.arguments = {TURNOUT_PROGRAM, "generate", document}}).out;
}

/// A word as man(7) writes it.
std::string roff(std::string_view word) {
    std::string text;
    for (const char c : word) text += c == '-' ? "\\-" : std::string(1, c);
    return text;
}

TEST(Documents, TheManualPageHasEveryVerbOptionAndTopic) {
    const std::string page = generated("turnout.1");
    EXPECT_EQ(page.find(".TH TURNOUT 1 "), 0U);
    for (const auto& verb : control::verb_descriptions()) {
        if (verb.verb == control::Verb::set) continue;
        EXPECT_NE(page.find(roff("turnout " + control::dashed(verb.words))), std::string::npos) << verb.words;
        for (const auto* option : verb.options)
            EXPECT_NE(page.find(roff("--" + control::dashed(option->word))), std::string::npos) << option->word;
    }
    for (const auto& topic : control::topic_descriptions())
        EXPECT_NE(page.find("\\fB" + roff(control::dashed(topic.word)) + "\\fR"), std::string::npos) << topic.word;
}

TEST(Documents, TheConfigurationsPageHasEveryKeyItsDefaultAndWhetherReloadChangesIt) {
    const std::string page = generated("turnout.toml.5");
    for (const control::ConfigKey& key : control::config_keys()) {
        const std::size_t at = page.find("\\fB" + roff(key.name) + "\\fR\n" + roff(key.description));
        ASSERT_NE(at, std::string::npos) << key.path();
        const std::string entry = page.substr(at, page.find(".TP", at) - at);
        EXPECT_NE(entry.find(key.reloadable ? "reload." : "restart."), std::string::npos) << entry;
        if (!key.default_toml.empty()) {
            EXPECT_NE(entry.find(roff(key.default_toml)), std::string::npos) << entry;
        }
    }
}

TEST(Documents, CompletionKnowsVerbsTopicsAndValues) {
    const std::string script = generated("completion.bash") +
                               "COMP_WORDS=(turnout \"${@:1}\"); COMP_CWORD=$#; _turnout; echo \"${COMPREPLY[*]}\"\n";
    const auto complete = [&script](std::vector<std::string> words) {
        words.insert(words.begin(), {"bash", "-c", script, "bash"});
        return bench::must_run({.arguments = std::move(words)}).out;
    };
    EXPECT_EQ(complete({"swi"}), "switch\n");
    EXPECT_EQ(complete({"show", "hist"}), "history\n");
    EXPECT_EQ(complete({"force-active", "gr"}), "green\n");
    EXPECT_EQ(complete({"switch", "--pinned", ""}), "wait end refuse\n");
    EXPECT_EQ(complete({"switch", "--dr"}), "--dry-run\n");
    EXPECT_NE(generated("completion.fish").find("-a switch -d "), std::string::npos);
    EXPECT_EQ(generated("completion.zsh").find("#compdef turnout\n"), 0U);
}

TEST(Documents, TheSchemaIsJson) {
    EXPECT_EQ(boost::json::parse(generated("turnout.schema.json")).at("title").as_string(), "turnout.toml");
}

}  // namespace
}  // namespace turnout
