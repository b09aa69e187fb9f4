// Throw-away PostgreSQL servers for the tests, the demo and the benchmarks: real ones, of any major that is installed.
//
//     turnout::support::Cluster blue({.major = 15, .name = "blue"});
//     blue.execute("CREATE DATABASE app");
//     blue.crash();
//     blue.start();
//
// Whatever happens to the process that made it, nothing stays behind: a keeper process (cluster_process.hpp) ends the
// server and removes its directory as soon as that process is gone, be it by SIGKILL.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace turnout::support {

/// The directory with `initdb` and `postgres` of a major version, or nothing if it is not installed. Looked for in
/// $TURNOUT_PG_<major>_BIN, in /usr/lib/postgresql/<major>/bin, and below $TURNOUT_PG_ROOT or the place where
/// `./dev setup` unpacks servers: <root>/<major>/native/bin. Symbolic links are resolved.
std::optional<std::filesystem::path> server_binaries(int major);

/// All majors for which server_binaries() finds something, ascending.
std::vector<int> majors_available();

/// A directory with `pg_dump`, `pg_restore` and `psql` of this major or a newer one (pg_dump refuses servers newer than
/// itself), or nothing. Looked for in $TURNOUT_PG_BIN, in /usr/lib/postgresql/*/bin, and where `./dev setup` unpacks
/// them.
std::optional<std::filesystem::path> client_binaries(int major);

/// How TCP and socket connections prove who they are (pg_hba.conf).
enum class ClusterAuth { trust, md5, scram };

struct ClusterOptions {
    int major = 15;
    std::string name = "server";  ///< part of the directory's name and of messages
    /// Lines for postgresql.conf, after the fixture's own: the last one wins.
    std::vector<std::pair<std::string, std::string>> settings;
    bool fsync = true;
    ClusterAuth auth = ClusterAuth::trust;
    std::string password = "postgres";  ///< of the superuser `postgres`
    bool tls = false;                   ///< serve TLS with a self-signed certificate, see certificate()
    std::vector<std::string> hba;       ///< lines that come before the fixture's own in pg_hba.conf
    std::filesystem::path parent;       ///< where its directory is made; empty: the system's temporary directory
    std::uint16_t port = 0;             ///< 0: a free one, below the range that the kernel gives to clients
};

/// One PostgreSQL server in a directory of its own, listening on 127.0.0.1 and on a Unix socket. It is made for logical
/// replication (wal_level, slots, senders and workers are plenty). Run by root, the server runs as $TURNOUT_PG_USER, or
/// `postgres`, or `nobody`. All functions throw std::runtime_error with the end of the server's log. Not thread-safe:
/// one object, one thread at a time; several objects may be made in parallel.
class Cluster {
  public:
    /// Runs initdb and starts the server; returns when it accepts connections.
    explicit Cluster(ClusterOptions options);
    /// Stops the server and removes its directory.
    ~Cluster();
    Cluster(const Cluster&) = delete;
    Cluster& operator=(const Cluster&) = delete;

    /// Starts a server that is down, on the same port; returns when it accepts connections. `extra_settings` hold for
    /// this run only.
    void start(const std::vector<std::pair<std::string, std::string>>& extra_settings = {});
    /// Ends all sessions and stops (a "fast" shutdown, with a checkpoint). A frozen server is thawed first.
    void stop();
    /// stop() and start().
    void restart();
    /// Kills every process of the server at once, as a power cut would (what the kernel has taken survives, though).
    /// Returns when they are gone, so that start() may follow.
    void crash();
    /// Stops every process with SIGSTOP: connections stay and nothing answers. thaw() lets them go on.
    void freeze();
    void thaw();
    /// True between start() and stop() or crash(), also if the server has died by itself meanwhile.
    bool running() const;

    int major() const;
    const std::string& name() const;
    std::uint16_t port() const;
    /// The server's own directory: its socket, `log`, and `data` below it.
    const std::filesystem::path& directory() const;
    /// Everything the server and initdb have printed.
    std::string log() const;
    /// The certificate that the server shows; it is also the root to verify it by (127.0.0.1 and localhost). Needs
    /// `tls`.
    std::filesystem::path certificate() const;

    /// A libpq conninfo by TCP for the superuser. An empty `database` leaves dbname out.
    std::string conninfo(std::string_view database = "postgres") const;
    /// The same through the Unix socket.
    std::string socket_conninfo(std::string_view database = "postgres") const;

    /// Runs `sql` (several commands may be one) on a new connection as superuser.
    void execute(const std::string& sql, std::string_view database = "postgres") const;
    /// Runs `sql` and returns the first column of its first row; empty for NULL and for no row.
    std::string value(const std::string& sql, std::string_view database = "postgres") const;
    /// Adds lines to postgresql.conf for good; they hold from the next start, or a pg_reload_conf().
    void configure(const std::vector<std::pair<std::string, std::string>>& settings);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace turnout::support
