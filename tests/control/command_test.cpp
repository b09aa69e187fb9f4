// The verbs as they are written.
#include "control/command.hpp"

#include <gtest/gtest.h>

#include <string>

namespace turnout::control {
namespace {

Command one(const std::string& text) {
    const auto commands = parse_commands(text);
    EXPECT_TRUE(commands.has_value() && commands->size() == 1) << text;
    return commands && !commands->empty() ? commands->front() : Command{};
}

std::string error(const std::string& text) {
    const auto commands = parse_commands(text);
    return commands ? "accepted" : commands.error().sqlstate + " " + commands.error().message;
}

TEST(Commands, VerbsAreReadInAnyCase) {
    for (const VerbDescription& verb : verb_descriptions()) {
        std::string text(verb.words);
        if (verb.operand == Operand::topic) text += " status";
        if (verb.operand == Operand::side) text += " green";
        if (verb.operand == Operand::database || verb.operand == Operand::session) text += " 7";
        EXPECT_EQ(one(text).verb, verb.verb) << text;
        for (char& c : text) c = static_cast<char>(std::tolower(c));
        EXPECT_EQ(one(text + ";").verb, verb.verb) << text;
    }
}

TEST(Commands, TopicsOfShow) {
    for (const TopicDescription& topic : topic_descriptions())
        EXPECT_EQ(one("SHOW " + std::string(topic.word)).topic, topic.topic);
}

TEST(Commands, OptionsHaveTheirValues) {
    const Command command =
        one("switch max_pause '50ms' deadline=2m Pinned end LONG_TRANSACTIONS 'read_only' end_bypassing as json");
    EXPECT_EQ(command.verb, Verb::switch_over);
    EXPECT_EQ(command.options.max_pause, Milliseconds(50));
    EXPECT_EQ(command.options.deadline, Milliseconds(120'000));
    EXPECT_EQ(command.options.pinned, PinnedPolicy::end);
    EXPECT_EQ(command.options.long_transactions, LongTransactions::read_only);
    EXPECT_TRUE(command.options.end_bypassing);
    EXPECT_EQ(command.form, Form::json);
    EXPECT_FALSE(one("SWITCH").options.max_pause);
}

TEST(Commands, SeveralAreSeparatedBySemicolons) {
    const auto commands = parse_commands("; SHOW STATUS;; -- a remark\n PAUSE /* another; one */ ; resume");
    ASSERT_TRUE(commands);
    ASSERT_EQ(commands->size(), 3U);
    EXPECT_EQ((*commands)[1].verb, Verb::pause);
    EXPECT_EQ((*commands)[2].verb, Verb::resume);
    EXPECT_TRUE(parse_commands("")->empty());
    EXPECT_TRUE(parse_commands(" -- nothing")->empty());
}

TEST(Commands, WhatDriversSendOnConnectingIsAccepted) {
    EXPECT_EQ(one("SET extra_float_digits = 3").verb, Verb::set);
    EXPECT_EQ(one("SET client_encoding TO 'UTF8'").verb, Verb::set);
}

TEST(Commands, ErrorsSayWhatWasMeant) {
    EXPECT_EQ(error("SWICTH"), "42601 unknown command 'SWICTH'; did you mean SWITCH?");
    EXPECT_EQ(error("SELECT 1"), "42601 unknown command 'SELECT'");
    EXPECT_EQ(error("SHOW"), "42601 a topic of SHOW is missing");
    EXPECT_EQ(error("SHOW SESIONS"), "42601 unknown topic of SHOW 'SESIONS'; did you mean SESSIONS?");
    EXPECT_EQ(error("SWITCH MAXPAUSE '1s'"), "42601 unknown option 'MAXPAUSE'; did you mean MAX_PAUSE?");
    EXPECT_EQ(error("SWITCH MAX_PAUSE"), "22023 MAX_PAUSE has no value");
    EXPECT_EQ(error("SWITCH MAX_PAUSE '50'"), "22023 MAX_PAUSE cannot be '50'");
    EXPECT_EQ(error("SWITCH MAX_PAUSE '0s'"), "22023 MAX_PAUSE cannot be '0s'");
    EXPECT_EQ(error("SWITCH PINNED 'never'"), "22023 PINNED cannot be 'never'");
    EXPECT_EQ(error("REHEARSE END_BYPASSING"), "42601 unknown option 'END_BYPASSING'");
    EXPECT_EQ(error("FINISH NOW"), "42601 FINISH takes no 'NOW'");
    EXPECT_EQ(error("FORCE ACTIVE"), "42601 FORCE ACTIVE needs the side to be served: blue or green");
    EXPECT_EQ(error("KILL_CLIENT"), "42601 KILL_CLIENT needs the id of a session");
    EXPECT_EQ(error("DISABLE"), "42601 DISABLE needs a database");
    EXPECT_EQ(error("FORCE ACTIVE red"), "42601 FORCE ACTIVE needs the side to be served: blue or green");
    EXPECT_EQ(error("FORCE"), "42601 a command is missing");
    EXPECT_EQ(error("SHOW STATUS AS XML"), "42601 unknown form 'XML'");
    EXPECT_EQ(error("SHOW STATUS 'unterminated"), "42601 SHOW takes no 'an unterminated string'");
    EXPECT_EQ(error("PAUSE; SHOW NONSENSE"), "42601 unknown topic of SHOW 'NONSENSE'");
}

TEST(Commands, RowsHaveTheColumnsThatWereDescribed) {
    EXPECT_EQ(columns_of(one("SHOW CONFIG")).size(), 4U);
    EXPECT_EQ(columns_of(one("SHOW STATUS")).front().name, "item");
    EXPECT_EQ(columns_of(one("SHOW STATUS AS JSON")).front().type, ColumnType::json);
    EXPECT_TRUE(columns_of(one("PAUSE")).empty());
    EXPECT_EQ(columns_of(one("PAUSE AS JSON")).size(), 1U);
}

}  // namespace
}  // namespace turnout::control
