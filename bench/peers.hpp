// Who else stands between clients and a PostgreSQL server, started beside turnout for the same load in the same run.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/served.hpp"
#include "tests/support/cluster.hpp"
#include "tests/support/cluster_process.hpp"

namespace turnout::bench {

/// A process that clients connect to instead of the server. It ends with this object, or with this process.
class Peer {
  public:
    /// Another program: `arguments` are started with the configuration `configuration` (a file's name; empty: none)
    /// made of bench/peers/<configuration>, in which {port}, {server}, {directory}, {certificate}, {key} and {modules}
    /// are replaced; so they are in the arguments. Returns when it accepts connections; throws std::runtime_error with
    /// what it wrote.
    Peer(std::string name, const support::Cluster& server, std::vector<std::string> arguments,
         const std::string& configuration);
    /// turnout itself, which runs only from begin() to end(): it refuses to serve servers that another one serves.
    Peer(std::string name, ServedOptions options);
    /// Nobody: the server itself.
    Peer(std::string name, const support::Cluster& server);
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    /// Writes its configuration anew for another server, which it has to be told to read. Only for another program.
    void point_at(const support::Cluster& server) const;
    /// Writes what point_at() would into a file beside the configuration, which may replace it; returns that.
    std::filesystem::path prepare_for(const support::Cluster& server) const;
    /// The file of its configuration. Only for another program.
    std::filesystem::path configuration() const { return directory_ / configuration_; }

    /// Its turn begins, and ends.
    void begin();
    void end();

    const std::string& name() const { return name_; }
    std::uint16_t port() const { return port_; }
    /// 0: there is nobody in between.
    pid_t pid() const { return served_ ? served_->pid() : pid_; }

  private:
    /// What stands in braces in a configuration and in arguments, and what is put there.
    std::vector<std::pair<std::string, std::string>> words(const support::Cluster& server) const;
    void write_for(const support::Cluster& server, const std::filesystem::path& file) const;
    void await(const support::Cluster& server);

    std::string name_;
    std::string configuration_;
    std::uint16_t port_ = 0;
    pid_t pid_ = 0;
    std::filesystem::path directory_;
    std::unique_ptr<support::Keeper> keeper_;
    std::unique_ptr<Served> served_;
};

/// The path of a program or file of a package: below $TURNOUT_PEERS, where packages are unpacked, or the system's own.
std::filesystem::path installed(const std::filesystem::path& path);

/// The path of a file in bench/peers, from which configurations are made.
std::filesystem::path peers_file(std::string_view name);

/// Two servers with the role `app` (its password is `app`) and the database `app`: one that is measured, and one that
/// turnout has for its other side.
class PeerStage {
  public:
    /// `connections` at once are to be possible.
    PeerStage(int major, unsigned connections);

    const support::Cluster& server() const { return *blue_; }
    /// The database `app` by way of somebody; `tls`: nothing but TLS.
    std::string conninfo(const Peer& peer, bool tls = false) const;
    /// turnout's configuration between the two servers, with so many workers.
    ServedOptions served_options(const std::filesystem::path& program, unsigned workers) const;
    /// The server itself, the bare relay, turnout with one and with two workers, and those of PgBouncer, HAProxy and
    /// nginx that are installed ($TURNOUT_PEERS, where packages are unpacked, or the system). `missing` gets the names
    /// of those that are not.
    std::vector<std::unique_ptr<Peer>> everyone(const std::filesystem::path& turnout,
                                                std::vector<std::string>& missing) const;

  private:
    std::unique_ptr<support::Cluster> blue_;
    std::unique_ptr<support::Cluster> green_;
};

}  // namespace turnout::bench
