// The soft fence, those who pass it, and what the proxy is told of roles.
#include "control/fence.hpp"

#include <gmock/gmock.h>

#include "control/role_reader.hpp"
#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

using testing::HasSubstr;

class FenceTest : public ServersTest {
  protected:
    FenceTest() : journal_(await(Journal::open(*cluster_, Side::blue))) { await(journal_->create()); }

    std::string read_only() { return value(Side::blue, "SHOW default_transaction_read_only"); }
    void raise() { await(raise_fence(*journal_, cluster_->databases())); }
    void lift() { await(lift_fence(*journal_)); }

    std::unique_ptr<Journal> journal_;
};

TEST_F(FenceTest, StandsAndIsLifted) {
    EXPECT_EQ(read_only(), "off");
    raise();
    EXPECT_EQ(read_only(), "on");
    EXPECT_THROW(execute(Side::blue, "CREATE TABLE t (id int)"), std::runtime_error);
    lift();
    EXPECT_EQ(read_only(), "off");
    EXPECT_EQ(server(Side::blue)
                  .value("SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = "
                         "s.setdatabase WHERE datname = '" +
                         database_ + "'"),
              "0");
}

TEST_F(FenceTest, GivesTheFormerValueBack) {
    execute(Side::blue, "ALTER DATABASE " + database_ + " SET default_transaction_read_only = on");
    raise();
    raise();
    const JournalView view = await(journal_->read());
    ASSERT_EQ(view.fence.size(), 1U);
    EXPECT_EQ(view.fence[0].former, "on");
    lift();
    lift();
    EXPECT_EQ(read_only(), "on");
    EXPECT_TRUE(await(journal_->read()).fence.empty());
}

TEST_F(FenceTest, LeavesOutADatabaseThatDoesNotExistAndForgetsOneThatWasDropped) {
    std::vector<std::string> databases = cluster_->databases();
    databases.push_back("nowhere");
    await(raise_fence(*journal_, databases));
    EXPECT_EQ(await(journal_->read()).fence.size(), 1U);
    server(Side::blue).execute("DROP DATABASE " + database_);
    lift();
    EXPECT_TRUE(await(journal_->read()).fence.empty());
    server(Side::blue).execute("CREATE DATABASE " + database_);
}

/// A session of ours that logs in while one looks is in the server's list before it is in ours, and one that ends is in
/// the server's list after it has left ours.
TEST_F(FenceTest, DoesNotTakeASessionThatComesOrGoesDuringALookForOneThatBypassesTheProxy) {
    PgConnection& looks = journal_->connection();
    PgConnection::Ptr session = connect(Side::blue);
    query(*session, "SET application_name = 'a client'");
    const std::int32_t pid = session->backend_pid();
    int asked = 0;
    const OwnPids logs_in = [&]() -> asio::awaitable<std::set<std::int32_t>> {
        if (asked++ == 0) co_return std::set<std::int32_t>{};
        co_return std::set<std::int32_t>{pid};
    };
    EXPECT_TRUE(await(find_bypassing(looks, cluster_->databases(), logs_in)).empty());

    asked = 0;
    const OwnPids ends = [&]() -> asio::awaitable<std::set<std::int32_t>> {
        if (asked++ == 1) {
            session.reset();
            for (const char* left = "SELECT FROM pg_stat_activity WHERE pid = $1";
                 !(co_await looks.query(left, pid)).empty();) {
            }
        }
        co_return std::set<std::int32_t>{};
    };
    EXPECT_TRUE(await(find_bypassing(looks, cluster_->databases(), ends)).empty());

    const PgConnection::Ptr stays = connect(Side::blue);
    query(*stays, "SET application_name = 'a script'");
    const std::vector<Outsider> found = await(find_bypassing(looks, cluster_->databases(), {}));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].pid, stays->backend_pid());
}

TEST_F(FenceTest, WaitsForTransactionsThatBeganBefore) {
    const PgConnection::Ptr outsider =
        await(PgConnection::open(Conninfo::parse(server(Side::blue).conninfo("")).with("dbname", database_), Side::blue,
                                 Clock::time_point::max()));
    query(*outsider, "BEGIN");
    query(*outsider, "SELECT 1");
    const std::set<std::int32_t> nobody;
    std::vector<Outsider> left = await(
        wait_out_transactions(journal_->connection(), cluster_->databases(), nobody, Clock::now() + Milliseconds(50)));
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left[0].pid, outsider->backend_pid());
    EXPECT_THAT(left[0].text(), HasSubstr("idle in transaction"));
    const std::set<std::int32_t> ours{outsider->backend_pid()};
    left = await(wait_out_transactions(journal_->connection(), cluster_->databases(), ours, Clock::now()));
    EXPECT_TRUE(left.empty());
    query(*outsider, "COMMIT");
    query(*outsider, "BEGIN; SELECT 1");
    // Another transaction of the same session began after the fence: it is not waited for. The one before was.
    query(*outsider, "COMMIT");
    left = await(wait_out_transactions(journal_->connection(), cluster_->databases(), nobody,
                                       Clock::now() + std::chrono::seconds(30)));
    EXPECT_TRUE(left.empty());
}

