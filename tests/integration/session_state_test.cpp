// What a session has set and prepared goes with it to the other server, and works there at its next word.
#include <gtest/gtest.h>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

class SessionState : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        pair_ =
            std::make_unique<Pair>(PairOptions{.schema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)"});
        pair_->blue().execute(
            "CREATE ROLE reporting LOGIN PASSWORD 'app''s password';"
            "ALTER ROLE reporting SET default_transaction_read_only = on;"
            "ALTER ROLE reporting SET work_mem = '9MB'");
        pair_->blue().execute(
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO reporting;"
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO reporting",
            "app");
        pair_->sync();
    }
    static void TearDownTestSuite() { pair_.reset(); }

    /// Of the server that answers now.
    static int major(const bench::Connection& session) {
        return static_cast<int>(bench::number(session.get(), "SHOW server_version_num") / 10000);
    }

    static std::string shown(const bench::Connection& session, const std::string& setting) {
        return bench::value(session.get(), "SHOW " + setting).value_or("(none)");
    }

    static std::unique_ptr<Pair> pair_;
};
std::unique_ptr<Pair> SessionState::pair_;

TEST_F(SessionState, NamedAndUnnamedStatementsAreExecutedAfterSwitchesThatTheSessionSleptThrough) {
    const bench::Connection session = pair_->connect();
    PGconn* raw = session.get();
    ASSERT_EQ(PQresultStatus(bench::Result{PQprepare(raw, "named", "SELECT $1::int + 1, version()", 0, nullptr)}.get()),
              PGRES_COMMAND_OK);
    ASSERT_EQ(PQresultStatus(bench::Result{PQprepare(raw, "", "SELECT $1::int * 2", 0, nullptr)}.get()),
              PGRES_COMMAND_OK);
    const char* argument = "20";
    for (int round = 0; round < 2; ++round) {
        pair_->change();
        // The unnamed one first: it lives until the next simple Query.
        const bench::Result unnamed{PQexecPrepared(raw, "", 1, &argument, nullptr, nullptr, 0)};
        ASSERT_EQ(PQresultStatus(unnamed.get()), PGRES_TUPLES_OK) << PQerrorMessage(raw);
        EXPECT_EQ(bench::field(unnamed, 0, 0), "40");
        const bench::Result named{PQexecPrepared(raw, "named", 1, &argument, nullptr, nullptr, 0)};
        ASSERT_EQ(PQresultStatus(named.get()), PGRES_TUPLES_OK) << PQerrorMessage(raw);
        EXPECT_EQ(bench::field(named, 0, 0), "21");
        EXPECT_NE(bench::field(named, 0, 1).find("PostgreSQL " + std::to_string(pair_->active().major())),
                  std::string_view::npos);
    }
}

TEST_F(SessionState, SettingsOfEveryKindAreTheSameOnTheOtherSide) {
    const bench::Connection session = bench::connect(
        bench::with(bench::with(pair_->conninfo(), "application_name", "at startup"), "options", "-c geqo=off"));
    bench::run(session.get(), "SET work_mem = '7MB'");
    bench::run(session.get(), "SET app.tenant_id = '42'");
    bench::run(session.get(), "SELECT set_config('app.learned_elsewhere', 'yes', false)");
    bench::run(session.get(), "SET TimeZone = 'Asia/Kathmandu'");
    bench::run(session.get(), "SET DateStyle = 'German'");
    bench::run(session.get(), "SET search_path = public, pg_catalog");
    bench::run(session.get(), "SET statement_timeout = '55s'");
    bench::run(session.get(),
               "BEGIN; SET LOCAL lock_timeout = '1s'; SET idle_in_transaction_session_timeout = '2s'; ROLLBACK");
    const std::vector<std::string> settings{"work_mem",
                                            "app.tenant_id",
                                            "app.learned_elsewhere",
                                            "TimeZone",
                                            "DateStyle",
                                            "search_path",
                                            "statement_timeout",
                                            "lock_timeout",
                                            "geqo",
                                            "idle_in_transaction_session_timeout",
                                            "application_name"};
    std::vector<std::string> before;
    for (const std::string& setting : settings) before.push_back(shown(session, setting));
    const int major_before = major(session);
    pair_->change();
    EXPECT_NE(major(session), major_before);
    for (std::size_t i = 0; i < settings.size(); ++i) EXPECT_EQ(shown(session, settings[i]), before[i]) << settings[i];
    bench::run(session.get(), "SET application_name = 'changed later'");
    pair_->change();
    EXPECT_EQ(shown(session, "application_name"), "changed later");
    EXPECT_STREQ(PQparameterStatus(session.get(), "application_name"), "changed later");
    bench::run(session.get(), "RESET application_name; RESET work_mem");
    EXPECT_EQ(shown(session, "application_name"), "at startup") << "what RESET returns to";
    EXPECT_EQ(shown(session, "work_mem"), "4MB");
}

