#include "protocol/session_changes.hpp"

#include <gtest/gtest.h>

#include "protocol/frontend_messages.hpp"
#include "tests/protocol/bytes.hpp"

namespace turnout::test {
namespace {

using namespace protocol;

/// A session that has its changes read now and then.
class SessionChangesTest : public testing::Test {
  protected:
    void query(std::string_view text) { changes.on_frontend(FrontendType::query, std::string{text} + '\0'); }
    void parse(std::string_view name, std::string_view text) {
        changes.on_frontend(FrontendType::parse, std::string{name} + '\0' + std::string{text} + std::string(3, '\0'));
    }
    void bind(std::string_view statement, std::vector<std::optional<std::string_view>> parameters = {}) {
        Bind message;
        message.statement = statement;
        message.parameters = std::move(parameters);
        std::string out;
        append(out, message);
        changes.on_frontend(FrontendType::bind, body_of(out));
    }
    [[nodiscard]] bool dirty() const { return changes.since_read() != Change::none; }
    [[nodiscard]] bool knows(std::string_view name) const { return changes.setting_names().contains(name); }

    SessionChanges changes;
};

TEST_F(SessionChangesTest, NamesWithoutEndAreNotRememberedWithoutEnd) {
    query("SET app.tenant = 1");
    for (int i = 0; i < 10'000 && !changes.names_lost(); ++i) query("SET app.x" + std::to_string(i) + " = 1");
    EXPECT_TRUE(changes.names_lost());
    EXPECT_LT(changes.setting_names().size(), 10'000U);
    EXPECT_TRUE(knows("app.tenant"));
}

TEST_F(SessionChangesTest, HarmlessTextsLeaveNothing) {
    query("select 1");
    parse("", "update t set a = $1");
    bind("");
    EXPECT_FALSE(dirty());
}

TEST_F(SessionChangesTest, AStatementCountsEachTimeItIsBound) {
    parse("tenant", "select set_config('app.tenant', $1, false)");
    EXPECT_TRUE(has(changes.since_read(), Change::settings));
    changes.clear();
    EXPECT_FALSE(dirty());
    bind("tenant", {"7"});
    EXPECT_TRUE(has(changes.since_read(), Change::settings));
    changes.clear();
    bind("other");
    EXPECT_FALSE(dirty());
    EXPECT_TRUE(has(changes.ever(), Change::settings));
}

TEST_F(SessionChangesTest, NamesComeWithBind) {
    parse("", "select set_config($2, $1, false)");
    bind("", {"7", "app.tenant"});
    EXPECT_TRUE(knows("app.tenant"));
    bind("", {std::nullopt, std::nullopt});
    bind("", {});
    EXPECT_EQ(changes.setting_names().size(), 1U);
}

TEST_F(SessionChangesTest, AnUnnamedStatementReplacesTheOneBefore) {
    parse("", "select set_config('a.b', $1, false)");
    parse("", "select 1");
    changes.clear();
    bind("", {"1"});
    EXPECT_FALSE(dirty());
}

TEST_F(SessionChangesTest, ADuplicateNameKeepsBoth) {
    parse("s", "listen c");
    parse("s", "select pg_advisory_lock(1)");
    changes.clear();
    bind("s");
    EXPECT_TRUE(has(changes.since_read(), Change::listen));
    EXPECT_TRUE(has(changes.since_read(), Change::advisory_lock));
}

TEST_F(SessionChangesTest, ABindThatCannotBeReadMayBeAnyStatements) {
    parse("s", "listen c");
    changes.clear();
    changes.on_frontend(FrontendType::bind, "\0s\0"_b, false);
    EXPECT_TRUE(has(changes.since_read(), Change::listen));
    EXPECT_TRUE(has(changes.since_read(), Change::unseen));
}

TEST_F(SessionChangesTest, ExecuteRunsWhatWasPrepared) {
    query("prepare p as select set_config('a.b', '1', false)");
    changes.clear();
    query("execute p");
    EXPECT_TRUE(has(changes.since_read(), Change::settings));
}

TEST_F(SessionChangesTest, TagsCount) {
    changes.on_command_complete("LISTEN\0"_b);
    EXPECT_TRUE(has(changes.since_read(), Change::listen));
}

TEST_F(SessionChangesTest, FunctionCallsAreCode) {
    changes.on_frontend(FrontendType::function_call, {});
    EXPECT_TRUE(has(changes.since_read(), Change::code));
}

TEST_F(SessionChangesTest, ACrowdOfStatementsIsNotTold) {
    for (int i = 0; i < 3000; ++i) parse("s" + std::to_string(i), "listen c");
    changes.clear();
    bind("s2999");
    EXPECT_TRUE(has(changes.since_read(), Change::listen));
    EXPECT_TRUE(has(changes.since_read(), Change::unseen));
}

TEST_F(SessionChangesTest, BackslashesByWhatTheServerReported) {
    changes.conforming_strings(false);
    query("select 'a\\'; listen c; --'");
    EXPECT_FALSE(dirty());
}

}  // namespace
}  // namespace turnout::test
