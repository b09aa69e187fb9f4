// A `turnout serve` process of one's own between two servers, and its verbs as an operator would type them.
#pragma once

#include <boost/json.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/program.hpp"
#include "tests/support/cluster_process.hpp"

namespace turnout::bench {

struct ServedOptions {
    std::filesystem::path program;  ///< the executable `turnout`, which is started with `serve`
    std::filesystem::path verbs{};  ///< the executable that the verbs are run with; empty: the same
    std::string blue;               ///< control's conninfo, without a database
    std::string green;
    std::vector<std::string> databases{"app"};
    bool start = true;  ///< false: it is configured only, and start() is called later
    /// More lines for the configuration: a section's name without brackets and the line. [switch] max_pause and the
    /// like go here.
    std::vector<std::pair<std::string, std::string>> lines;
    /// More addresses to listen at, as [proxy] listen has them; "{}" in one stands for port().
    std::vector<std::string> listen_too;
    std::filesystem::path parent;  ///< where its directory is made; empty: the system's temporary directory
};

/// A running proxy with a directory of its own (configuration, state, admin socket, log). Nothing of it outlives this
/// process, however that ends. All functions throw std::runtime_error with the end of its log. One thread at a time.
class Served {
  public:
    /// Writes the configuration and starts (see ServedOptions::start); returns when the admin socket answers.
    explicit Served(ServedOptions options);
    /// Stops it and removes its directory.
    ~Served();
    Served(const Served&) = delete;
    Served& operator=(const Served&) = delete;

    /// Starts it again after stop() or kill(), with the same configuration, ports and state; `arguments` are more for
    /// `serve`.
    void start(const std::vector<std::string>& arguments = {});
    /// SIGTERM, and waits for its end; returns the exit status.
    int stop();
    void kill();
    bool running();

    std::uint16_t port() const { return port_; }
    std::uint16_t metrics_port() const { return metrics_port_; }
    pid_t pid() const { return pid_; }
    const std::filesystem::path& directory() const { return directory_; }
    std::filesystem::path configuration() const { return directory_ / "turnout.toml"; }
    std::string log() const;

    /// A conninfo through the proxy.
    std::string conninfo(std::string_view user, std::string_view password, std::string_view database = "app") const;

    /// A verb with its arguments, started: `{"switch", "--json"}`. --admin is added.
    Program::Options verb(std::vector<std::string> arguments) const;
    /// A verb, run to its end.
    Exit run(std::vector<std::string> arguments, std::function<void(std::string_view)> on_error_line = {}) const;
    /// A verb with --json that must succeed; what it printed.
    boost::json::object report(std::vector<std::string> arguments,
                               std::function<void(std::string_view)> on_error_line = {}) const;
    /// `switch` or `rollback`, to the side that is not active; its report.
    boost::json::object change() const;
    /// `show status --json`.
    boost::json::object status() const { return report({"show", "status"}); }

  private:
    void write_configuration() const;
    std::runtime_error failure(const std::string& what) const;

    ServedOptions options_;
    std::filesystem::path directory_;
    std::unique_ptr<support::Keeper> keeper_;
    std::uint16_t port_ = 0;
    std::uint16_t metrics_port_ = 0;
    pid_t pid_ = -1;
};

/// A TCP port of 127.0.0.1 that nobody listens on now, outside the range that the kernel gives to clients.
std::uint16_t free_port();

}  // namespace turnout::bench
