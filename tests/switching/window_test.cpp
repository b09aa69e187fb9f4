// The whole control path on two real servers, without the proxy: switches forth and back under writers, and the account
// at the end.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <libpq-fe.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "control/catalog.hpp"
#include "control/switch_report.hpp"
#include "tests/switching/rig.hpp"

namespace turnout::control::test {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

/// The middle of the windows' times by phase, for people.
class Times {
  public:
    void add(const SwitchReport& report) {
        if (report.window) all_["window"].push_back(*report.window);
        for (const TimedPhase& phase : report.phases) all_[std::string(phase.name)].push_back(phase.took);
        all_["settle"].push_back(report.settle);
    }
    ~Times() {
        for (const auto& [phase, times] : all_) {
            fmt::print("{:<10} p50 {:>7} us   p90 {:>7} us   max {:>7} us\n", phase, percentile(times, 50).count(),
                       percentile(times, 90).count(), percentile(times, 100).count());
        }
    }

  private:
    std::map<std::string, std::vector<Microseconds>> all_;
};

/// How often to switch: more than the test needs, to see the times.
int rounds(int usual) {
    const char* wanted = std::getenv("TURNOUT_SWITCHES");
    return wanted != nullptr ? std::atoi(wanted) : usual;
}

TEST_F(SwitchingTest, forth_and_back_under_writers_loses_and_doubles_nothing) {
    Times times;
    for (int i = 0; i < rounds(10); ++i) {
        const Side from = active();
        const SwitchReport report = change();
        ASSERT_EQ(name(report.outcome), from == Side::blue ? "switched" : "rolled_back") << to_text(report);
        EXPECT_EQ(report.generation, i + 2);
        EXPECT_EQ(active(), other(from));
        EXPECT_TRUE(report.left_over.empty()) << to_text(report);
        EXPECT_EQ(report.stray_transactions, 0U) << to_text(report);
        EXPECT_EQ(process_->state_file.load(), (ServedState{i + 2, {}}));
        times.add(report);
    }
    audit();
}

/// All would wait for what its worker has not applied. Here that waits for a lock, which goes only when the gate has
/// been kept open for a while.
TEST_F(SwitchingTest, the_gate_is_not_closed_while_a_stream_has_much_to_carry) {
    SwitchOptions patient = options();
    patient.patience.lull = 60s;
    const std::unique_ptr<PGconn, decltype(&PQfinish)> locker(PQconnectdb(server(Side::green).conninfo("app").c_str()),
                                                              &PQfinish);
    const auto say = [&](const char* sql) {
        const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(locker.get(), sql), &PQclear);
        EXPECT_EQ(PQresultStatus(result.get()), PGRES_COMMAND_OK) << PQerrorMessage(locker.get());
    };
    std::atomic<bool> over = false;
    std::thread unlocker;
    const SwitchReport report = process_->thread.await(
        process_->switcher.run(patient, [&](const std::string& phase, const std::vector<TimedPhase>&) {
            if (phase != "intent" || unlocker.joinable()) return;
            say("BEGIN; LOCK TABLE ledger IN SHARE MODE");
            const int unwanted = process_->plane.lulls_unwanted;
            unlocker = std::thread([&, unwanted] {
                while (!over && process_->plane.lulls_unwanted < unwanted + 3) std::this_thread::yield();
                say("ROLLBACK");
            });
        }));
    over = true;
    if (unlocker.joinable()) unlocker.join();
    EXPECT_EQ(name(report.outcome), "switched") << to_text(report);
    EXPECT_EQ(report.attempts, 1) << to_text(report);
    audit();
}

TEST_F(SwitchingTest, a_standby_that_does_not_end_planning_what_the_sessions_use_keeps_nobody) {
    process_->plane.plans = false;
    const SwitchReport report = change();
    EXPECT_EQ(name(report.outcome), "switched") << to_text(report);
    EXPECT_GT(process_->plane.asked_to_plan, 0);
    audit();
}

