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
constexpr OptionDescription kWatch{"WATCH",
                                   OptionKind::duration,
                                   {},
                                   "compare the new side with how things went before for so long, such as 10m",
                                   [](VerbOptions& o, std::string_view v) { return set_duration(o.watch, v); }};
constexpr OptionDescription kRollbackIf{"ROLLBACK_IF",
                                        OptionKind::limits,
                                        {},
                                        "go back by itself if that shows more, such as errors=1%,latency=200%",
                                        [](VerbOptions& o, std::string_view v) {
                                            o.rollback_if = parse_watch_limits(v);
                                            return o.rollback_if.has_value();
                                        }};
constexpr OptionDescription kNoWayBack{"NO_WAY_BACK",
                                       OptionKind::flag,
                                       {},
                                       "go although the way back does not work, and give it up",
                                       [](VerbOptions& o, std::string_view) { return o.no_way_back = true; }};
constexpr OptionDescription kAdopt{
    "ADOPT",
    OptionKind::flag,
    {},
    "the standby follows by a subscription that somebody else made: use it, copy nothing",
    [](VerbOptions& o, std::string_view) { return o.adopt = true; }};
constexpr OptionDescription kVerify{"VERIFY",
                                    OptionKind::flag,
                                    {},
                                    "compare the data of both sides first, and refuse if anything differs",
                                    [](VerbOptions& o, std::string_view) { return o.verify = true; }};
constexpr OptionDescription kWaitForServers{"WAIT_FOR_SERVERS",
                                            OptionKind::flag,
                                            {},
                                            "let running transactions end first",
                                            [](VerbOptions& o, std::string_view) { return o.wait_for_servers = true; }};

constexpr OptionDescription kWaitForClients{"WAIT_FOR_CLIENTS",
                                            OptionKind::flag,
                                            {},
                                            "let nobody in, and wait until every client has left",
                                            [](VerbOptions& o, std::string_view) { return o.wait_for_clients = true; }};
constexpr OptionDescription kDryRun{"DRY_RUN",
                                    OptionKind::flag,
                                    {},
                                    "list the steps that would be taken, with measured estimates; change nothing",
                                    [](VerbOptions& o, std::string_view) { return o.dry_run = true; }};

constexpr std::array kSwitchOptions{&kMaxPause,  &kDeadline, &kPinned, &kLongTransactions, &kEndBypassing,
                                    &kNoWayBack, &kVerify,   &kWatch,  &kRollbackIf,       &kDryRun};
constexpr std::array kRehearseOptions{&kMaxPause, &kDeadline, &kPinned, &kLongTransactions};
constexpr std::array kVerifyOptions{&kMaxPause, &kDeadline};
constexpr std::array kSyncOptions{&kAdopt};
constexpr std::array kShutdownOptions{&kWaitForServers, &kWaitForClients};

constexpr bool kAsks = true;
constexpr auto kNone = Operand::none;