TEST_F(SessionState, AReadOnlyRoleStaysReadOnlyAndOthersStayWritable) {
    const bench::Connection reader = bench::connect(pair_->turnout().conninfo("reporting", Pair::kPassword));
    const bench::Connection careful =
        bench::connect(bench::with(pair_->conninfo(), "options", "-c default_transaction_read_only=on"));
    const bench::Connection writer = pair_->connect();
    for (int round = 0; round < 3; ++round) {
        SCOPED_TRACE(round);
        for (const bench::Connection* session : {&reader, &careful}) {
            EXPECT_EQ(shown(*session, "default_transaction_read_only"), "on");
            const bench::Result refused{PQexec(session->get(), "INSERT INTO things (note) VALUES ('must not be')")};
            EXPECT_STREQ(PQresultErrorField(refused.get(), PG_DIAG_SQLSTATE), "25006");
        }
        EXPECT_EQ(shown(reader, "work_mem"), "9MB");
        EXPECT_EQ(shown(writer, "default_transaction_read_only"), "off");
        bench::run(writer.get(), "INSERT INTO things (note) VALUES ('may be')");
        const bench::Connection latecomer = pair_->connect();
        bench::run(latecomer.get(), "INSERT INTO things (note) VALUES ('may be')");
        pair_->change();
    }
    EXPECT_EQ(bench::number(writer.get(), "SELECT count(*) FROM things WHERE note = 'must not be'"), 0);
}

TEST_F(SessionState, TheCancelKeyOfTheFirstLoginWorksAfterAMove) {
    const bench::Connection session = pair_->connect();
    std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> cancel(PQgetCancel(session.get()), &PQfreeCancel);
    pair_->change();
    ASSERT_EQ(PQsendQuery(session.get(), "SELECT pg_sleep(601)"), 1);
    eventually(
        [&] {
            return pair_->active().value(
                       "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(601)%' AND "
                       "state = 'active' AND pid <> pg_backend_pid()") == "1";
        },
        "the statement at the new server");
    char error[256] = "";
    ASSERT_EQ(PQcancel(cancel.get(), error, sizeof error), 1) << error;
    const bench::Result result{PQgetResult(session.get())};
    EXPECT_STREQ(PQresultErrorField(result.get(), PG_DIAG_SQLSTATE), "57014");
}

TEST_F(SessionState, SequencesGoOnWhereTheyWere) {
    const bench::Connection session = pair_->connect();
    std::int64_t last = bench::number(session.get(), "INSERT INTO things (note) VALUES ('first') RETURNING id");
    for (int round = 0; round < 2; ++round) {
        pair_->change();
        const std::int64_t next =
            bench::number(session.get(), "INSERT INTO things (note) VALUES ('next') RETURNING id");
        EXPECT_GT(next, last);
        last = next;
    }
}

TEST_F(SessionState, ASessionInATransactionIsWaitedForAndSeesOneServerThroughout) {
    const bench::Connection session = pair_->connect();
    bench::run(session.get(), "BEGIN");
    const int before = major(session);
    bench::run(session.get(), "INSERT INTO things (note) VALUES ('across the switch')");
    bench::Program change(pair_->turnout().verb({&pair_->active() == &pair_->blue() ? "switch" : "rollback"}));
    eventually([&] { return pair_->turnout().status().at("phase").as_string() == "switching"; }, "the switch");
    EXPECT_EQ(major(session), before);
    bench::run(session.get(), "COMMIT");
    const bench::Exit exit = change.wait();
    EXPECT_EQ(exit.status, 0) << exit.err << exit.out;
    EXPECT_NE(major(session), before);
    EXPECT_EQ(bench::number(session.get(), "SELECT count(*) FROM things WHERE note = 'across the switch'"), 1);
}

}  // namespace
}  // namespace turnout::integration
