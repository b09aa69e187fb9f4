// Control's connection: what is known after a failure, pipelines, deadlines, cancellation.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

class ConnectionTest : public ServersTest {
  protected:
    /// Runs what must fail and returns the error.
    template <class T>
    PgError::Fields failure(asio::awaitable<T> work) {
        try {
            await(std::move(work));
        } catch (const PgError& error) {
            return error.fields();
        }
        ADD_FAILURE() << "it should have failed";
        return {};
    }
};

TEST_F(ConnectionTest, TellsARefusalWithWhatTheServerSaid) {
    const PgConnection::Ptr connection = connect(Side::blue);
    query(*connection, "CREATE TABLE public.t (id int PRIMARY KEY)");
    query(*connection, "INSERT INTO public.t VALUES (1)");
    const PgError::Fields error = failure(connection->query("INSERT INTO public.t VALUES ($1)", 1));
    EXPECT_EQ(error.outcome, Outcome::refused);
    EXPECT_EQ(error.sqlstate, "23505");
    EXPECT_EQ(error.detail, "Key (id)=(1) already exists.");
    EXPECT_EQ(error.database, database_);
    EXPECT_TRUE(connection->is_alive());
    EXPECT_EQ(query(*connection, "SELECT count(*) FROM public.t").as<int>(0, 0), 1);
}

TEST_F(ConnectionTest, SaysNotSentWhenTheSessionWasGoneBefore) {
    const PgConnection::Ptr connection = connect(Side::blue);
    server(Side::blue).execute("SELECT pg_terminate_backend(" + std::to_string(connection->backend_pid()) + ")");
    await(connection->wait_until_lost());
    const PgError::Fields error = failure(connection->query("SELECT 1"));
    EXPECT_EQ(error.outcome, Outcome::not_sent);
}

TEST_F(ConnectionTest, SeesALossThatNobodyHasLookedForBeforeItSends) {
    const PgConnection::Ptr connection = connect(Side::blue);
    server(Side::blue).execute("SELECT pg_terminate_backend(" + std::to_string(connection->backend_pid()) + ")");
    eventually(Side::blue,
               "SELECT count(*) FROM pg_stat_activity WHERE pid = " + std::to_string(connection->backend_pid()), "0");
    connection->send("SELECT 1");
    EXPECT_EQ(failure(connection->receive()).outcome, Outcome::not_sent);
}

TEST_F(ConnectionTest, SaysUnknownWhenTheSessionEndsInTheMiddle) {
    const PgConnection::Ptr connection = connect(Side::blue);
    const std::string end = "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)";
    EXPECT_EQ(failure(connection->query(end)).outcome, Outcome::unknown);
    EXPECT_FALSE(connection->is_alive());
}