constexpr std::array kVerbs{
    VerbDescription{"CHECK", Verb::check, kNone, {}, "look at both sides and say what stands in the way of a switch"},
    VerbDescription{"SYNC", Verb::sync, kNone, kSyncOptions, "copy the databases to the standby and keep it following"},
    VerbDescription{"VERIFY", Verb::verify, kNone, kVerifyOptions,
                    "compare the data of both sides at one logical moment"},
    VerbDescription{"REHEARSE", Verb::rehearse, kNone, kRehearseOptions,
                    "a switch that stops before the point of no return"},
    VerbDescription{"SWITCH", Verb::switch_over, kNone, kSwitchOptions, "make the standby the active side", kAsks},
    VerbDescription{"ROLLBACK", Verb::rollback, kNone, kSwitchOptions, "switch back, with what was written meanwhile",
                    kAsks},
    VerbDescription{"FINISH", Verb::finish, kNone, {}, "dismantle replication; the active side stays, alone", kAsks},
    VerbDescription{"ABORT", Verb::abort, kNone, {}, "dismantle everything; the first side stays as it was", kAsks},
    VerbDescription{"PAUSE", Verb::pause, Operand::database_or_all, {}, "let nobody begin a transaction until RESUME"},
    VerbDescription{"RESUME", Verb::resume, Operand::database_or_all, {}, "end a PAUSE"},
    VerbDescription{"RELOAD", Verb::reload, kNone, {}, "read the configuration again"},
    VerbDescription{"SHUTDOWN", Verb::shutdown, kNone, kShutdownOptions, "end all sessions and the proxy"},
    VerbDescription{"FORCE ACTIVE",
                    Verb::force_active,
                    Operand::side,
                    {},
                    "serve a side although the other is gone for good",
                    kAsks},
    VerbDescription{"DISABLE", Verb::disable, Operand::database, {}, "let nobody log in to a database"},
    VerbDescription{"ENABLE", Verb::enable, Operand::database, {}, "end a DISABLE"},
    VerbDescription{"RECONNECT",
                    Verb::reconnect,
                    Operand::database_or_all,
                    {},
                    "accepted as by PgBouncer; a server connection ends with its session anyway"},
    VerbDescription{"WAIT_CLOSE",
                    Verb::wait_close,
                    Operand::database_or_all,
                    {},
                    "accepted as by PgBouncer; there is nothing to wait for"},
    VerbDescription{"KILL_CLIENT", Verb::kill_client, Operand::session, {}, "end a session, by its id"},
    VerbDescription{"SHOW", Verb::show, Operand::topic, {}, "show a topic"},
    VerbDescription{"SET",
                    Verb::set,
                    Operand::setting,
                    {},
                    "change a key of the configuration until RELOAD or restart: SET switch.max_pause = '50ms'"},
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
                           Column{"queries", kBigint},
                           Column{"carries"}};
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

// PgBouncer's columns, in its order and units, by its manual ("Show commands" of 1.25). What older exporters read
// besides stands at the end: total_requests (until 1.7) and reserve_pool.
const std::array kStats{Column{"database"},
                        Column{"total_server_assignment_count", kBigint},
                        Column{"total_xact_count", kBigint},
                        Column{"total_query_count", kBigint},
                        Column{"total_received", kBigint},
                        Column{"total_sent", kBigint},
                        Column{"total_xact_time", kBigint},
                        Column{"total_query_time", kBigint},
                        Column{"total_wait_time", kBigint},
                        Column{"total_client_parse_count", kBigint},
                        Column{"total_server_parse_count", kBigint},
                        Column{"total_bind_count", kBigint},
                        Column{"avg_server_assignment_count", kBigint},
                        Column{"avg_xact_count", kBigint},
                        Column{"avg_query_count", kBigint},
                        Column{"avg_recv", kBigint},
                        Column{"avg_sent", kBigint},
                        Column{"avg_xact_time", kBigint},
                        Column{"avg_query_time", kBigint},
                        Column{"avg_wait_time", kBigint},
                        Column{"avg_client_parse_count", kBigint},
                        Column{"avg_server_parse_count", kBigint},
                        Column{"avg_bind_count", kBigint},
                        Column{"total_requests", kBigint}};
const std::array kStatsPart{Column{"database"},
                            Column{"server_assignment_count", kBigint},
                            Column{"xact_count", kBigint},
                            Column{"query_count", kBigint},
                            Column{"bytes_received", kBigint},
                            Column{"bytes_sent", kBigint},
                            Column{"xact_time", kBigint},
                            Column{"query_time", kBigint},
                            Column{"wait_time", kBigint},
                            Column{"client_parse_count", kBigint},
                            Column{"server_parse_count", kBigint},
                            Column{"bind_count", kBigint}};
const std::array kTotals{Column{"name"}, Column{"value", kBigint}};
const std::array kDatabases{Column{"name"},
                            Column{"host"},
                            Column{"port", kBigint},
                            Column{"database"},
                            Column{"force_user"},
                            Column{"pool_size", kBigint},
                            Column{"min_pool_size", kBigint},
                            Column{"reserve_pool_size", kBigint},
                            Column{"server_lifetime", kBigint},
                            Column{"pool_mode"},
                            Column{"load_balance_hosts"},
                            Column{"max_connections", kBigint},
                            Column{"current_connections", kBigint},
                            Column{"max_client_connections", kBigint},
                            Column{"current_client_connections", kBigint},
                            Column{"paused", kBigint},
                            Column{"disabled", kBigint},
                            Column{"reserve_pool", kBigint}};
