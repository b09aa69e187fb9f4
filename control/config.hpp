// turnout.toml: what may be written there, and what it says. One table (config_table.cpp) names every key with its
// type, default, whether RELOAD changes it and what it is for; parsing, SHOW CONFIG and the manual are driven by it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "control/data_plane.hpp"

namespace turnout::control {

/// What happens to transactions that are still running when the gate closes: they are waited for, their statement is
/// cancelled, or they finish on the old side without writing (DESIGN.md, "Policies").
enum class LongTransactions { wait, cancel, read_only };

/// What happens to sessions that reach the active side without this proxy: the switch refuses, or ends them at the
/// fence.
enum class Bypassing { refuse, end };

enum class LogFormat { text, json };
enum class LogLevel { trace, debug, info, warn, error };

/// [side.blue] and [side.green].
struct SideConfig {
    std::string url;              ///< control's own connection; may hold a password: never printed as it is
    std::string replication_url;  ///< how the *other* server reaches this one; empty: as control does
};

/// [auth], as far as control needs it.
struct AuthConfig {
    std::string auth_file;   ///< PgBouncer's format: "user" "verifier"; empty: the active side is asked
    std::string auth_query;  ///< what the active side is asked, for $1 the role; empty: pg_authid
};

/// [switch].
struct SwitchConfig {
    std::vector<std::string> databases;
    std::string journal_database;
    Milliseconds max_pause{0};
    Milliseconds deadline{0};
    PinnedPolicy pinned = PinnedPolicy::wait;
    LongTransactions long_transactions = LongTransactions::wait;
    Bypassing bypassing = Bypassing::refuse;
    Milliseconds watch{0};    ///< 0: a switch is not watched
    std::string rollback_if;  ///< as parse_watch_limits() reads it; empty: never
    std::string hold_file;    ///< while it exists, switches are refused; empty: there is none
    std::string pg_bin;       ///< directory of pg_dump and pg_restore; empty: the newest that is found
};

/// What becomes of a verb whose hook before it fails.
enum class HookFailure { refuse, go_on };

/// [hooks]: programs of the operator's, run without a shell and without arguments.
struct HooksConfig {
    std::string before_sync;  ///< those before a verb may refuse it
    std::string after_sync;   ///< the others are told; nobody waits for them
    std::string before_switch;
    std::string phase;
    std::string after_switch;
    std::string before_finish;
    std::string after_finish;
    HookFailure on_failure = HookFailure::refuse;
    Milliseconds timeout{0};
};

/// [log].
struct LogConfig {
    LogFormat format = LogFormat::text;
    LogLevel level = LogLevel::info;
    std::string file;  ///< empty: standard error
};

/// Everything turnout.toml says, defaults filled in.
struct Config {
    std::string file;  ///< where it was read from
    DataPlaneSettings data_plane;
    std::string state_file;         ///< [proxy] state
    Milliseconds shutdown_timeout;  ///< [proxy] shutdown_timeout
    AuthConfig auth;
    std::array<SideConfig, 2> sides;
    SwitchConfig switching;
    HooksConfig hooks;
    std::string admin_directory;           ///< [admin] socket
    std::vector<std::string> admin_users;  ///< [admin] admin_users
    std::vector<std::string> stats_users;  ///< [admin] stats_users
    std::string report_directory;          ///< [report] directory; relative: to the state file's; empty: none
    std::string metrics_listen;            ///< [metrics] listen; empty: none
    LogConfig log;
};

/// One thing that is wrong with a configuration, and where.
struct ConfigProblem {
    std::string file;
    unsigned line = 0;  ///< from 1; 0: the file as a whole
    unsigned column = 0;
    std::string message;  ///< a sentence

    /// "turnout.toml:12:1: unknown key ..."
    std::string text() const;
};

/// A configuration that is refused, with all that is wrong with it; what() has one line for each problem.
class ConfigRefused : public std::runtime_error {
  public:
    explicit ConfigRefused(std::vector<ConfigProblem> problems);
    const std::vector<ConfigProblem>& problems() const { return problems_; }

  private:
    std::vector<ConfigProblem> problems_;
};

/// Reads a configuration from text; `file` is the name used in messages. Throws ConfigRefused.
Config parse_config(std::string_view text, const std::string& file);

/// `running` with one key changed, as SET does; `value` as it is typed, without quotes. Throws ConfigRefused, also for
/// a key that only a restart changes.
Config changed(const Config& running, std::string_view path, std::string_view value);

/// Where reports are kept: an absolute directory, or empty.
std::filesystem::path report_directory(const Config& config);

/// Reads the file. Throws ConfigRefused, also when it cannot be read.
Config load_config(const std::filesystem::path& file);

/// What RELOAD takes over: `fresh`, except for the keys that only a restart changes, which stay as `running` has them
/// and are named in `unchanged` ("proxy.workers").
Config reloaded(const Config& running, const Config& fresh, std::vector<std::string>& unchanged);

/// One row of SHOW CONFIG, in PgBouncer's columns.
struct ConfigRow {
    std::string key;            ///< "switch.max_pause"
    std::string value;          ///< passwords hidden
    std::string default_value;  ///< empty: it has none and must be given, or is empty by default
    bool changeable = false;    ///< by RELOAD
    std::string description;
};
std::vector<ConfigRow> config_rows(const Config& config);

/// True if a connection string in it carries a password: the file should then be readable by its owner only.
bool has_passwords(const Config& config);

}  // namespace turnout::control
