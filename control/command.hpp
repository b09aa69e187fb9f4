// The verbs as they are written on the admin socket, and in the `turnout` command line, which writes them there:
//
//     SWITCH MAX_PAUSE '50ms' PINNED 'end';  SHOW SESSIONS AS JSON;  FORCE ACTIVE green;
//
// One table names each verb with its options; parser, SHOW HELP, command line and manual are driven by it.
#pragma once

#include <boost/system/result.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/answer.hpp"
#include "control/config.hpp"
#include "control/data_plane.hpp"
#include "control/switch_watch.hpp"

namespace turnout::control {

enum class Verb {
    check,
    sync,
    verify,
    rehearse,
    switch_over,
    rollback,
    finish,
    abort,
    pause,
    resume,
    reload,
    shutdown,
    force_active,
    disable,
    enable,
    reconnect,
    wait_close,
    kill_client,
    show,
    set,  ///< a key of the configuration; what drivers set when they connect is accepted without effect
};

/// What SHOW shows.
enum class Topic {
    status,
    sessions,
    switch_report,
    lag,
    sides,
    config,
    stats,
    version,
    help,
    databases,
    pools,
    clients,
    servers,
    lists,
    stats_totals,
    stats_averages,
    totals,
    sockets,
    active_sockets,
    dns_hosts,
    dns_zones,
    peers,
    peer_pools,
    users,
    mem,
    state,
    replication,
    history,
    preflight,
};

/// In which form the answer is wanted.
enum class Form { rows, json, text };

/// Options given with a verb; what is not given is as configured in [switch].
struct VerbOptions {
    std::optional<Milliseconds> max_pause;
    std::optional<Milliseconds> deadline;
    std::optional<PinnedPolicy> pinned;
    std::optional<LongTransactions> long_transactions;
    std::optional<Milliseconds> watch;       ///< how long the new side is watched after a switch; 0: not
    std::optional<WatchLimits> rollback_if;  ///< when it is left again then
    bool end_bypassing = false;
    bool no_way_back = false;       ///< switch although there is no way back that carries
    bool adopt = false;             ///< SYNC: use the standby's own subscription instead of copying
    bool verify = false;            ///< compare the data first, and refuse if it differs
    bool wait_for_servers = false;  ///< SHUTDOWN: let running transactions end first
    bool wait_for_clients = false;  ///< SHUTDOWN: let nobody in, and wait until everyone has left
    bool dry_run = false;           ///< say what would be done
};

/// One command, understood.
struct Command {
    Verb verb = Verb::show;
    Topic topic = Topic::status;  ///< of SHOW
    Side side = Side::blue;       ///< of FORCE ACTIVE
    std::string operand{};        ///< as written: the database, the session's id, or the key of SET
    std::string value{};          ///< of SET
    VerbOptions options;
    Form form = Form::rows;
};

/// Why a text is no command.
struct CommandError {
    std::string sqlstate;
    std::string message;
    std::string hint;
};

/// How an option is written.
enum class OptionKind { duration, word, limits, flag };
struct OptionDescription {
    std::string_view word;  ///< "MAX_PAUSE"; on the command line --max-pause
    OptionKind kind = OptionKind::flag;
    std::span<const std::string_view> words;  ///< the words that a `word` may be
    std::string_view description;
    /// Takes the value; false: it is none that the option can have.
    bool (*set)(VerbOptions&, std::string_view) = nullptr;
};

/// What stands behind a verb.
enum class Operand { none, database, database_or_all, session, side, topic, setting };

struct VerbDescription {
    std::string_view words;  ///< "FORCE ACTIVE"; on the command line force-active
    Verb verb = Verb::show;
    Operand operand = Operand::none;
    std::span<const OptionDescription* const> options;
    std::string_view description;
    bool asks = false;  ///< a person at a terminal is asked before it is done
};

struct TopicDescription {
    std::string_view word;
    Topic topic = Topic::status;
    std::span<const Column> columns;  ///< empty: items_columns()
    std::string_view description;
};

std::span<const VerbDescription> verb_descriptions();
std::span<const TopicDescription> topic_descriptions();

/// The operand as help and manual write it: "DATABASE", "[DATABASE]", "blue|green"; empty: none.
std::string_view operand_text(Operand operand);

/// True for what [admin] stats_users may do: look.
bool only_looks(const Command& command);

/// The description of a verb.
const VerbDescription& describe(Verb verb);
/// The description of what SHOW shows.
const TopicDescription& describe(Topic topic);

/// "SWITCH", "SHOW", ...: the command tag.
std::string_view tag(Verb verb);

/// A word of this grammar as the command line writes it: MAX_PAUSE as max-pause, FORCE ACTIVE as force-active.
std::string dashed(std::string_view words);

/// The columns of the rows that the command answers with; empty: it answers without rows.
std::vector<Column> columns_of(const Command& command);

using ParsedCommands = boost::system::result<std::vector<Command>, CommandError>;
/// Reads commands that are separated by semicolons; empty ones do not count. Words are case-insensitive; values may be
/// bare words, numbers or 'strings'; -- and /* */ comments are skipped.
ParsedCommands parse_commands(std::string_view text);

}  // namespace turnout::control
