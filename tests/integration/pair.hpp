// Two real servers of different majors with a turnout process between them, for the tests of the whole.
#pragma once

#include <boost/json.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/pq.hpp"
#include "bench/program.hpp"
#include "bench/served.hpp"
#include "tests/support/cluster.hpp"
#include "tests/support/relay.hpp"

namespace turnout::integration {

struct PairOptions {
    int blue = 15;
    int green = 17;
    std::vector<std::string> databases{"app"};
    std::string schema;  ///< run in each database on blue, as the application's role, before turnout starts
    bool fsync = false;
    support::ClusterAuth auth = support::ClusterAuth::scram;
    /// Both servers have `ssl = on`, turnout verifies them (verify-full) and shows blue's certificate to clients.
    bool tls = false;
    std::vector<std::pair<std::string, std::string>> settings;  ///< of both servers
    std::vector<std::string> hba;                               ///< first lines of both servers' pg_hba.conf
    std::vector<std::string> listen_too;                        ///< as in ServedOptions
    std::string program = TURNOUT_PROGRAM;                      ///< what is started with `serve`
    bool cables = false;                                        ///< the network between the three can be cut
    /// More lines for turnout's configuration, as in ServedOptions.
    std::vector<std::pair<std::string, std::string>> lines;
};

/// Between whom the network can be cut.
enum class Cable { proxy_blue, proxy_green, servers };

/// The servers are made in parallel; blue gets the role `app` (which may log in, owns the databases and is no
/// superuser) and the databases. Everything is gone with the object.
class Pair {
  public:
    static constexpr const char* kRole = "app";
    static constexpr const char* kPassword = "app's password";

    explicit Pair(PairOptions options = {});

    support::Cluster& blue() { return *blue_; }
    support::Cluster& green() { return *green_; }
    bench::Served& turnout() { return *turnout_; }
    /// The server that serves the clients now.
    support::Cluster& active();
    support::Cluster& standby();

    /// What the turnout process was made from: for another one between the same servers.
    const bench::ServedOptions& served_options() const { return served_; }

    /// A conninfo through the proxy as the application.
    std::string conninfo(std::string_view database = "app") const;
    /// The same directly to a server, as the application.
    std::string direct(const support::Cluster& server, std::string_view database = "app") const;
    /// A connection through the proxy as the application.
    bench::Connection connect(std::string_view database = "app") const { return bench::connect(conninfo(database)); }

    /// Nothing passes any more between these two, and nobody is told (relay.hpp). Needs PairOptions::cables.
    void cut(Cable cable);
    void mend(Cable cable);

    /// The verbs, which must succeed. What they report.
    boost::json::object sync() { return turnout_->report({"sync"}); }
    /// `switch` from the first side, `rollback` from the second.
    boost::json::object change();

  private:
    std::string through_relay(const support::Cluster& server, Cable cable);

    PairOptions options_;
    std::unique_ptr<support::Cluster> blue_;
    std::unique_ptr<support::Cluster> green_;
    std::multimap<Cable, std::unique_ptr<support::Relay>> relays_;
    bench::ServedOptions served_;
    std::unique_ptr<bench::Served> turnout_;
};

/// The names of all slots, subscriptions, publications and schemas of turnout's that stand on a server, in the
/// databases given and server-wide.
std::vector<std::string> turnout_objects(const support::Cluster& server, const std::vector<std::string>& databases);

/// What a psql printed for a script, with -X -q -A -t; `arguments` come before the conninfo.
bench::Exit psql(const std::string& conninfo, const std::string& script, std::vector<std::string> arguments = {});

/// Runs a script of this folder with Node.js, where npm's driver `pg` is found.
bench::Program::Options node(const std::string& script, std::vector<std::string> arguments);

/// The state of a process as in /proc: 'T' for stopped, 'Z' when it has ended and was not waited for.
char process_state(pid_t pid);

/// A number for the random choices of a test: $TURNOUT_SEED, or a new one. It is printed.
std::uint64_t seed();

}  // namespace turnout::integration
