#include <algorithm>
#include <array>
#include <cctype>

#include "control/command.hpp"
#include "control/duration.hpp"

namespace turnout::control {
namespace {

using namespace std::string_view_literals;

bool set_duration(std::optional<Milliseconds>& target, std::string_view value) {
    target = parse_duration(value);
    return target.has_value() && target->count() > 0;
}

template <class Enum>
bool set_word(std::optional<Enum>& target, std::span<const std::string_view> words, std::string_view value) {
    const auto found = std::find(words.begin(), words.end(), value);
    if (found == words.end()) return false;
    target = static_cast<Enum>(found - words.begin());
    return true;
}

// The words stand in the order of their enums.
constexpr std::array kPinnedWords{"wait"sv, "end"sv, "refuse"sv};
constexpr std::array kLongTransactionsWords{"wait"sv, "cancel"sv, "read_only"sv};

constexpr OptionDescription kMaxPause{"MAX_PAUSE",
                                      OptionKind::duration,
                                      {},
                                      "the longest that one attempt may hold clients, such as 100ms",
                                      [](VerbOptions& o, std::string_view v) { return set_duration(o.max_pause, v); }};
constexpr OptionDescription kDeadline{"DEADLINE",
                                      OptionKind::duration,
                                      {},
                                      "how long to look for a good moment and to try again, such as 60s",
                                      [](VerbOptions& o, std::string_view v) { return set_duration(o.deadline, v); }};
constexpr OptionDescription kPinned{
    "PINNED", OptionKind::word, kPinnedWords, "sessions that cannot be moved: wait for them, end them, or refuse",
    [](VerbOptions& o, std::string_view v) { return set_word(o.pinned, kPinnedWords, v); }};
constexpr OptionDescription kLongTransactions{
    "LONG_TRANSACTIONS", OptionKind::word, kLongTransactionsWords,
    "transactions that outlast max_pause: wait for them, cancel their statement, or finish them read-only",
    [](VerbOptions& o, std::string_view v) { return set_word(o.long_transactions, kLongTransactionsWords, v); }};
constexpr OptionDescription kEndBypassing{"END_BYPASSING",
                                          OptionKind::flag,
                                          {},
                                          "end the sessions that reach the active side without this proxy",
                                          [](VerbOptions& o, std::string_view) { return o.end_bypassing = true; }};
constexpr OptionDescription kWaitForServers{"WAIT_FOR_SERVERS",
                                            OptionKind::flag,
                                            {},
                                            "let running transactions end first",
                                            [](VerbOptions& o, std::string_view) { return o.wait_for_servers = true; }};

constexpr std::array kSwitchOptions{&kMaxPause, &kDeadline, &kPinned, &kLongTransactions, &kEndBypassing};
constexpr std::array kRehearseOptions{&kMaxPause, &kDeadline, &kPinned, &kLongTransactions};
constexpr std::array kVerifyOptions{&kMaxPause, &kDeadline};
constexpr std::array kShutdownOptions{&kWaitForServers};

constexpr std::array kVerbs{
    VerbDescription{"CHECK", Verb::check, {}, "look at both sides and say what stands in the way of a switch"},
    VerbDescription{"SYNC", Verb::sync, {}, "copy the databases to the standby and keep it following"},
    VerbDescription{"VERIFY", Verb::verify, kVerifyOptions, "compare the data of both sides at one logical moment"},
    VerbDescription{"REHEARSE", Verb::rehearse, kRehearseOptions, "a switch that stops before the point of no return"},
    VerbDescription{"SWITCH", Verb::switch_over, kSwitchOptions, "make the standby the active side"},
    VerbDescription{"ROLLBACK", Verb::rollback, kSwitchOptions, "switch back, with what was written meanwhile"},
    VerbDescription{"FINISH", Verb::finish, {}, "dismantle replication; the active side stays, alone"},
    VerbDescription{"ABORT", Verb::abort, {}, "dismantle everything; the first side stays as it was"},
    VerbDescription{"PAUSE", Verb::pause, {}, "let nobody begin a transaction until RESUME"},
    VerbDescription{"RESUME", Verb::resume, {}, "end a PAUSE"},
    VerbDescription{"RELOAD", Verb::reload, {}, "read the configuration again"},
    VerbDescription{"SHUTDOWN", Verb::shutdown, kShutdownOptions, "end all sessions and the proxy"},
    VerbDescription{"FORCE ACTIVE", Verb::force_active, {}, "serve a side although the other is gone for good"},
    VerbDescription{"SHOW", Verb::show, {}, "show a topic"},
    VerbDescription{"SET", Verb::set, {}, "accepted for the sake of drivers; without effect"},
};

constexpr auto kText = ColumnType::text;
constexpr auto kBigint = ColumnType::bigint;
constexpr auto kReal = ColumnType::real;
constexpr auto kBoolean = ColumnType::boolean;

// A Column's name is a std::string, so these are made once, at start, not at compile time.
const std::array kSessions{Column{"id", kBigint},
                           Column{"user"},
                           Column{"database"},
                           Column{"application"},
                           Column{"state"},
                           Column{"movable"},
                           Column{"reason"},
                           Column{"side"},
                           Column{"address"},
                           Column{"tls", kBoolean},
                           Column{"armed", kBoolean},
                           Column{"client_pid", kBigint},
                           Column{"server_pid", kBigint},
                           Column{"connected_seconds", kReal},
                           Column{"transaction_seconds", kReal},
                           Column{"prepared_statements", kBigint},
                           Column{"queries", kBigint}};
const std::array kLag{Column{"database"}, Column{"bytes", kBigint},          Column{"seconds", kReal},
                      Column{"state"},    Column{"retained_bytes", kBigint}, Column{"wal_status"}};
const std::array kSides{Column{"side"},
                        Column{"role"},
                        Column{"host"},
                        Column{"port", kBigint},
                        Column{"version"},
                        Column{"state"},
                        Column{"generation", kBigint},
                        Column{"problem"}};
const std::array kConfig{Column{"key"}, Column{"value"}, Column{"default"}, Column{"changeable"}};
const std::array kVersion{Column{"version"}};
const std::array kHelp{Column{"command"}, Column{"meaning"}};
const std::array kLists{Column{"list"}, Column{"items", kBigint}};
const std::array kStats{Column{"database"},
                        Column{"total_xact_count", kBigint},
                        Column{"total_query_count", kBigint},
                        Column{"total_received", kBigint},
                        Column{"total_sent", kBigint},
                        Column{"total_query_time", kBigint}};
const std::array kDatabases{Column{"name"},
                            Column{"host"},
                            Column{"port", kBigint},
                            Column{"database"},
                            Column{"pool_mode"},
                            Column{"current_connections", kBigint},
                            Column{"paused", kBigint},
                            Column{"disabled", kBigint}};
const std::array kPools{Column{"database"},           Column{"user"},
                        Column{"cl_active", kBigint}, Column{"cl_waiting", kBigint},
                        Column{"sv_active", kBigint}, Column{"sv_idle", kBigint},
                        Column{"sv_login", kBigint},  Column{"pool_mode"}};
const std::array kClients{Column{"type"},
                          Column{"user"},
                          Column{"database"},
                          Column{"state"},
                          Column{"addr"},
                          Column{"link"},
                          Column{"remote_pid", kBigint},
                          Column{"tls"},
                          Column{"application_name"}};

const std::array kTopics{
    TopicDescription{"STATUS", Topic::status, {}, "who is active, the phase of the version change, what comes next"},
    TopicDescription{"SESSIONS", Topic::sessions, kSessions, "every session, and whether it can be moved now"},
    TopicDescription{"SWITCH", Topic::switch_report, {}, "the running or the last switch"},
    TopicDescription{"LAG", Topic::lag, kLag, "how far the standby is behind, by database"},
    TopicDescription{"SIDES", Topic::sides, kSides, "the two servers"},
    TopicDescription{"CONFIG", Topic::config, kConfig, "the configuration in force"},
    TopicDescription{"STATS", Topic::stats, kStats, "totals since the start"},
    TopicDescription{"VERSION", Topic::version, kVersion, "the version of this program"},
    TopicDescription{"HELP", Topic::help, kHelp, "this list"},
    TopicDescription{"DATABASES", Topic::databases, kDatabases, "the databases, as PgBouncer shows them"},
    TopicDescription{"POOLS", Topic::pools, kPools, "sessions by database and user, as PgBouncer shows them"},
    TopicDescription{"CLIENTS", Topic::clients, kClients, "client connections, as PgBouncer shows them"},
    TopicDescription{"SERVERS", Topic::servers, kClients, "server connections, as PgBouncer shows them"},
    TopicDescription{"LISTS", Topic::lists, kLists, "how many there are of what"},
};

}  // namespace

std::span<const VerbDescription> verb_descriptions() { return kVerbs; }
std::span<const TopicDescription> topic_descriptions() { return kTopics; }

const VerbDescription& describe(Verb verb) {
    return *std::find_if(kVerbs.begin(), kVerbs.end(), [verb](const auto& known) { return known.verb == verb; });
}

const TopicDescription& describe(Topic topic) {
    return *std::find_if(kTopics.begin(), kTopics.end(), [topic](const auto& known) { return known.topic == topic; });
}

std::string_view tag(Verb verb) { return describe(verb).words; }

std::string dashed(std::string_view words) {
    std::string text(words);
    for (char& c : text)
        c = c == ' ' || c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

std::vector<Column> columns_of(const Command& command) {
    if (command.form == Form::json && command.verb != Verb::set) return {{"json", ColumnType::json}};
    if (command.form == Form::text && command.verb != Verb::set) return {{"text", ColumnType::text}};
    switch (command.verb) {
        case Verb::show: {
            const auto columns = describe(command.topic).columns;
            if (columns.empty()) return items_columns();
            return {columns.begin(), columns.end()};
        }
        case Verb::check: return {{"severity"}, {"check"}, {"object"}, {"message"}, {"remedy"}};
        case Verb::sync:
        case Verb::verify:
        case Verb::rehearse:
        case Verb::switch_over:
        case Verb::rollback:
        case Verb::finish:
        case Verb::abort: return items_columns();
        case Verb::pause:
        case Verb::resume:
        case Verb::reload:
        case Verb::shutdown:
        case Verb::force_active:
        case Verb::set: break;
    }
    return {};
}

}  // namespace turnout::control