/// Somebody makes a table while the schemas are being compared, or between that and the switch.
TEST_F(SwitchingTest, what_is_changed_behind_the_comparison_of_the_schemas_makes_it_refuse) {
    SwitchOptions wanted = options();
    wanted.schema_marks = process_->thread.await(read_schema_marks(process_->cluster, Side::blue));
    server(Side::blue).execute("CREATE TABLE made_meanwhile (id int PRIMARY KEY)", "app");
    const SwitchReport report = process_->thread.await(process_->switcher.run(wanted, {}));
    EXPECT_EQ(name(report.outcome), "refused") << to_text(report);
    EXPECT_EQ(active(), Side::blue);
    audit();
}

/// The last moment before the gate closes: everything was read, nothing will be read again that could tell.
class JustBeforeTheGate : public SwitchingTest {
  protected:
    SwitchReport change_with(const std::string& sql) {
        SwitchOptions patient = options();
        patient.max_pause = Milliseconds(5000);  // a missed attempt would be followed by one that takes it as given
        return process_->thread.await(
            process_->switcher.run(patient, [this, sql](const std::string& phase, const auto&) {
                if (phase == "intent") server(Side::blue).execute(sql, "app");
            }));
    }
};

TEST_F(JustBeforeTheGate, a_change_of_the_schema_makes_it_refuse) {
    const SwitchReport report = change_with(
        "BEGIN READ WRITE; CREATE ROLE maker; GRANT CREATE ON SCHEMA public TO maker; SET LOCAL ROLE maker; "
        "CREATE TABLE public.made_meanwhile (id int PRIMARY KEY); COMMIT");
    EXPECT_EQ(name(report.outcome), "refused") << to_text(report);
    ASSERT_EQ(report.problems.size(), 1U);
    EXPECT_EQ(report.problems[0], "app: the schema on blue was changed");
    EXPECT_EQ(active(), Side::blue);
    audit();
}

TEST_F(JustBeforeTheGate, a_right_that_was_granted_makes_it_refuse) {
    for (const char* grant : {"GRANT SELECT ON ledger TO pg_monitor", "GRANT SELECT (n) ON ledger TO pg_monitor",
                              "GRANT CREATE ON SCHEMA public TO pg_monitor",
                              "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor"}) {
        const SwitchReport report = change_with(std::string("BEGIN READ WRITE; ") + grant + "; COMMIT");
        EXPECT_EQ(name(report.outcome), "refused") << grant << '\n' << to_text(report);
        EXPECT_EQ(report.problems, std::vector<std::string>{"app: the schema on blue was changed"}) << grant;
    }
    EXPECT_EQ(active(), Side::blue);
    audit();
}

TEST_F(JustBeforeTheGate, temporary_tables_and_what_is_undone_again_do_not) {
    const SwitchReport report = change_with(
        "BEGIN READ WRITE; CREATE TEMPORARY TABLE scratch (id serial PRIMARY KEY); DROP TABLE scratch; COMMIT; "
        "BEGIN READ WRITE; CREATE TABLE never (id int); ROLLBACK; "
        "BEGIN READ WRITE; CREATE TABLE gone (id int); DROP TABLE gone; COMMIT");
    EXPECT_EQ(name(report.outcome), "switched") << to_text(report);
    audit();
}

/// It ended in a ReadyForQuery that said `I`, and exists on the old side only.
TEST_F(JustBeforeTheGate, a_prepared_transaction_ends_the_attempt) {
    std::vector<std::string> todo{
        "COMMIT PREPARED 'undecided'",
        "BEGIN READ WRITE; INSERT INTO ledger (writer, n) VALUES (1000, 1); PREPARE TRANSACTION 'undecided'"};
    SwitchOptions patient = options();
    patient.max_pause = Milliseconds(5000);
    std::string behind_a_window;
    const auto tell = [&](const std::string& phase, const std::vector<TimedPhase>& window) {
        if (!window.empty()) behind_a_window += std::string(window.front().name) + ", then " + phase + "; ";
        if (phase != "intent" && phase != "back_off") return;
        if (todo.empty() || (phase == "intent") != (todo.size() == 2)) return;
        server(Side::blue).execute(todo.back(), "app");
        todo.pop_back();
    };
    const SwitchReport report = process_->thread.await(process_->switcher.run(patient, tell));
    EXPECT_EQ(name(report.outcome), "switched") << to_text(report);
    ASSERT_FALSE(report.missed.empty());
    EXPECT_THAT(report.missed[0].why, HasSubstr("prepared transactions cannot be moved"));
    EXPECT_THAT(behind_a_window, StartsWith("drain, then retreat; ")) << "the phases of the missed window are told";
    EXPECT_THAT(behind_a_window, EndsWith("drain, then settle; "));
    EXPECT_EQ(server(Side::green).value("SELECT count(*) FROM ledger WHERE writer = 1000", "app"), "1");
    audit();
}