const std::array kPools{Column{"database"},
                        Column{"user"},
                        Column{"cl_active", kBigint},
                        Column{"cl_waiting", kBigint},
                        Column{"cl_active_cancel_req", kBigint},
                        Column{"cl_waiting_cancel_req", kBigint},
                        Column{"sv_active", kBigint},
                        Column{"sv_active_cancel", kBigint},
                        Column{"sv_being_canceled", kBigint},
                        Column{"sv_idle", kBigint},
                        Column{"sv_used", kBigint},
                        Column{"sv_tested", kBigint},
                        Column{"sv_login", kBigint},
                        Column{"maxwait", kBigint},
                        Column{"maxwait_us", kBigint},
                        Column{"pool_mode"},
                        Column{"load_balance_hosts"}};
const std::array kClients{Column{"type"},
                          Column{"user"},
                          Column{"database"},
                          Column{"replication"},
                          Column{"state"},
                          Column{"addr"},
                          Column{"port", kBigint},
                          Column{"local_addr"},
                          Column{"local_port", kBigint},
                          Column{"connect_time"},
                          Column{"request_time"},
                          Column{"wait", kBigint},
                          Column{"wait_us", kBigint},
                          Column{"close_needed", kBigint},
                          Column{"ptr"},
                          Column{"link"},
                          Column{"remote_pid", kBigint},
                          Column{"tls"},
                          Column{"application_name"},
                          Column{"prepared_statements", kBigint},
                          Column{"id", kBigint}};
const std::array kSockets = [] {
    std::array<Column, kClients.size() + 7> all;
    std::copy(kClients.begin(), kClients.end(), all.begin());
    std::size_t next = kClients.size();
    for (const char* name : {"recv_pos", "pkt_pos", "pkt_remain", "send_pos", "send_remain", "pkt_avail", "send_avail"})
        all[next++] = {name, kBigint};
    return all;
}();
const std::array kUsers{Column{"name"},
                        Column{"pool_size"},
                        Column{"reserve_pool_size"},
                        Column{"pool_mode"},
                        Column{"max_user_connections", kBigint},
                        Column{"current_connections", kBigint},
                        Column{"max_user_client_connections", kBigint},
                        Column{"current_client_connections", kBigint}};
const std::array kMem{Column{"name"}, Column{"size", kBigint}, Column{"used", kBigint}, Column{"free", kBigint},
                      Column{"memtotal", kBigint}};
// Of what there is none here: no cache of names, no peers.
const std::array kDnsHosts{Column{"hostname"}, Column{"ttl", kBigint}, Column{"addrs"}};
const std::array kDnsZones{Column{"zonename"}, Column{"serial", kBigint}, Column{"count", kBigint}};
const std::array kPeers{Column{"peer_id", kBigint}, Column{"host"}, Column{"port", kBigint},
                        Column{"pool_size", kBigint}};
const std::array kPeerPools{Column{"peer_id", kBigint}, Column{"cl_active_cancel_req", kBigint},
                            Column{"cl_waiting_cancel_req", kBigint}, Column{"sv_active_cancel", kBigint},
                            Column{"sv_login", kBigint}};
const std::array kState{Column{"key"}, Column{"value"}};
const std::array kReplication{Column{"database"},
                              Column{"subscriber"},
                              Column{"subscription"},
                              Column{"slot"},
                              Column{"shape"},
                              Column{"state"},
                              Column{"tables", kBigint},
                              Column{"tables_ready", kBigint},
                              Column{"lag_bytes", kBigint},
                              Column{"lag_seconds", kReal},
                              Column{"retained_bytes", kBigint},
                              Column{"wal_status"}};
const std::array kHistory{Column{"time"},
                          Column{"verb"},
                          Column{"outcome"},
                          Column{"from"},
                          Column{"to"},
                          Column{"generation", kBigint},
                          Column{"window_us", kBigint},
                          Column{"stall_max_us", kBigint},
                          Column{"attempts", kBigint},
                          Column{"sessions", kBigint},
                          Column{"held", kBigint},
                          Column{"report"}};
const std::array kFindings{Column{"severity"}, Column{"check"}, Column{"object"}, Column{"message"}, Column{"remedy"}};

