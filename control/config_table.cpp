#include "control/config_table.hpp"

#include <array>

namespace turnout::control {
namespace {

template <class Enum>
ChoiceSlot choice(Enum& value, std::vector<std::string_view> words) {
    return {std::move(words), [&value] { return static_cast<std::size_t>(value); },
            [&value](std::size_t chosen) { value = static_cast<Enum>(chosen); }};
}

template <class Integer>
IntegerSlot integer(Integer& value, std::uint64_t least, std::uint64_t most) {
    return {least, most, [&value] { return static_cast<std::uint64_t>(value); },
            [&value](std::uint64_t given) { value = static_cast<Integer>(given); }};
}

constexpr bool kReload = true;
constexpr bool kRestart = false;
constexpr bool kSecret = true;
constexpr bool kOpen = false;
constexpr std::string_view kRequired{};

SideConfig& blue(Config& c) { return c.sides[index(Side::blue)]; }
SideConfig& green(Config& c) { return c.sides[index(Side::green)]; }

// Words of a choice stand in the order of its enum. Defaults are written as in the file.
constexpr std::array kKeys{
    ConfigKey{"proxy", "listen", R"(["127.0.0.1:6432"])", kRestart, kOpen,
              "Where clients connect: \"host:port\", \"[v6]:port\" or \"unix:/directory\".",
              [](Config& c) -> Slot { return &c.data_plane.listen; }},
    ConfigKey{"proxy", "workers", "0", kRestart, kOpen, "Threads that carry sessions; 0: one per core.",
              [](Config& c) -> Slot { return integer(c.data_plane.workers, 0, 1024); }},
    ConfigKey{"proxy", "state", R"("/var/lib/turnout/state")", kRestart, kOpen,
              "File that keeps the highest generation ever served, and nothing else.",
              [](Config& c) -> Slot { return &c.state_file; }},
    ConfigKey{"proxy", "max_client_connections", "10000", kReload, kOpen,
              "Sessions at one time; one more is refused with 53300.",
              [](Config& c) -> Slot { return integer(c.data_plane.max_client_connections, 1, 1'000'000); }},
    ConfigKey{"proxy", "superuser_reserved_connections", "3", kReload, kOpen,
              "So many of max_client_connections, the last ones, are kept for superusers.",
              [](Config& c) -> Slot { return integer(c.data_plane.superuser_reserved_connections, 0, 1'000'000); }},
    ConfigKey{"proxy", "reserved_connections", "0", kReload, kOpen,
              "So many more, before those, are kept for members of pg_use_reserved_connections.",
              [](Config& c) -> Slot { return integer(c.data_plane.reserved_connections, 0, 1'000'000); }},
    ConfigKey{"proxy", "login_timeout", R"("60s")", kReload, kOpen,
              "From accept to the first ReadyForQuery, without the time spent at a closed gate.",
              [](Config& c) -> Slot { return &c.data_plane.login_timeout; }},
    ConfigKey{"proxy", "client_idle_timeout", R"("0s")", kReload, kOpen,
              "A session that is idle for so long, outside a transaction, is ended with 57P05; \"0s\": never.",
              [](Config& c) -> Slot { return &c.data_plane.client_idle_timeout; }},
    ConfigKey{"proxy", "tcp_keepalives_idle", R"("60s")", kReload, kOpen,
              "Silence after which a client's connection is probed; \"0s\": it never is.",
              [](Config& c) -> Slot { return &c.data_plane.tcp.keepalives_idle; }},
    ConfigKey{"proxy", "tcp_keepalives_interval", R"("10s")", kReload, kOpen, "Time between two such probes.",
              [](Config& c) -> Slot { return &c.data_plane.tcp.keepalives_interval; }},
    ConfigKey{"proxy", "tcp_keepalives_count", "6", kReload, kOpen,
              "Probes without an answer after which the client counts as gone.",
              [](Config& c) -> Slot { return integer(c.data_plane.tcp.keepalives_count, 1, 127); }},
    ConfigKey{"proxy", "tcp_user_timeout", R"("0s")", kReload, kOpen,
              "A client that acknowledges nothing of what was sent for so long counts as gone; \"0s\": the system's "
              "default.",
              [](Config& c) -> Slot { return &c.data_plane.tcp.user_timeout; }},
    ConfigKey{"proxy", "claim_watchdog", R"("10s")", kRestart, kOpen,
              "A claimed switch that shows no life for so long ends the process, so that recovery decides.",
              [](Config& c) -> Slot { return &c.data_plane.claim_watchdog; }},
    ConfigKey{"proxy", "shutdown_timeout", R"("60s")", kReload, kOpen,
              "How long a graceful stop waits for running transactions.",
              [](Config& c) -> Slot { return &c.shutdown_timeout; }},

    ConfigKey{"proxy.tls", "mode", R"("disable")", kReload, kOpen,
              "TLS towards clients: \"require\" refuses sessions without it, except on Unix sockets.",
              [](Config& c) -> Slot {
                  return choice(c.data_plane.tls.mode, {"disable", "allow", "require"});
              }},
    ConfigKey{"proxy.tls", "cert", R"("")", kReload, kOpen, "File with the certificate chain shown to clients (PEM).",
              [](Config& c) -> Slot { return &c.data_plane.tls.certificate; }},
    ConfigKey{"proxy.tls", "key", R"("")", kReload, kOpen, "File with the certificate's private key (PEM).",
              [](Config& c) -> Slot { return &c.data_plane.tls.key; }},
    ConfigKey{"proxy.tls", "client_ca", R"("")", kReload, kOpen,
              "File with the authorities of client certificates; empty: none are asked for.",
              [](Config& c) -> Slot { return &c.data_plane.tls.client_ca; }},
    ConfigKey{
        "proxy.tls", "client_crl", R"("")", kReload, kOpen,
        "File with lists of revoked certificates (PEM), one of each authority of client_ca; they may stand in that "
        "file, too.",
        [](Config& c) -> Slot { return &c.data_plane.tls.client_crl; }},

    ConfigKey{"auth", "method", R"("scram")", kReload, kOpen,
              "How clients prove who they are. With \"md5\" a role that has a SCRAM verifier is asked for SCRAM.",
              [](Config& c) -> Slot {
                  return choice(c.data_plane.auth, {"trust", "password", "md5", "scram"});
              }},
    ConfigKey{"auth", "auth_file", R"("")", kReload, kOpen,
              "File with roles and verifiers in PgBouncer's format, asked before the active side.",
              [](Config& c) -> Slot { return &c.auth.auth_file; }},
    ConfigKey{
        "auth", "auth_query", R"("")", kRestart, kOpen,
        "SQL that gives name and verifier of role $1, run in journal_database with names qualified; empty: pg_authid.",
        [](Config& c) -> Slot { return &c.auth.auth_query; }},
    ConfigKey{"auth", "hba_file", R"("")", kReload, kOpen,
              "File in pg_hba.conf's format: who may use which method from where. It decides alone: \"method\", "
              "\"trust_remote\" and \"superusers_remote\" hold only without it.",
              [](Config& c) -> Slot { return &c.data_plane.hba_file; }},
    ConfigKey{"auth", "ident_file", R"("")", kReload, kOpen,
              "File in pg_ident.conf's format: the maps that hba_file names.",
              [](Config& c) -> Slot { return &c.data_plane.ident_file; }},
    ConfigKey{"auth", "trust_remote", "false", kReload, kOpen,
              "Accept method \"trust\" from other hosts too, not on loopback and Unix sockets only.",
              [](Config& c) -> Slot { return &c.data_plane.trust_remote; }},
    ConfigKey{"auth", "superusers_remote", "false", kReload, kOpen,
              "Accept superusers from other hosts too, not on loopback and Unix sockets only.",
              [](Config& c) -> Slot { return &c.data_plane.superusers_remote; }},

    ConfigKey{"side.blue", "url", kRequired, kRestart, kSecret,
              "Control's own connection to blue: a libpq conninfo or URI without a database.",
              [](Config& c) -> Slot { return &blue(c).url; }},
    ConfigKey{"side.blue", "replication_url", R"("")", kRestart, kSecret,
              "How green's server reaches blue for replication; empty: as control does.",
              [](Config& c) -> Slot { return &blue(c).replication_url; }},
    ConfigKey{"side.green", "url", kRequired, kRestart, kSecret,
              "Control's own connection to green: a libpq conninfo or URI without a database.",
              [](Config& c) -> Slot { return &green(c).url; }},
    ConfigKey{"side.green", "replication_url", R"("")", kRestart, kSecret,
              "How blue's server reaches green for replication; empty: as control does.",
              [](Config& c) -> Slot { return &green(c).replication_url; }},

    ConfigKey{"switch", "databases", kRequired, kRestart, kOpen,
              "The databases that are switched, together; a login to another is refused.",
              [](Config& c) -> Slot { return &c.switching.databases; }},
    ConfigKey{"switch", "journal_database", R"("postgres")", kRestart, kOpen,
              "The database, on both sides, that keeps the journal; never switched itself.",
              [](Config& c) -> Slot { return &c.switching.journal_database; }},
    ConfigKey{"switch", "max_pause", R"("100ms")", kReload, kOpen,
              "The longest that one attempt may hold clients; then they go on with the old side.",
              [](Config& c) -> Slot { return &c.switching.max_pause; }},
    ConfigKey{"switch", "deadline", R"("60s")", kReload, kOpen,
              "How long a switch looks for a good moment and tries again before it gives up.",
              [](Config& c) -> Slot { return &c.switching.deadline; }},
    ConfigKey{"switch", "pinned", R"("wait")", kReload, kOpen,
              "Sessions that cannot be moved: wait for them until the deadline, end them, or refuse the switch.",
              [](Config& c) -> Slot {
                  return choice(c.switching.pinned, {"wait", "end", "refuse"});
              }},
    ConfigKey{"switch", "long_transactions", R"("wait")", kReload, kOpen,
              "Transactions that outlast max_pause: wait, cancel their statement, or finish read-only on the old side.",
              [](Config& c) -> Slot {
                  return choice(c.switching.long_transactions, {"wait", "cancel", "read_only"});
              }},
    ConfigKey{"switch", "bypassing", R"("refuse")", kReload, kOpen,
              "Sessions that reach the active side without this proxy: refuse the switch, or end them at the fence.",
              [](Config& c) -> Slot {
                  return choice(c.switching.bypassing, {"refuse", "end"});
              }},
    ConfigKey{"switch", "watch", R"("0")", kReload, kOpen,
              "How long the new side is compared with the old one after a switch; \"0\": not at all.",
              [](Config& c) -> Slot { return &c.switching.watch; }},
    ConfigKey{"switch", "rollback_if", R"("")", kReload, kOpen,
              "When a watched switch is rolled back by itself, such as \"errors=1%,latency=200%\"; empty: never.",
              [](Config& c) -> Slot { return &c.switching.rollback_if; }},
    ConfigKey{"switch", "hold_file", R"("")", kReload, kOpen,
              "While this file exists, switch and rollback are refused; empty: no file does that.",
              [](Config& c) -> Slot { return &c.switching.hold_file; }},
    ConfigKey{"switch", "pg_bin", R"("")", kReload, kOpen,
              "Directory of pg_dump and pg_restore; empty: the newest that is found.",
              [](Config& c) -> Slot { return &c.switching.pg_bin; }},

    ConfigKey{"hooks", "before_sync", R"("")", kReload, kOpen,
              "Program run before sync, with the facts in its environment and as JSON on its standard input; if it "
              "fails, see on_failure. See HOOKS.",
              [](Config& c) -> Slot { return &c.hooks.before_sync; }},
    ConfigKey{
        "hooks", "after_sync", R"("")", kReload, kOpen,
        "Program run when sync has ended, done or failed, if before_sync had its turn; nobody waits for it. See HOOKS.",
        [](Config& c) -> Slot { return &c.hooks.after_sync; }},
    ConfigKey{"hooks", "before_switch", R"("")", kReload, kOpen,
              "Program run before a switch or rollback, when all checks have passed; told as before_sync is.",
              [](Config& c) -> Slot { return &c.hooks.before_switch; }},
    ConfigKey{
        "hooks", "phase", R"("")", kReload, kOpen,
        "Program told each phase of a switch or rollback as it begins, in TURNOUT_PHASE; those of the window when it "
        "is over, with how long each took. Nobody waits for it, and none is started while the gate is closed. See "
        "HOOKS.",
        [](Config& c) -> Slot { return &c.hooks.phase; }},
    ConfigKey{"hooks", "after_switch", R"("")", kReload, kOpen,
              "Program run when a switch or rollback has ended, whatever its outcome; told as after_sync is.",
              [](Config& c) -> Slot { return &c.hooks.after_switch; }},
    ConfigKey{"hooks", "before_finish", R"("")", kReload, kOpen,
              "Program run before finish or abort; told as before_sync is.",
              [](Config& c) -> Slot { return &c.hooks.before_finish; }},
    ConfigKey{"hooks", "after_finish", R"("")", kReload, kOpen,
              "Program run when a finish or abort has ended, done or failed; told as after_sync is.",
              [](Config& c) -> Slot { return &c.hooks.after_finish; }},
    ConfigKey{
        "hooks", "on_failure", R"("refuse")", kReload, kOpen,
        "When a program before a verb fails: refuse the verb, or go on with a warning in the log. Where others fail "
        "the log says so.",
        [](Config& c) -> Slot {
            return choice(c.hooks.on_failure, {"refuse", "go_on"});
        }},
    ConfigKey{"hooks", "timeout", R"("60s")", kReload, kOpen, "A hook that takes longer is ended, and has failed.",
              [](Config& c) -> Slot { return &c.hooks.timeout; }},

    ConfigKey{"admin", "socket", R"("/run/turnout")", kRestart, kOpen,
              "Directory of the admin socket, whose name is .s.PGSQL.6432.",
              [](Config& c) -> Slot { return &c.admin_directory; }},
    ConfigKey{"admin", "admin_users", "[]", kRestart, kOpen,
              "Who else may use the console, all verbs, under the own name: users of this system on the admin socket, "
              "roles of the active side where \"remote\" lets clients come.",
              [](Config& c) -> Slot { return &c.admin_users; }},
    ConfigKey{"admin", "stats_users", "[]", kRestart, kOpen,
              "Users who may only look: SHOW. A name in both lists may do everything.",
              [](Config& c) -> Slot { return &c.stats_users; }},

    ConfigKey{"admin", "remote", "false", kRestart, kOpen,
              "Answer for the databases turnout and pgbouncer on [proxy] listen, too: who is named in admin_users or "
              "stats_users logs in there like any client, by [auth] and over TLS as [proxy.tls] has it.",
              [](Config& c) -> Slot { return &c.data_plane.console; }},

    ConfigKey{"report", "directory", R"("reports")", kRestart, kOpen,
              "Directory for the reports of switches, relative to the state file's; empty: none are kept.",
              [](Config& c) -> Slot { return &c.report_directory; }},

    ConfigKey{"metrics", "listen", R"("127.0.0.1:9632")", kRestart, kOpen,
              "Where /metrics, /healthz, /readyz and the status page are served; empty: nowhere.",
              [](Config& c) -> Slot { return &c.metrics_listen; }},

    ConfigKey{"log", "format", R"("text")", kReload, kOpen, "Lines for people, or one JSON object a line.",
              [](Config& c) -> Slot {
                  return choice(c.log.format, {"text", "json"});
              }},
    ConfigKey{"log", "level", R"("info")", kReload, kOpen, "The least severe level that is written.",
              [](Config& c) -> Slot {
                  return choice(c.log.level, {"trace", "debug", "info", "warn", "error"});
              }},
    ConfigKey{"log", "file", R"("")", kReload, kOpen, "File to append to; empty: standard error.",
              [](Config& c) -> Slot { return &c.log.file; }},
};

struct TypeName {
    std::string operator()(const std::string*) const { return "a string"; }
    std::string operator()(const std::vector<std::string>*) const { return "a list of strings"; }
    std::string operator()(const bool*) const { return "true or false"; }
    std::string operator()(const Milliseconds*) const { return "a duration in quotes"; }
    std::string operator()(const IntegerSlot& slot) const {
        return "a whole number from " + std::to_string(slot.least) + " to " + std::to_string(slot.most);
    }
    std::string operator()(const ChoiceSlot& slot) const {
        std::string text;
        for (std::size_t i = 0; i < slot.words.size(); ++i) {
            if (i > 0) text += i + 1 == slot.words.size() ? " or " : ", ";
            text.append("\"").append(slot.words[i]).append("\"");
        }
        return text;
    }
};

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

std::string type_name(const Slot& slot) { return std::visit(TypeName{}, slot); }

}  // namespace turnout::control
