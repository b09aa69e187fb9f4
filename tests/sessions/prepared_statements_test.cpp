// Prepared statements on another server, where types that users made have other OIDs, and where a statement may give
// something else than its client knows.
#include <gtest/gtest.h>

#include <future>
#include <memory>

#include "plane.hpp"
#include "protocol/frontend_messages.hpp"

namespace turnout::test {
namespace {

class PreparedStatements : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        const auto make = [](const char* name, const std::string& first) {
            auto cluster =
                std::make_unique<support::Cluster>(support::ClusterOptions{.major = 15, .name = name, .fsync = false});
            cluster->execute(first);
            cluster->execute("CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE feelings (m mood)");
            return cluster;
        };
        auto green = std::async(std::launch::async, make, "green",
                                "CREATE TYPE other AS ENUM ('x'); CREATE TABLE more (n other);"
                                "CREATE FUNCTION age() RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint'");
        blue_ = make("blue", "CREATE FUNCTION age() RETURNS int LANGUAGE sql AS 'SELECT 7'");
        green_ = green.get();
        ASSERT_NE(blue_->value("SELECT 'mood'::regtype::oid"), green_->value("SELECT 'mood'::regtype::oid"));
    }
    static void TearDownTestSuite() {
        green_.reset();
        blue_.reset();
    }

    static std::string prepare(std::string_view name, std::string_view sql, std::vector<std::uint32_t> types = {}) {
        std::string bytes;
        append(bytes, protocol::Parse{name, sql, std::move(types)});
        protocol::append_sync(bytes);
        return bytes;
    }
    static std::string execute(std::string_view name, std::initializer_list<std::string_view> values = {}) {
        std::string bytes;
        protocol::Bind bind;
        bind.statement = name;
        for (const std::string_view value : values) bind.parameters.emplace_back(value);
        append(bytes, bind);
        append(bytes, protocol::Execute{});
        protocol::append_sync(bytes);
        return bytes;
    }
    static std::uint32_t mood() {
        return static_cast<std::uint32_t>(std::stoul(blue_->value("SELECT 'mood'::regtype::oid")));
    }

    static std::unique_ptr<support::Cluster> blue_, green_;
    Plane plane_{*blue_, *green_};
    std::unique_ptr<RawClient> client_ = plane_.client();
};

std::unique_ptr<support::Cluster> PreparedStatements::blue_;
std::unique_ptr<support::Cluster> PreparedStatements::green_;

TEST_F(PreparedStatements, TakeTypesOfUsersUnderTheirOidsOnEitherSide) {
    const std::string insertion = "INSERT INTO feelings VALUES ($1) RETURNING m";
    for (const std::string name : {"named", ""}) {
        client_->send(prepare(name, insertion, {mood()}));
        EXPECT_EQ(client_->replies(), "1 Z(I)");
        for (int round = 0; round < 3; ++round) {
            client_->send(execute(name, {"happy"}));
            EXPECT_NE(client_->transcript(1).find("happy"), std::string::npos) << name << round;
            plane_.change();
        }
        plane_.change();
    }
    client_->send(prepare("late", insertion, {mood()}) + execute("late", {"sad"}));
    EXPECT_EQ(client_->replies(2), "1 Z(I) 2 D C Z(I)");
    EXPECT_EQ(green_->value("SELECT string_agg(m::text, ' ') FROM feelings"), "happy happy");
}

TEST_F(PreparedStatements, ThatGiveOtherTypesThereAreMissedInsteadOfMisread) {
    client_->send(prepare("differs", "SELECT age()") + prepare("the same", "SELECT 'sad'::mood"));
    EXPECT_EQ(client_->replies(2), "1 Z(I) 1 Z(I)");
    plane_.change();
    client_->send(execute("differs") + execute("the same"));
    EXPECT_EQ(client_->replies(2), "E(26000) Z(I) 2 D C Z(I)");
    plane_.change();
    client_->send(execute("differs"));
    EXPECT_EQ(client_->replies(), "2 D C Z(I)") << "here it gives what its client knows";
    plane_.change();
    client_->send(prepare("differs", "SELECT age()") + execute("differs"));
    EXPECT_EQ(client_->replies(2), "1 Z(I) 2 D C Z(I)") << "prepared again, as drivers do";
}

TEST_F(PreparedStatements, MadeAfterTheArmingAreComparedToo) {
    plane_.arm();
    client_->send(prepare("", "SELECT age()"));
    EXPECT_EQ(client_->replies(), "1 Z(I)");
    plane_.change();
    client_->send(execute(""));
    EXPECT_EQ(client_->replies(), "E(26000) Z(I)");
}

/// What a client holds unnamed, and a table that is locked on the other side: whoever makes a statement on it there
/// waits.
class UnnamedStatement : public PreparedStatements {
  protected:
    void prepare_on_blue(std::string_view name, std::string_view sql) {
        client_->send(prepare(name, sql));
        EXPECT_EQ(client_->replies(), "1 Z(I)");
    }
    void lock() {
        holder_.query("BEGIN; LOCK TABLE feelings");
        holder_.replies();
    }
    /// What the client says is held, and goes to the other side.
    void say_at_the_gate(std::string_view bytes) {
        const auto drained = plane_.close();
        client_->send(bytes);
        plane_.wait_for_state(client_->pid(), "held");
        ASSERT_TRUE(plane_.claim());
        plane_.open_to_other();
    }

    RawClient holder_{green_->port(), "postgres", "postgres"};
};

TEST_F(UnnamedStatement, IsNotMadeThereWhereTheNextMessageIsAQuery) {
    plane_.arm();
    prepare_on_blue("", "SELECT m FROM feelings");
    lock();
    say_at_the_gate(simple({"SHOW port"}));
    EXPECT_NE(client_->transcript(1).find(std::to_string(green_->port())), std::string::npos);
    client_->send(execute(""));
    EXPECT_EQ(client_->replies(), "E(26000) Z(I)") << "as on a server: the Query has ended it";
}

TEST_F(UnnamedStatement, IsNotMadeThereWhereTheNextMessageMakesItAnew) {
    plane_.arm();
    prepare_on_blue("", "SELECT m FROM feelings");
    lock();
    say_at_the_gate(prepare("", "SHOW port") + execute(""));
    EXPECT_NE(client_->transcript(2).find(std::to_string(green_->port())), std::string::npos);
}

TEST_F(UnnamedStatement, IsMadeThereWhereTheNextMessageUsesIt) {
    plane_.arm();
    prepare_on_blue("", "SELECT 'unnamed'");
    say_at_the_gate(execute(""));
    EXPECT_NE(client_->transcript(1).find("unnamed"), std::string::npos);
}

/// Once it counts on the held message to end the statement that the other side has from before, that must get there.
TEST_F(UnnamedStatement, IsNotThatOfBeforeWhereACancelComesInTheMidstOfTheMove) {
    prepare_on_blue("", "SELECT 'before'");
    plane_.arm();
    prepare_on_blue("named", "SELECT m FROM feelings");
    lock();
    say_at_the_gate(simple({"SELECT 1"}));
    while (green_->value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "0") {
    }
    client_->cancel();
    holder_.query("ROLLBACK");
    EXPECT_EQ(client_->replies(), "T D C Z(I)");
    client_->send(execute(""));
    EXPECT_EQ(client_->replies(), "E(26000) Z(I)");
}

}  // namespace
}  // namespace turnout::test