TEST_F(ConnectionTest, GivesUpAtTheDeadlineAndEndsTheStatement) {
    const PgConnection::Ptr connection = connect(Side::blue);
    const std::string pid = std::to_string(connection->backend_pid());
    const PgError::Fields error =
        failure(connection->query_by(Clock::now() + Milliseconds(50), "SELECT pg_sleep(600)"));
    EXPECT_EQ(error.outcome, Outcome::unknown);
    EXPECT_TRUE(error.timed_out);
    eventually(Side::blue, "SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid, "0");
}

TEST_F(ConnectionTest, ACancelledCallEndsTheStatement) {
    const PgConnection::Ptr connection = connect(Side::blue);
    const std::string pid = std::to_string(connection->backend_pid());
    asio::cancellation_signal cancel;
    std::exception_ptr outcome;
    bool ended = false;
    asio::co_spawn(context_, connection->query("SELECT pg_sleep(600)"),
                   asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr error, const PgResult&) {
                       outcome = error;
                       ended = true;
                   }));
    context_.restart();
    context_.poll();
    // A cancel request that overtakes its statement cancels nothing.
    eventually(Side::blue, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid = " + pid, "1");
    cancel.emit(asio::cancellation_type::terminal);
    context_.restart();
    while (!ended) context_.run_one();
    ASSERT_TRUE(outcome);
    try {
        std::rethrow_exception(outcome);
    } catch (const boost::system::system_error& error) {
        EXPECT_EQ(error.code(), asio::error::operation_aborted);
    }
    EXPECT_FALSE(connection->is_alive());
    eventually(Side::blue, "SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid, "0");
}

TEST_F(ConnectionTest, EachStatementOfAPipelineIsATransactionOfItsOwn) {
    const PgConnection::Ptr connection = connect(Side::blue);
    query(*connection, "CREATE TABLE public.t (id int PRIMARY KEY)");
    await(connection->prepare("put", "INSERT INTO public.t VALUES ($1)"));
    connection->send_prepared("put", 1);
    connection->send_prepared("put", 1);
    connection->send_prepared("put", 2);
    EXPECT_EQ(await(connection->receive()).affected(), 1);
    EXPECT_EQ(failure(connection->receive()).sqlstate, "23505");
    EXPECT_EQ(await(connection->receive()).affected(), 1);
    EXPECT_EQ(connection->outstanding(), 0U);
    EXPECT_EQ(query(*connection, "SELECT count(*) FROM public.t").as<int>(0, 0), 2);
}

TEST_F(ConnectionTest, AFailureAtCommitIsTheStatementsFailureInAPipelineToo) {
    const PgConnection::Ptr connection = connect(Side::blue);
    query(*connection, "CREATE TABLE public.t (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    connection->send("INSERT INTO public.t VALUES (1), (1)");
    const PgError::Fields error = failure(connection->receive());
    EXPECT_EQ(error.outcome, Outcome::refused);
    EXPECT_EQ(error.sqlstate, "23505");
}

TEST_F(ConnectionTest, TheFirstAnswerOfAPipelineComesBeforeTheSecond) {
    const PgConnection::Ptr connection = connect(Side::blue);
    const PgConnection::Ptr helper = connect(Side::blue);
    await(helper->query("SELECT pg_advisory_lock(7)"));
    connection->send("SELECT 'first'");
    connection->send("SELECT 'second' FROM pg_advisory_lock(7)");
    EXPECT_EQ(await(connection->receive()).get(0, 0), "first");
    await(helper->query("SELECT pg_advisory_unlock(7)"));
    EXPECT_EQ(await(connection->receive()).get(0, 0), "second");
}

TEST_F(ConnectionTest, RunsAManyMegabyteStatementAndAnswer) {
    const PgConnection::Ptr connection = connect(Side::blue);
    const std::string big(20'000'000, 'x');
    const PgResult result = await(connection->query("SELECT $1::text", big));
    EXPECT_EQ(result.get(0, 0).size(), big.size());
}

TEST_F(ConnectionTest, IsFreeOfTheRolesAndTheDatabasesSettings) {
    server(Side::blue)
        .execute("ALTER DATABASE " + database_ + " SET default_transaction_read_only = on; ALTER DATABASE " +
                 database_ + " SET statement_timeout = '1ms'; ALTER DATABASE " + database_ +
                 " SET search_path = nowhere");
    const PgConnection::Ptr connection = connect(Side::blue);
    query(*connection, "CREATE TABLE public.t AS SELECT pg_sleep(0.05)::text");
    EXPECT_EQ(query(*connection, "SHOW search_path").get(0, 0), "pg_catalog");
}

TEST_F(ConnectionTest, ARefusedConnectionSaysWhyAndHoldsNoPassword) {
    ClusterSettings settings = cluster_->settings();
    settings.sides[0].url = server(Side::blue).conninfo("") + " user=nobody_here password=s3cret";
    const Cluster wrong(context_.get_executor(), settings);
    const PgError::Fields error = failure(wrong.connect(Side::blue, database_));
    EXPECT_EQ(error.outcome, Outcome::not_sent);
    EXPECT_NE(error.message.find("nobody_here"), std::string::npos) << error.message;
    EXPECT_EQ(error.message.find("s3cret"), std::string::npos) << error.message;
}

TEST_F(ConnectionTest, AFrozenServerDoesNotHoldAConnectBeyondItsDeadline) {
    server(Side::green).freeze();
    const PgError::Fields error =
        failure(cluster_->connect_by(Clock::now() + Milliseconds(100), Side::green, journal_database_));
    server(Side::green).thaw();
    EXPECT_EQ(error.outcome, Outcome::not_sent);
    EXPECT_TRUE(error.timed_out);
}

}  // namespace
}  // namespace turnout::control::test
