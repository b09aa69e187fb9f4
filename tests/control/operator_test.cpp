// Rights on the admin socket, SET, the schema of the configuration, progress for people, reports as files.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "control/command.hpp"
#include "control/config_schema.hpp"
#include "control/config_table.hpp"
#include "control/console_rights.hpp"
#include "control/progress_printer.hpp"
#include "control/report_page.hpp"
#include "control/report_store.hpp"
#include "control/situation.hpp"
#include "control/switch_record.hpp"

namespace turnout::control {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

// -------------------------------------------------------------------------------------------------------------- rights

TEST(Rights, TheOwnerMayDoEverythingUnlessItComesUnderANameThatOnlyLooks) {
    const AdminUsers users{{"dba", "both"}, {"exporter", "both"}};
    EXPECT_EQ(rights(users, true, "", "turnout"), Rights::admin);
    EXPECT_EQ(rights(users, true, "", "dba"), Rights::admin);
    EXPECT_EQ(rights(users, true, "", "both"), Rights::admin);
    EXPECT_EQ(rights(users, true, "", "exporter"), Rights::stats);
    EXPECT_EQ(rights({}, true, "", "anybody"), Rights::admin);
}

TEST(Rights, OthersComeUnderTheirOwnNameAndIfListed) {
    const AdminUsers users{{"dba"}, {"exporter"}};
    EXPECT_EQ(rights(users, false, "dba", "dba"), Rights::admin);
    EXPECT_EQ(rights(users, false, "exporter", "exporter"), Rights::stats);
    EXPECT_EQ(rights(users, false, "exporter", "dba"), std::nullopt) << "a name of somebody else";
    EXPECT_EQ(rights(users, false, "mallory", "mallory"), std::nullopt) << "not listed";
    EXPECT_EQ(rights(users, false, "", ""), std::nullopt) << "a user without a name";
    EXPECT_EQ(rights({}, false, "dba", "dba"), std::nullopt);
}

Command only(const std::string& text) {
    const ParsedCommands parsed = parse_commands(text);
    EXPECT_TRUE(parsed.has_value() && parsed->size() == 1) << text;
    return parsed ? parsed->at(0) : Command{};
}

TEST(Rights, WhoOnlyLooksMayShowAndSetWhatDriversSet) {
    for (const char* text : {"SHOW STATS", "SHOW CONFIG", "SHOW HISTORY", "SET extra_float_digits = 3"})
        EXPECT_TRUE(only_looks(only(text))) << text;
    for (const VerbDescription& verb : verb_descriptions()) {
        if (verb.verb == Verb::show || verb.verb == Verb::set) continue;
        Command command;
        command.verb = verb.verb;
        EXPECT_FALSE(only_looks(command)) << verb.words;
    }
    EXPECT_FALSE(only_looks(only("SET switch.max_pause = '1s'")));
    EXPECT_FALSE(only_looks(only("SHOW PREFLIGHT")));
}

// ------------------------------------------------------------------------------------------------------------ commands

TEST(Commands, OperandsAreTakenAsWritten) {
    EXPECT_EQ(only("DISABLE \"My Shop\"").operand, "My Shop");
    EXPECT_EQ(only("pause app").operand, "app");
    EXPECT_EQ(only("PAUSE AS TEXT").operand, "");
    EXPECT_EQ(only("KILL_CLIENT 12").operand, "12");
    EXPECT_EQ(only("SET Switch.Max_Pause TO '50ms'").operand, "switch.max_pause");
    EXPECT_EQ(only("SET switch.max_pause = 50ms").value, "50ms");
    EXPECT_TRUE(only("SWITCH DRY_RUN").options.dry_run);
    EXPECT_TRUE(only("SHUTDOWN WAIT_FOR_CLIENTS").options.wait_for_clients);
    EXPECT_FALSE(parse_commands("DISABLE").has_value());
    EXPECT_NE(parse_commands("KILL_CLIENT").error().hint.find("SHOW SESSIONS"), std::string::npos);
}

// ------------------------------------------------------------------------------------------------------------- SET

Config some_config() {
    return parse_config(
        "[side.blue]\nurl=\"host=b password=geheim\"\n[side.green]\nurl=\"host=g\"\n[switch]\ndatabases=[\"shop\"]\n",
        "turnout.toml");
}

std::string refused(const std::string& key, const std::string& value) {
    try {
        changed(some_config(), key, value);
        return "taken";
    } catch (const ConfigRefused& error) {
        return error.what();
    }
}

TEST(Set, ChangesOneKeyThatReloadCouldChange) {
    EXPECT_EQ(changed(some_config(), "switch.max_pause", "50ms").switching.max_pause, Milliseconds(50));
    EXPECT_EQ(changed(some_config(), "log.level", "debug").log.level, LogLevel::debug);
    EXPECT_EQ(changed(some_config(), "proxy.max_client_connections", "7").data_plane.max_client_connections, 7U);
    EXPECT_EQ(changed(some_config(), "auth.superusers_remote", "true").data_plane.superusers_remote, true);
    EXPECT_EQ(changed(some_config(), "log.file", "/tmp/a \"b\" \\c").log.file, "/tmp/a \"b\" \\c");
}

TEST(Set, RefusesWithTheReason) {
    EXPECT_NE(refused("switch.max_pose", "1s").find("there is no key 'switch.max_pose'"), std::string::npos);
    EXPECT_NE(refused("proxy.workers", "2").find("changes with a restart only"), std::string::npos);
    EXPECT_NE(refused("switch.max_pause", "soon").find("must be a duration"), std::string::npos);
    EXPECT_NE(refused("proxy.max_client_connections", "many").find("must be a whole number"), std::string::npos);
    EXPECT_NE(refused("proxy.max_client_connections", "1\nx = 2").find("must be"), std::string::npos);
    EXPECT_NE(refused("switch.max_pause", "2h").find("'deadline'"), std::string::npos) << "checked as a whole";
}

// -------------------------------------------------------------------------------------------------------------- schema

const json::object& section_of(const json::value& schema, std::string_view path) {
    const json::value* at = &schema;
    while (!path.empty()) {
        const std::size_t dot = path.find('.');
        at = &at->at("properties").at(path.substr(0, dot));
        path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    }
    return at->as_object();
}

/// One value that the schema allows, and one that it does not, as TOML.
std::pair<std::string, std::string> examples(const json::object& schema) {
    if (const json::value* words = schema.if_contains("enum"))
        return {json::serialize(words->as_array().back()), "\"no such word\""};
    const std::string_view type = schema.at("type").as_string();
    if (type == "boolean") return {"true", "\"yes\""};
    if (type == "integer")
        return {json::serialize(schema.at("maximum")),
                std::to_string(schema.at("maximum").to_number<std::uint64_t>() + 1)};
    if (type == "array") return {"[\"127.0.0.1:7000\"]", "[1]"};
    if (schema.contains("pattern")) return {"\"2min\"", "\"2 fortnights\""};
    return {"\"/some/where\"", "7"};
}

TEST(Schema, AllowsAndRefusesWhatTheParserDoes) {
    const json::value schema = json::parse(config_schema());
    std::size_t keys = 0;
    for (const ConfigKey& key : config_keys()) {
        SCOPED_TRACE(key.path());
        ++keys;
        const json::object& section = section_of(schema, key.section);
        EXPECT_EQ(section.at("additionalProperties"), false);
        const json::object& described = section.at("properties").at(key.name).as_object();
        EXPECT_EQ(described.at("description").as_string(), key.description);
        const json::value* required = section.if_contains("required");
        const bool must = required != nullptr && std::count(required->as_array().begin(), required->as_array().end(),
                                                            json::value(key.name)) == 1;
        EXPECT_EQ(must, key.default_toml.empty());
        const auto [right, wrong] = examples(described);
        const auto complaints = [&key](const std::string& value) {
            try {
                parse_config("[" + std::string(key.section) + "]\n" + std::string(key.name) + " = " + value + "\n",
                             "t");
            } catch (const ConfigRefused& refusal) {
                // What is missing besides, and what does not fit together, is no matter of one key's type.
                const std::string must_be =
                    "'" + std::string(key.name) + "' in [" + std::string(key.section) + "] must be ";
                return std::string(refusal.what()).find(must_be) != std::string::npos;
            }
            return false;
        };
        EXPECT_TRUE(complaints(wrong)) << wrong;
        if (key.path() != "admin.socket") {
            EXPECT_FALSE(complaints(right)) << right;
        }
    }
    EXPECT_EQ(keys, config_rows(some_config()).size()) << "SHOW CONFIG has the same keys";
}

// ------------------------------------------------------------------------------------------------------------ progress

TEST(Situation, NamesTheOldestTransactionAndWhoIsPinned) {
    EXPECT_EQ(sessions_line({}), "0 sessions, 0 in transaction, 0 pinned");
    SessionView busy{.id = 1, .user = "app", .database = "shop", .state = "idle in transaction"};
    busy.movable = Movable::boundary;
    busy.transaction = Microseconds(200'000);
    SessionView older = busy;
    older.id = 2;
    older.transaction = Microseconds(3'200'000);
    SessionView pinned{.id = 5, .user = "app", .database = "shop", .state = "idle"};
    pinned.movable = Movable::pinned;
    pinned.reason = "has 1 temporary relation";
    EXPECT_EQ(
        sessions_line({busy, older, pinned, SessionView{}}),
        "4 sessions, 2 in transaction (the oldest: session 2: app on shop, idle in transaction for 3.2 s), 1 pinned "
        "(session 5: has 1 temporary relation)");
}

TEST(Situation, TellsTheLagInBytesAndSecondsAndWhetherItFalls) {
    const auto lag = [](std::int64_t a, std::int64_t b) {
        StreamLag one, two;
        one.bytes = a;
        one.seconds = 0.25;
        two.bytes = b;
        two.seconds = 1.5;
        return std::vector<StreamLag>{one, two};
    };
    EXPECT_EQ(lag_line({}, {}), "");
    EXPECT_EQ(lag_line(lag(1000, 2000), {}), "lag 3.0 kB, 1.5 s");
    EXPECT_EQ(lag_line(lag(1000, 2000), lag(2000, 2000)), "lag 3.0 kB, 1.5 s, falling");
    EXPECT_EQ(lag_line(lag(1000, 3000), lag(1000, 2000)), "lag 4.0 kB, 1.5 s, rising");
    EXPECT_EQ(lag_line(lag(-5, 0), lag(0, 0)), "lag 0 B, 1.5 s") << "behind the position that was read";
}

TEST(Progress, OffATerminalOneLineForEachStepAndThenOneInTenSeconds) {
    std::ostringstream out;
    ProgressPrinter printer(out, false, false);
    const ProgressPrinter::Clock::time_point start{};
    for (int second = 0; second < 25; ++second)
        printer.show("copy shop: " + std::to_string(second) + " of 30 tables", start + std::chrono::seconds(second));
    printer.show("switch: drain", start);
    printer.show("switch: open", start);
    printer.end();
    EXPECT_EQ(out.str(),
              "copy shop: 0 of 30 tables\ncopy shop: 10 of 30 tables\ncopy shop: 20 of 30 tables\nswitch: "
              "drain\nswitch: open\n");
}

TEST(Progress, AtATerminalOneLineThatChanges) {
    std::ostringstream out;
    ProgressPrinter printer(out, false, true);
    printer.show("copy shop: 1 of 2 tables", {});
    printer.show("copy shop: 2 of 2 tables", {});
    printer.show("caught up", {});
    printer.end();
    EXPECT_EQ(out.str(), "\r\033[Kcopy shop: 1 of 2 tables\r\033[Kcopy shop: 2 of 2 tables\n\r\033[Kcaught up\n");
    std::ostringstream silent;
    ProgressPrinter quiet(silent, true, true);
    quiet.show("copy shop: 1 of 2 tables", {});
    quiet.end();
    EXPECT_EQ(silent.str(), "");
}

TEST(Progress, OnlyTheWordsOfACheckAreColoured) {
    EXPECT_EQ(coloured("PASS  a\n      PASS b\nFAIL  c"),
              "\033[32mPASS\033[0m  a\n      PASS b\n\033[31;1mFAIL\033[0m  c");
    EXPECT_EQ(coloured(""), "");
}

// ------------------------------------------------------------------------------------------------------------- reports

SwitchReport some_report() {
    SwitchReport report;
    report.outcome = SwitchOutcome::switched;
    report.generation = 2;
    report.attempts = 1;
    report.window = Microseconds(1180);
    report.phases = {{"drain", Microseconds(210), Microseconds(0)}, {"catch_up", Microseconds(240), Microseconds(290)}};
    report.sessions = {.total = 3, .held = 2, .moved = 3, .stalls = {Microseconds(400), Microseconds(1210)}};
    report.missed = {{1, "no <good> moment & \"so on\"", {"session 7 <idle>"}, Microseconds(133)}};
    return report;
}

SwitchRecord some_record() {
    SwitchRecord record;
    record.verb = "switch";
    record.version = "1";
    record.began = std::chrono::system_clock::time_point(Milliseconds(1'764'108'000'123));
    record.configuration = config_rows(some_config());
    const Clock::time_point start{};
    for (int i = 0; i < 10; ++i) {
        DataPlaneCounters counters;
        counters.transactions = static_cast<std::uint64_t>(i) * 100;
        counters.query_buckets[i < 5 ? 0 : 1][2] = static_cast<std::uint64_t>(i) * 100;
        if (i >= 5) counters.query_buckets[0][2] = 400;
        record.samples.push_back({start + std::chrono::seconds(i), counters});
    }
    record.positions = {{start + std::chrono::seconds(1), {1'000'000, 500}},
                        {start + std::chrono::seconds(2), {1'000'700, std::nullopt}},
                        {start + std::chrono::seconds(8), {1'000'900, 4500}}};
    record.marks = {{start + std::chrono::milliseconds(4990), "intent"},
                    {start + std::chrono::milliseconds(5001), "settle"}};
    return record;
}

TEST(Record, TimeIsCountedFromTheClosingOfTheGate) {
    const json::object record = record_json(some_record(), some_report());
    EXPECT_EQ(record.at("id").as_string(), "2025-11-25T220000.123Z-switch");
    EXPECT_EQ(record.at("marks").at(1).at("at_ms").to_number<double>(), 1.18);
    EXPECT_EQ(record.at("timeline").as_array().size(), 10U);
    EXPECT_NEAR(record.at("timeline").at(0).at("at_ms").to_number<double>(), -4999.82, 0.001);
    EXPECT_EQ(record.at("timeline").at(3).at("transactions_per_second").to_number<double>(), 100);
    EXPECT_EQ(record.at("latency_us").at("before").at("side").as_string(), "blue");
    EXPECT_EQ(record.at("latency_us").at("after").at("side").as_string(), "green");
    const json::array& positions = record.at("positions").as_array();
    ASSERT_EQ(positions.size(), 3U);
    EXPECT_EQ(positions[1].at("blue"), 700) << "since the first look";
    EXPECT_TRUE(positions[1].at("green").is_null());
    EXPECT_EQ(positions[2].at("green"), 4000);
    EXPECT_EQ(json::serialize(record).find("geheim"), std::string::npos);
}

TEST(Record, NobodyIsAskedAnythingFromTheIntentToTheSettling) {
    SwitchRecord record;
    EXPECT_FALSE(at_window(record));
    for (const auto& [phase, expected] : {std::pair{"arm", false},
                                          {"moment", false},
                                          {"intent", true},
                                          {"drain", true},
                                          {"back_off", false},
                                          {"intent", true},
                                          {"activate", true},
                                          {"settle", false},
                                          {"fence", false}}) {
        record.marks.push_back({{}, phase});
        EXPECT_EQ(at_window(record), expected) << phase;
    }
}

TEST(Report, IsOneFileThatNeedsNothingElseAndShowsTextAsText) {
    const std::string page = report_page(record_json(some_record(), some_report()));
    EXPECT_NE(page.find("Switch from blue to green"), std::string::npos);
    EXPECT_NE(page.find("1.18 ms"), std::string::npos);
    EXPECT_NE(page.find("<svg"), std::string::npos);
    EXPECT_NE(page.find("kB of WAL written on green"), std::string::npos);
    EXPECT_NE(page.find("no &lt;good&gt; moment &amp; &quot;so on&quot;"), std::string::npos);
    EXPECT_NE(page.find("; the gate was closed for 133 µs"), std::string::npos);
    EXPECT_NE(page.find("waited for</span> session 7 &lt;idle&gt;"), std::string::npos);
    EXPECT_EQ(page.find("<good>"), std::string::npos);
    for (const char* external : {"http:", "https:", "src=", "<script", "@import", "url("})
        EXPECT_EQ(page.find(external), std::string::npos) << external;
    EXPECT_EQ(page.find("geheim"), std::string::npos);
    EXPECT_FALSE(report_page({}).empty()) << "a record that lacks everything";
}

class Reports : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "turnout-reports-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
    }
    void TearDown() override { fs::remove_all(directory_); }
    fs::path directory_;
};

