// What is shown, in its three forms; what reports become as answers.
#include "control/show.hpp"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "control/command.hpp"
#include "control/report.hpp"

namespace turnout::control {
namespace {

std::vector<SessionView> some_sessions() {
    SessionView idle{.id = 1, .user = "app", .database = "shop", .state = "idle", .client_pid = 11, .server_pid = 21};
    SessionView held = idle;
    held.id = 2;
    held.state = "held";
    SessionView pinned = idle;
    pinned.id = 3;
    pinned.state = "idle in transaction";
    pinned.movable = Movable::pinned;
    pinned.reason = "temporary table public.t: DROP it";
    pinned.connected = Microseconds(1'500'000);
    return {idle, held, pinned};
}

Config some_config() {
    return parse_config(
        "[side.blue]\nurl=\"host=b\"\n[side.green]\nurl=\"host=g port=5417\"\n[switch]\ndatabases=[\"shop\"]\n", "t");
}

void expect_columns(const Answer& answer, Topic topic) {
    Command command;
    command.topic = topic;
    const auto columns = columns_of(command);
    ASSERT_EQ(answer.table.columns.size(), columns.size());
    for (std::size_t i = 0; i < columns.size(); ++i) EXPECT_EQ(answer.table.columns[i].name, columns[i].name);
    for (const Row& row : answer.table.rows) EXPECT_EQ(row.size(), columns.size());
}

TEST(Show, EveryListHasTheColumnsThatDescribeTold) {
    const auto sessions = some_sessions();
    const Config config = some_config();
    expect_columns(show_sessions(sessions), Topic::sessions);
    expect_columns(show_lag({StreamLag{.database = "shop", .streaming = true, .bytes = 5}}), Topic::lag);
    expect_columns(show_config(config), Topic::config);
    expect_columns(show_help(), Topic::help);
    expect_columns(show_version("1"), Topic::version);
    expect_columns(show_replication({StreamView{.stream = {.database = "shop"}, .tables = 2, .tables_ready = 1},
                                     StreamView{.stream = {.database = "shop"}, .lag = StreamLag{.bytes = 7}}}),
                   Topic::replication);
    expect_columns(show_history({ReportSummary{.id = "a", .verb = "switch", .window_us = 1180}, ReportSummary{}}),
                   Topic::history);
    expect_columns(show_status({}), Topic::status);
}

TEST(Show, SessionsSayWhetherTheyMove) {
    const auto array = show_sessions(some_sessions()).json.as_array();
    ASSERT_EQ(array.size(), 3U);
    EXPECT_EQ(array[0].at("movable").as_string(), "now");
    EXPECT_EQ(array[2].at("movable").as_string(), "pinned");
    EXPECT_EQ(array[2].at("reason").as_string(), "temporary table public.t: DROP it");
    EXPECT_EQ(array[2].at("id").as_int64(), 3);
    EXPECT_EQ(array[2].at("tls").as_bool(), false);
    EXPECT_DOUBLE_EQ(array[2].at("connected_seconds").as_double(), 1.5);
}

TEST(Show, StatusTellsPhaseAndNextStep) {
    StatusFacts facts;
    facts.served = decision::Serve{Side::green, 4, false, true};
    facts.phase = LifePhase::switched;
    facts.lag = {StreamLag{.database = "shop", .bytes = 12}};
    const auto status = show_status(facts).json.as_object();
    EXPECT_EQ(status.at("active").as_string(), "green");
    EXPECT_EQ(status.at("standby").as_string(), "blue");
    EXPECT_EQ(status.at("generation").as_int64(), 4);
    EXPECT_EQ(status.at("phase").as_string(), "switched");
    EXPECT_TRUE(status.at("running").is_null());
    EXPECT_EQ(status.at("lag_bytes").at("shop").as_int64(), 12);
    EXPECT_EQ(status.at("next_step").as_string(), "turnout finish, or turnout rollback");

    StatusFacts nobody;
    nobody.phase = LifePhase::uncertain;
    nobody.reason = "green cannot be reached";
    nobody.hint = "start green";
    const auto uncertain = show_status(nobody).json.as_object();
    EXPECT_TRUE(uncertain.at("active").is_null());
    EXPECT_EQ(uncertain.at("reason").as_string(), "green cannot be reached");
    EXPECT_EQ(uncertain.at("next_step").as_string(), "start green");
}

TEST(Show, WhatToTypeNextIsInEveryForm) {
    Answer answer = object_answer({{"outcome", "switched"}}, "switched\n");
    add_next_steps(answer, next_steps(LifePhase::switched, false));
    EXPECT_EQ(answer.text, "switched\nnext: turnout verify | turnout rollback | turnout finish\n");
    EXPECT_EQ(answer.json.at("next_steps").as_array().at(1).as_string(), "turnout rollback");
    EXPECT_EQ(next_steps(LifePhase::synced, true), std::vector<std::string>{"turnout resume"});
    Answer refused = refusal("55000", "no");
    add_next_steps(refused, next_steps(LifePhase::synced, false));
    EXPECT_TRUE(refused.text.empty() && refused.json.is_null());
}

TEST(TableText, IsAlignedAndHasNoTrailingSpaces) {
    const Table table{{{"name"}, {"bytes", ColumnType::bigint}, {"note"}},
                      {{"app", "7", std::nullopt}, {"größer", "12345", "x"}}};
    EXPECT_EQ(table_text(table), "name    bytes  note\napp         7\ngrößer  12345  x\n");
}

TEST(Report, ACheckThatRefusesIsAnAnswerWithStatusOne) {
    PreflightReport report;
    report.findings = {{"wal_level", Severity::pass, "", {}, "blue: wal_level is logical", ""},
                       {"replica_identity",
                        Severity::refuse,
                        "shop",
                        {"public.a", "public.b"},
                        "tables without a replica identity",
                        "ALTER TABLE ... REPLICA IDENTITY FULL"}};
    const Answer answer = check_answer(report, PreflightStage::before_sync);
    EXPECT_EQ(answer.exit_status, ExitStatus::refused);
    EXPECT_FALSE(answer.failed());
    EXPECT_EQ(answer.table.rows.size(), 2U);
    EXPECT_EQ(answer.json.at("outcome").as_string(), "refused");
    EXPECT_EQ(answer.json.at("findings").as_array()[1].at("objects").as_array().size(), 2U);
    EXPECT_NE(answer.text.find("FAIL  replica_identity  shop: tables without a replica identity\n"
                               "                        objects: public.a, public.b\n"
                               "                        remedy:  ALTER TABLE"),
              std::string::npos)
        << answer.text;
    EXPECT_NE(answer.text.find("PASS  wal_level         blue: wal_level is logical\n"), std::string::npos)
        << answer.text;
    EXPECT_NE(answer.text.find("1 of 2 checks passed"), std::string::npos) << answer.text;

    const Answer refusal = preflight_refusal("SWITCH", report);
    EXPECT_EQ(refusal.sqlstate, "55000");
    EXPECT_EQ(refusal.message, "SWITCH is refused: 1 thing has to be mended first");
    EXPECT_NE(refusal.detail.find("public.a"), std::string::npos);
}

TEST(Report, OutcomesOfASwitchHaveTheirSqlstateAndExitStatus) {
    SwitchReport report;
    report.window = Microseconds(1180);
    const auto answer_of = [&report](SwitchOutcome outcome) {
        report.outcome = outcome;
        return switch_answer(report);
    };
    EXPECT_FALSE(answer_of(SwitchOutcome::switched).failed());
    EXPECT_EQ(answer_of(SwitchOutcome::switched).exit_status, ExitStatus::done);
    EXPECT_EQ(answer_of(SwitchOutcome::refused).sqlstate, "55000");
    EXPECT_EQ(answer_of(SwitchOutcome::given_up).sqlstate, "55P03");
    EXPECT_EQ(answer_of(SwitchOutcome::given_up).exit_status, ExitStatus::refused);
    EXPECT_EQ(answer_of(SwitchOutcome::uncertain).exit_status, ExitStatus::needs_person);
    report.cancelled = true;
    EXPECT_EQ(answer_of(SwitchOutcome::given_up).sqlstate, "57014");
    report.missed = {{3, "the standby did not catch up", {"database shop"}, Microseconds(100'000)}};
    EXPECT_EQ(answer_of(SwitchOutcome::given_up).detail, "attempt 3: the standby did not catch up (database shop)");
}

TEST(Report, SyncTellsItsProgress) {
    EXPECT_EQ(progress_line({.phase = "copy",
                             .database = "shop",
                             .done = 3,
                             .total = 10,
                             .bytes = 1'500'000,
                             .total_bytes = 3'000'000'000,
                             .rate = 2'000'000,
                             .eta = Milliseconds(1499'250)}),
              "copy shop: 3 of 10 tables, 1.5 MB of about 3.0 GB, 2.0 MB/s, 1500 s left");
    EXPECT_EQ(progress_line({.phase = "roles", .message = "making roles alike"}), "roles: making roles alike");
}

TEST(Report, LeftoversAreNamedWithTheirRemedyAndStatusOne) {
    DismantleReport report;
    report.done = {"removed slot s on blue"};
    EXPECT_EQ(dismantle_answer("aborted", report).exit_status, ExitStatus::done);
    report.leftovers = {{Side::green, "subscription turnout_to_green in shop", "DROP SUBSCRIPTION turnout_to_green"}};
    const Answer answer = dismantle_answer("aborted", report);
    EXPECT_EQ(answer.exit_status, ExitStatus::refused);
    EXPECT_NE(answer.text.find("left over on green: subscription turnout_to_green in shop; remove it: DROP"),
              std::string::npos);
}

TEST(Report, AServersRefusalKeepsItsSqlstateAnAbsentServerIs08001) {
    PgError::Fields fields;
    fields.outcome = Outcome::refused;
    fields.side = Side::green;
    fields.database = "shop";
    fields.sqlstate = "42501";
    fields.message = "permission denied";
    fields.hint = "GRANT it";
    const Answer refused = server_failure(PgError(fields));
    EXPECT_EQ(refused.sqlstate, "42501");
    EXPECT_EQ(refused.message, "green/shop: permission denied");
    EXPECT_EQ(refused.hint, "GRANT it");
    fields.outcome = Outcome::not_sent;
    fields.sqlstate.clear();
    EXPECT_EQ(server_failure(PgError(fields)).sqlstate, "08001");
}

}  // namespace
}  // namespace turnout::control
