// What a session costs that does nothing: resident memory of turnout and of its peers for each idle session, and how
// many sessions a second are set up one after another.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <thread>

#include "bench/bench_main.hpp"
#include "bench/cpu_time.hpp"
#include "bench/interrupt.hpp"
#include "bench/peers.hpp"
#include "bench/pq.hpp"
#include "bench/terminal.hpp"
#include "bench/waits.hpp"

namespace {

using namespace turnout;
using namespace turnout::bench;

struct Options : BenchOptions {
    unsigned sessions = 1000;
    unsigned seconds = 15;
    std::vector<std::string> only;  ///< those that are measured; empty: all
};

/// Sessions that have been used before memory is looked at, so that what is allocated once is not counted. The server
/// has room for twice as many as there are: those of the peer before may take a moment to end.
constexpr unsigned kBefore = 16;

class IdleBench {
  public:
    IdleBench(Options options, Terminal& terminal)
        : options_(std::move(options)),
          terminal_(terminal),
          stage_(options_.major, 2 * (options_.sessions + kBefore)) {}

    void run() {
        terminal_.live("starting everyone");
        std::vector<std::string> missing;
        const auto peers = stage_.everyone(options_.program, missing);
        for (const auto& peer : peers) measure(peer->name(), *peer, Tls::none);
        for (const auto& peer : peers) {
            if (peer->name() == "turnout, 1 worker" || peer->name() == "PgBouncer")
                measure(peer->name() + ", TLS to clients", *peer, Tls::clients);
        }
        ServedOptions both = stage_.served_options(options_.program, 1);
        both.blue = with(both.blue, "sslmode", "require");
        Peer encrypted("turnout", std::move(both));
        measure("turnout, 1 worker, TLS to both", encrypted, Tls::both);
        terminal_.table(rows_);
        if (!missing.empty()) terminal_.line(fmt::format("not installed: {}", fmt::join(missing, ", ")));
    }

  private:
    enum class Tls { none, clients, both };

    void measure(const std::string& name, Peer& peer, Tls legs) {
        const auto& only = options_.only;
        if (!only.empty() && std::find(only.begin(), only.end(), name) == only.end()) return;
        const bool tls = legs != Tls::none;
        await_empty_server();
        peer.begin();
        std::vector<Connection> sessions;
        const std::string conninfo = stage_.conninfo(peer, tls);
        for (unsigned i = 0; i < kBefore; ++i) open(sessions, conninfo);
        const auto server_has =
            value(sessions.front().get(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
        if (peer.pid() != 0 && server_has != (legs == Tls::both ? "t" : "f"))
            throw std::runtime_error(name + " does not reach the server as it should");
        const auto resident = [&] { return peer.pid() == 0 ? 0 : resident_bytes(peer.pid()); };
        const std::uint64_t before = resident();
        const Clock::time_point started = Clock::now();
        unsigned count = 0;
        while (count < options_.sessions && Clock::now() - started < std::chrono::seconds(options_.seconds)) {
            terminal_.live(fmt::format("{}: {} sessions", name, count));
            open(sessions, conninfo);
            ++count;
        }
        const std::chrono::duration<double> took = Clock::now() - started;
        const std::uint64_t after = resident();
        const double kilobytes = (static_cast<double>(after) - static_cast<double>(before)) / 1024 / count;
        const double per_second = count / took.count();
        figures_.push_back(
            {{"peer", name}, {"sessions", count}, {"kb_per_session", kilobytes}, {"set_up_per_second", per_second}});
        write_json(options_, figures_);
        sessions.clear();
        peer.end();
        rows_.push_back({name, std::to_string(count), name == "direct" ? "" : fmt::format("{:.1f}", kilobytes),
                         fmt::format("{:.0f}", per_second)});
    }

    /// Thousands of backends that end take the processors for a minute, and PgBouncer keeps its own for later clients.
    void await_empty_server() {
        const Connection server = connect(stage_.server().conninfo("app"));
        const std::string ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'app'";
        while (value(server.get(), ended) != "0") {
            check_interrupted();
            terminal_.live("waiting until the server's last sessions have ended");
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
    }

    /// It says something, as a connection pool's first look does.
    static void open(std::vector<Connection>& sessions, const std::string& conninfo) {
        check_interrupted();
        sessions.push_back(connect(conninfo));
        bench::run(sessions.back().get(), "SELECT 1");
    }

    Options options_;
    Terminal& terminal_;
    PeerStage stage_;
    std::vector<std::vector<std::string>> rows_{{"", "idle sessions", "KB a session", "set up a second"}};
    boost::json::array figures_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    return bench_main(
        argc, argv, "Measures the memory of idle sessions and how fast sessions are set up.", options,
        [&](CLI::App& app) {
            app.add_option("--sessions", options.sessions, "at once")->capture_default_str();
            app.add_option("--seconds", options.seconds, "to set up those of one: fewer, where it takes longer")
                ->check(CLI::PositiveNumber)
                ->capture_default_str();
            app.add_option("--only", options.only, "as the table names them: all, where it is not given");
        },
        [&](Terminal& terminal) {
            IdleBench(options, terminal).run();
            return 0;
        });
}