const std::array kTopics{
    TopicDescription{"STATUS", Topic::status, {}, "who is active, the phase of the version change, what comes next"},
    TopicDescription{"SESSIONS", Topic::sessions, kSessions, "every session, and whether it can be moved now"},
    TopicDescription{"SWITCH", Topic::switch_report, {}, "the running or the last switch"},
    TopicDescription{"LAG", Topic::lag, kLag, "how far the standby is behind, by database"},
    TopicDescription{"SIDES", Topic::sides, kSides, "the two servers"},
    TopicDescription{"CONFIG", Topic::config, kConfig, "the configuration in force"},
    TopicDescription{"STATS", Topic::stats, kStats,
                     "totals since the start and averages of the last minute, as PgBouncer shows them"},
    TopicDescription{"VERSION", Topic::version, kVersion, "the version of this program"},
    TopicDescription{"HELP", Topic::help, kHelp, "this list"},
    TopicDescription{"DATABASES", Topic::databases, kDatabases, "the databases, as PgBouncer shows them"},
    TopicDescription{"POOLS", Topic::pools, kPools, "sessions by database and user, as PgBouncer shows them"},
    TopicDescription{"CLIENTS", Topic::clients, kClients, "client connections, as PgBouncer shows them"},
    TopicDescription{"SERVERS", Topic::servers, kClients, "server connections, as PgBouncer shows them"},
    TopicDescription{"LISTS", Topic::lists, kLists, "how many there are of what, as PgBouncer shows it"},
    TopicDescription{"STATS_TOTALS", Topic::stats_totals, kStatsPart, "the totals of SHOW STATS"},
    TopicDescription{"STATS_AVERAGES", Topic::stats_averages, kStatsPart, "the averages of SHOW STATS"},
    TopicDescription{"TOTALS", Topic::totals, kTotals, "SHOW STATS over all databases"},
    TopicDescription{"SOCKETS", Topic::sockets, kSockets, "client and server connections, as PgBouncer shows them"},
    TopicDescription{"ACTIVE_SOCKETS", Topic::active_sockets, kSockets, "those of SOCKETS that are at work"},
    TopicDescription{"DNS_HOSTS", Topic::dns_hosts, kDnsHosts, "accepted as by PgBouncer; no names are cached"},
    TopicDescription{"DNS_ZONES", Topic::dns_zones, kDnsZones, "accepted as by PgBouncer; no names are cached"},
    TopicDescription{"PEERS", Topic::peers, kPeers, "accepted as by PgBouncer; there are none"},
    TopicDescription{"PEER_POOLS", Topic::peer_pools, kPeerPools, "accepted as by PgBouncer; there are none"},
    TopicDescription{"USERS", Topic::users, kUsers, "users that are connected, as PgBouncer shows them"},
    TopicDescription{"MEM", Topic::mem, kMem, "the memory of this process, in bytes"},
    TopicDescription{"STATE", Topic::state, kState, "whether the proxy is active, paused, suspended"},
    TopicDescription{"REPLICATION", Topic::replication, kReplication, "every stream between the sides, with its slot"},
    TopicDescription{"HISTORY", Topic::history, kHistory, "switches, rollbacks and rehearsals, with their reports"},
    TopicDescription{"PREFLIGHT", Topic::preflight, kFindings, "what CHECK finds"},
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

std::string_view operand_text(Operand operand) {
    switch (operand) {
        case Operand::none: break;
        case Operand::database: return "DATABASE";
        case Operand::database_or_all: return "[DATABASE]";
        case Operand::session: return "ID";
        case Operand::side: return "blue|green";
        case Operand::topic: return "TOPIC";
        case Operand::setting: return "KEY = VALUE";
    }
    return {};
}

bool only_looks(const Command& command) {
    // A preflight asks both servers a lot.
    if (command.verb == Verb::show) return command.topic != Topic::preflight;
    return command.verb == Verb::set && command.operand.find('.') == std::string::npos;
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
    if (command.options.dry_run) return {{"step"}, {"what"}, {"estimate"}};
    switch (command.verb) {
        case Verb::show: {
            const auto columns = describe(command.topic).columns;
            if (columns.empty()) return items_columns();
            return {columns.begin(), columns.end()};
        }
        case Verb::check: return {kFindings.begin(), kFindings.end()};
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
        case Verb::disable:
        case Verb::enable:
        case Verb::reconnect:
        case Verb::wait_close:
        case Verb::kill_client:
        case Verb::set: break;
    }
    return {};
}

}  // namespace turnout::control