/// Calls `act` in each attempt, once, behind the closed gate and before the barrier is read.
StepWatch before_the_barrier(std::function<void()> act) {
    return [act = std::move(act), closed = false](const SwitchStep& step, StepMoment moment) mutable {
        if (moment != StepMoment::before) return;
        if (std::holds_alternative<step::CloseGate>(step)) closed = true;
        const bool barrier =
            std::holds_alternative<step::ReadFacts>(step) || std::holds_alternative<step::CatchUp>(step);
        if (barrier && std::exchange(closed, false)) act();
    };
}

/// With synchronous_commit off a commit is acknowledged long before it is flushed, and a walsender sends what is
/// flushed. It is made behind the closed gate, where nobody else's commit flushes it.
TEST_F(SwitchingTest, what_was_acknowledged_before_it_was_flushed_is_carried) {
    server(Side::blue).execute("ALTER SYSTEM SET wal_writer_delay = '10s'");
    server(Side::blue).execute("SELECT pg_reload_conf()");
    int committed = 0;
    const StepWatch commit = before_the_barrier([&] {
        server(Side::blue)
            .execute(fmt::format(
                         "BEGIN READ WRITE; SET LOCAL synchronous_commit = off; INSERT INTO ledger (writer, n) VALUES "
                         "(1000, {}); COMMIT",
                         ++committed),
                     "app");
    });
    SwitchOptions patient = options();
    patient.max_pause = Milliseconds(5000);
    Switcher switcher(process_->cluster, process_->plane, process_->state_file, commit);
    const SwitchReport report = process_->thread.await(switcher.run(patient, {}));
    EXPECT_EQ(name(report.outcome), "switched") << to_text(report);
    EXPECT_GT(committed, 0);
    EXPECT_EQ(server(Side::green).value("SELECT count(*) FROM ledger WHERE writer = 1000", "app"),
              std::to_string(committed));
    audit();
}