// A session that is logging in has read the old settings and is not in pg_stat_activity yet.
TEST_F(FenceTest, WaitsForSessionsThatAreLoggingIn) {
    const Conninfo slow = Conninfo::parse(server(Side::blue).conninfo(""))
                              .with("dbname", database_)
                              .with("options", "-c post_auth_delay=2");
    PgConnection::Ptr outsider;
    asio::co_spawn(context_, PgConnection::open(slow, Side::blue, Clock::time_point::max()),
                   [&](std::exception_ptr error, PgConnection::Ptr opened) {
                       if (error) std::rethrow_exception(error);
                       outsider = std::move(opened);
                   });
    const std::string hidden =
        "SELECT count(*) FROM pg_locks l WHERE locktype = 'virtualxid' AND NOT EXISTS (SELECT FROM pg_stat_activity a "
        "WHERE a.pid = l.pid)";
    context_.restart();
    while (server(Side::blue).value(hidden) != "1") context_.poll();
    const std::set<std::int32_t> nobody;
    const std::vector<Outsider> left = await(wait_out_transactions(journal_->connection(), cluster_->databases(),
                                                                   nobody, Clock::now() + std::chrono::seconds(30)));
    EXPECT_TRUE(left.empty());
    EXPECT_EQ(server(Side::blue).value(hidden), "0") << "it was not waited for";
    context_.restart();
    while (!outsider) context_.run_one();
}

TEST_F(FenceTest, FindsAndEndsSessionsThatBypassTheProxy) {
    const Conninfo direct = Conninfo::parse(server(Side::blue).conninfo("")).with("dbname", database_);
    const PgConnection::Ptr outsider = await(PgConnection::open(direct, Side::blue, Clock::time_point::max()));
    const PgConnection::Ptr proxied = await(PgConnection::open(direct, Side::blue, Clock::time_point::max()));
    const PgConnection::Ptr control = connect(Side::blue);
    const std::set<std::int32_t> ours{proxied->backend_pid()};
    PgConnection& asking = journal_->connection();
    const std::vector<Outsider> found = await(find_outsiders(asking, cluster_->databases(), ours));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].pid, outsider->backend_pid());
    EXPECT_EQ(found[0].database, database_);
    const std::vector<Outsider> left =
        await(end_outsiders(asking, cluster_->databases(), ours, Clock::now() + std::chrono::seconds(30)));
    EXPECT_TRUE(left.empty());
    EXPECT_EQ(query(*proxied, "SELECT 1").as<int>(0, 0), 1);
    EXPECT_EQ(query(*control, "SELECT 1").as<int>(0, 0), 1);
    EXPECT_THROW(query(*outsider, "SELECT 1"), PgError);
}

// -------------------------------------------------------------------------------------------------------------- roles

class RolesTest : public FenceTest {
  protected:
    RolesTest() : reader_(*cluster_) {
        static int count = 0;
        role_ = "role" + std::to_string(++count);
        execute(Side::blue, "CREATE ROLE " + role_ + " LOGIN PASSWORD 'secret'");
    }
    ~RolesTest() override {
        reader_.stop();
        context_.restart();
        context_.poll();
    }

    RoleAnswer ask(const std::string& user, Side side = Side::blue) {
        std::optional<RoleAnswer> answer;
        reader_.look_up(side, user, database_, [&](RoleAnswer given) { answer = std::move(given); });
        context_.restart();
        while (!answer) context_.run_one();
        return *answer;
    }
    RoleFacts facts(const std::string& user) { return std::get<RoleFacts>(ask(user)); }

    RoleReader reader_;
    std::string role_;
};

TEST_F(RolesTest, TellsVerifierAndSuperuser) {
    EXPECT_FALSE(facts("nobody_here").exists);
    const RoleFacts ours = facts(role_);
    EXPECT_TRUE(ours.exists);
    EXPECT_FALSE(ours.superuser);
    EXPECT_THAT(ours.verifier, HasSubstr("SCRAM-SHA-256$"));
    EXPECT_FALSE(ours.read_only) << "nothing is fenced";
    EXPECT_TRUE(facts("postgres").superuser);
}

TEST_F(RolesTest, TellsTheValueThatTheFenceReplaced) {
    facts(role_);  // the connection is warm before there is a fence
    raise();
    EXPECT_EQ(facts(role_).read_only, "off");
    lift();
    execute(Side::blue, "ALTER DATABASE " + database_ + " SET default_transaction_read_only = on");
    raise();
    EXPECT_EQ(facts(role_).read_only, "on") << "the database's own former value";
    server(Side::blue).execute("ALTER ROLE " + role_ + " SET default_transaction_read_only = off");
    EXPECT_EQ(facts(role_).read_only, "off") << "the role's beats it";
    server(Side::blue)
        .execute("ALTER ROLE " + role_ + " IN DATABASE " + database_ + " SET default_transaction_read_only = on");
    EXPECT_EQ(facts(role_).read_only, "on") << "the role's in this database beats that";
    await(journal_->drop());
    EXPECT_NO_THROW(ask(role_));
}

TEST_F(RolesTest, ComesBackAfterTheServerWasAway) {
    facts(role_);
    server(Side::blue).stop();
    EXPECT_TRUE(std::holds_alternative<RoleUnknown>(ask(role_)));
    server(Side::blue).start();
    EXPECT_TRUE(facts(role_).exists);
    journal_ = await(Journal::open(*cluster_, Side::blue));
}

}  // namespace
}  // namespace turnout::control::test