TEST_F(Reports, AreFoundAgainByTheNextProcessYoungestFirst) {
    const fs::path folder = directory_ / "made/as/needed";
    SwitchRecord record = some_record();
    ReportStore store(folder);
    store.add(record_json(record, some_report()));
    record.began += std::chrono::hours(1);
    record.verb = "rollback";
    store.add(record_json(record, some_report()));
    std::ofstream(folder / "notes.json") << "not ours";
    const auto list = ReportStore(folder).list();
    ASSERT_EQ(list.size(), 2U);
    EXPECT_EQ(list[0].verb, "rollback");
    EXPECT_EQ(list[1].window_us, 1180);
    EXPECT_EQ(list[1].stall_max_us, 1210);
    EXPECT_EQ(list[1].path, (folder / "2025-11-25T220000.123Z-switch.html").string());
    EXPECT_TRUE(fs::exists(list[1].path));
    EXPECT_TRUE(is_report_name(fs::path(list[1].path).filename().string()));

    Answer answer = object_answer({{"outcome", "switched"}}, "switched\n");
    store.name_in(answer);
    EXPECT_EQ(answer.json.at("report").as_string(), list[0].path);
    EXPECT_NE(answer.text.find(list[0].path), std::string::npos);
}

TEST_F(Reports, ThatCannotBeKeptAreRememberedAllTheSame) {
    std::ofstream(directory_ / "file") << "in the way";
    ReportStore store(directory_ / "file");
    store.add(record_json(some_record(), some_report()));
    ASSERT_EQ(store.list().size(), 1U);
    EXPECT_EQ(store.list()[0].path, "");
    Answer answer = object_answer({{"outcome", "switched"}});
    store.name_in(answer);
    EXPECT_FALSE(answer.json.as_object().contains("report"));
}

TEST(ReportNames, AreNeverPaths) {
    for (const char* name : {"a.html", "2025-11-25T220000.123Z-switch.json"}) EXPECT_TRUE(is_report_name(name)) << name;
    for (const char* name : {"../a.html", "/etc/passwd", ".a.json", "a.html/..", "a", "", "a%2f.html"})
        EXPECT_FALSE(is_report_name(name)) << name;
}

}  // namespace
}  // namespace turnout::control
