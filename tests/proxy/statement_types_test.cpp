// What a prepared statement takes and gives, told by the names of types.
#include "proxy/statement_types.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "protocol/errors.hpp"
#include "protocol/messages.hpp"

namespace turnout::proxy {
namespace {

constexpr std::uint32_t kInt4 = 23, kMoodHere = 16500, kMoodThere = 17000, kInstantHere = 16501;

std::string parse_body(std::vector<std::uint32_t> types) {
    std::string message;
    append(message, protocol::Parse{"s", "SELECT $1", std::move(types)});
    return message.substr(protocol::header_size);
}

TEST(StatementTypes, ThoseOfUsersAreTranslatedByNameAndOthersAreLeftAlone) {
    const TypeNames here{{kMoodHere, "public.mood"}, {kInstantHere, "public.instant"}};
    const TypeOids there{{"public.mood", kMoodThere}};
    EXPECT_EQ(translate_parse(parse_body({kInt4, kMoodHere, 0}), here, there), parse_body({kInt4, kMoodThere, 0}));
    EXPECT_EQ(translate_parse(parse_body({kInstantHere}), here, there), parse_body({kInstantHere}))
        << "it does not exist there: the server will say so";
    EXPECT_EQ(translate_parse("nonsense", here, there), "nonsense");
    std::set<std::uint32_t> unstable;
    add_types_in_parse(parse_body({kInt4, kMoodHere, 0}), unstable);
    EXPECT_EQ(unstable, std::set<std::uint32_t>{kMoodHere});
}

TEST(StatementTypes, AreTheSameIfTheirNamesAre) {
    const StatementTypes here{{kInt4}, {kMoodHere, kInt4}}, there{{kInt4}, {kMoodThere, kInt4}};
    const std::string known = types_by_name(here, {{kMoodHere, "public.mood"}});
    EXPECT_EQ(known, types_by_name(there, {{kMoodThere, "public.mood"}}));
    EXPECT_NE(known, types_by_name(there, {{kMoodThere, "other.mood"}}));
    EXPECT_NE(known, types_by_name({{kInt4}, {kMoodThere}}, {{kMoodThere, "public.mood"}})) << "a column less";
    EXPECT_NE(types_by_name({{kInt4}, {}}, {}), types_by_name({{}, {kInt4}}, {}));
}

TEST(StatementTypes, ADescriptionIsReadForEachStatementOrTheLackOfOne) {
    boost::asio::io_context context;
    Exchange replies(context);
    const auto add = [&](const std::string& message) {
        replies.messages.push_back({message.front(), message.substr(protocol::header_size)});
    };
    const auto say = [&](const auto& body) {
        std::string message;
        append(message, body);
        add(message);
    };
    say(protocol::ParameterDescription{{kInt4}});
    protocol::FieldDescription field;
    field.type = kMoodHere;
    say(protocol::RowDescription{{field}});
    say(protocol::ReadyForQuery{});
    add(protocol::make_error(protocol::Severity::error, "26000", "there is none"));
    say(protocol::ReadyForQuery{});
    say(protocol::ParameterDescription{});
    say(protocol::ReadyForQuery{});
    const auto read = read_descriptions(replies);
    ASSERT_EQ(read.size(), 3U);
    ASSERT_TRUE(read[0] && !read[1] && read[2]);
    EXPECT_EQ(read[0]->parameters, std::vector<std::uint32_t>{kInt4});
    EXPECT_EQ(read[0]->columns, std::vector<std::uint32_t>{kMoodHere});
    EXPECT_TRUE(read[2]->parameters.empty() && read[2]->columns.empty());
}

}  // namespace
}  // namespace turnout::proxy