/// A server whose WAL writer never wakes: what is committed with synchronous_commit off is flushed by nobody's leave,
/// but along with a commit that is.
class NobodyFlushes {
  public:
    explicit NobodyFlushes(const support::Cluster& server)
        : writer_(std::stoi(server.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"))) {
        ::kill(writer_, SIGSTOP);
    }
    ~NobodyFlushes() { ::kill(writer_, SIGCONT); }
    NobodyFlushes(const NobodyFlushes&) = delete;
    NobodyFlushes& operator=(const NobodyFlushes&) = delete;

  private:
    pid_t writer_;
};

/// Whoever ends just now takes the processor that the opening wants.
TEST_F(SwitchingTest, the_disabled_streams_workers_end_behind_the_opening) {
    std::string waits_for;
    const StepWatch watch = [&](const SwitchStep& step, StepMoment moment) {
        if (moment != StepMoment::before || !std::holds_alternative<step::OpenGate>(step)) return;
        const auto patience = Clock::now() + 1s;
        while (waits_for != "relation" && Clock::now() < patience) {
            waits_for = server(Side::green)
                            .value(
                                "SELECT coalesce(max(wait_event), 'nobody') FROM pg_stat_activity WHERE "
                                "backend_type ~ '^logical replication (apply )?worker$' AND datname = 'app'");
        }
    };
    Switcher switcher(process_->cluster, process_->plane, process_->state_file, watch);
    const SwitchReport report = process_->thread.await(switcher.run(options(), {}));
    EXPECT_EQ(name(report.outcome), "switched") << to_text(report);
    EXPECT_TRUE(report.left_over.empty()) << to_text(report);
    EXPECT_EQ(waits_for, "relation");
    audit();
}

/// Control's role may not make event triggers (42501), as on a managed server: the whole mark is read behind the gate.
class WithoutEventTriggers : public JustBeforeTheGate {
  protected:
    WithoutEventTriggers() {
        for (const Side side : {Side::blue, Side::green}) {
            server(side).execute(
                "BEGIN READ WRITE; DROP FUNCTION turnout.note_schema_change() CASCADE; "
                "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
                "RAISE EXCEPTION 'permission denied' USING ERRCODE = 'insufficient_privilege'; END $$; "
                "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE FUNCTION') "
                "EXECUTE FUNCTION public.refuse(); COMMIT",
                "app");
        }
    }
    void TearDown() override {
        for (const Side side : {Side::blue, Side::green}) {
            EXPECT_EQ(server(side).value("SELECT string_agg(evtname, ',') FROM pg_event_trigger", "app"), "refuse");
        }
    }
};

TEST_F(WithoutEventTriggers, a_change_of_the_schema_makes_it_refuse_and_without_one_it_goes_forth_and_back) {
    const SwitchReport refused =
        change_with("BEGIN READ WRITE; CREATE TABLE public.made_meanwhile (id int PRIMARY KEY); COMMIT");
    EXPECT_EQ(name(refused.outcome), "refused") << to_text(refused);
    ASSERT_EQ(refused.problems.size(), 1U);
    EXPECT_EQ(refused.problems[0], "app: the schema on blue was changed");
    EXPECT_EQ(active(), Side::blue);
    server(Side::blue).execute("DROP TABLE public.made_meanwhile", "app");

    const SwitchReport forth = change_with("BEGIN READ WRITE; CREATE TABLE gone (id int); DROP TABLE gone; COMMIT");
    EXPECT_EQ(name(forth.outcome), "switched") << to_text(forth);
    const SwitchReport back = change();
    EXPECT_EQ(name(back.outcome), "rolled_back") << to_text(back);
    audit();
}

/// The marker's row is looked for while nobody waits: in the window what was caught up with may come before its answer.
TEST_F(SwitchingTest, a_marker_that_has_lost_its_row_is_noticed_before_the_gate_closes) {
    server(Side::blue).execute("DELETE FROM turnout.mark_blue", "app");
    bool looked = false;
    const StepWatch mend = [&](const SwitchStep& step, StepMoment moment) {
        if (moment != StepMoment::before) return;
        // The next attempt begins.
        if (looked && std::holds_alternative<step::Recheck>(step))
            server(Side::blue)
                .execute("BEGIN READ WRITE; INSERT INTO turnout.mark_blue VALUES (1, 0) ON CONFLICT DO NOTHING; COMMIT",
                         "app");
        looked = looked || std::holds_alternative<step::LookAtMoment>(step);
    };
    Switcher switcher(process_->cluster, process_->plane, process_->state_file, mend);
    const SwitchReport report = process_->thread.await(switcher.run(options(), {}));
    EXPECT_EQ(name(report.outcome), "switched") << to_text(report);
    ASSERT_FALSE(report.missed.empty());
    EXPECT_THAT(report.missed[0].why, HasSubstr("turnout.mark_blue has lost its row: run `turnout sync`"));
    EXPECT_EQ(report.missed[0].closed.count(), 0) << "the gate was never closed";
    audit();
}

/// As a process does that was stopped before a switch which another one has made since.
TEST_F(SwitchingTest, whoever_wakes_late_touches_nothing_of_a_side_that_was_left) {
    ASSERT_TRUE(change().window);
    const auto fences = [this] {
        return server(Side::blue).value("SELECT string_agg(setconfig::text, ' ') FROM pg_db_role_setting");
    };
    const std::string fenced = fences();
    EXPECT_NE(fenced.find("default_transaction_read_only=on"), std::string::npos) << fenced;

    const reply::Settled late = process_->thread.await(process_->switcher.settle(Side::blue, 1, Clock::now() + 30s));
    ASSERT_EQ(late.left.size(), 1U);
    EXPECT_NE(late.left[0].find("nothing was touched"), std::string::npos) << late.left[0];
    EXPECT_EQ(fences(), fenced) << "two writable sides";

    SwitchOptions replaced = options();
    replaced.in_charge = [] { return false; };
    const SwitchReport report = process_->thread.await(process_->switcher.run(replaced, {}));
    EXPECT_EQ(report.outcome, SwitchOutcome::refused) << to_text(report);
    EXPECT_NE(report.message.find("lock on green"), std::string::npos) << report.message;
    EXPECT_EQ(active(), Side::green);
    audit();
}

/// The streams are turned round behind the mark on the side that was left, which is refused here for a while.
TEST_F(SwitchingTest, the_next_begins_when_the_last_one_has_settled) {
    server(Side::blue)
        .execute(
            "CREATE FUNCTION turnout.not_yet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not yet'; "
            "END "
            "$$; CREATE TRIGGER not_yet BEFORE INSERT OR UPDATE ON turnout.journal FOR EACH ROW WHEN (NEW.state = "
            "'retired') EXECUTE FUNCTION turnout.not_yet()");
    SwitchOptions hasty = options();
    hasty.patience.settle = Milliseconds(500);
    const SwitchReport forth = process_->thread.await(process_->switcher.run(hasty, {}));
    EXPECT_EQ(name(forth.outcome), "switched") << to_text(forth);
    EXPECT_FALSE(forth.left_over.empty()) << "it has settled all the same";
    server(Side::blue).execute("DROP FUNCTION turnout.not_yet() CASCADE");
    const SwitchReport back = change();
    EXPECT_EQ(name(back.outcome), "rolled_back") << to_text(back);
    EXPECT_TRUE(back.left_over.empty()) << to_text(back);
    audit();
}

class TwoDatabases : public SwitchingTest {
  protected:
    TwoDatabases() : SwitchingTest({"app", "shop"}) {}
};

/// While the standby has applied what it has not flushed, it tells of the last transaction that it applied and of
/// nothing behind it. So what no stream carries, behind that, would be waited for until somebody flushes: in every
/// database by itself.
TEST_F(TwoDatabases, wait_for_nobody_to_flush_what_they_have_caught_up_with) {
    const NobodyFlushes blue(server(Side::blue));
    const NobodyFlushes green(server(Side::green));
    int committed = 0;
    const StepWatch commit = before_the_barrier([&] {
        ++committed;
        for (const std::string& database : databases_) {
            server(Side::blue)
                .execute(
                    fmt::format("BEGIN READ WRITE; SET LOCAL synchronous_commit = off; INSERT INTO ledger (writer, "
                                "n) VALUES (1000, {}); COMMIT",
                                committed),
                    database);
        }
        server(Side::blue).execute("SELECT pg_logical_emit_message(true, 'nobody', 'carries this')");
    });
    SwitchOptions patient = options();
    patient.max_pause = Milliseconds(60'000);
    patient.deadline = Milliseconds(90'000);
    Switcher switcher(process_->cluster, process_->plane, process_->state_file, commit);
    const SwitchReport report = process_->thread.await(switcher.run(patient, {}));
    EXPECT_EQ(name(report.outcome), "switched") << to_text(report);
    EXPECT_TRUE(report.missed.empty()) << to_text(report);
    for (const std::string& database : databases_) {
        EXPECT_EQ(server(Side::green).value("SELECT count(*) FROM ledger WHERE writer = 1000", database),
                  std::to_string(committed));
    }
    audit();
}

TEST_F(TwoDatabases, switch_together) {
    Times times;
    for (int i = 0; i < rounds(4); ++i) {
        const SwitchReport report = change();
        ASSERT_TRUE(report.window) << to_text(report);
        times.add(report);
    }
    audit();
}

}  // namespace
}  // namespace turnout::control::test
