// What a session costs that does nothing: resident memory of turnout and of its peers for each idle session, and how
// many sessions a second are set up one after another.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <fstream>

#include "bench/cpu_time.hpp"
#include "bench/interrupt.hpp"
#include "bench/peers.hpp"
#include "bench/pq.hpp"
#include "bench/terminal.hpp"
#include "bench/waits.hpp"

namespace {

using namespace turnout;
using namespace turnout::bench;

namespace fs = std::filesystem;

struct Options {
    fs::path program;
    int major = 15;
    unsigned sessions = 1000;
    fs::path json;
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

    int run() {
        terminal_.live("starting everyone");
        std::vector<std::string> missing;
        const auto peers = stage_.everyone(options_.program, missing);
        std::vector<std::vector<std::string>> rows{
            {fmt::format("{} idle sessions", options_.sessions), "KB a session", "set up a second"}};
        for (const auto& peer : peers) rows.push_back(measure(peer->name(), *peer, false));
        for (const auto& peer : peers) {
            if (peer->name() == "turnout, 1 worker" || peer->name() == "PgBouncer")
                rows.push_back(measure(peer->name() + ", TLS to clients", *peer, true));
        }
        ServedOptions both = stage_.served_options(options_.program, 1);
        both.blue = with(both.blue, "sslmode", "require");
        Peer encrypted("turnout", std::move(both));
        rows.push_back(measure("turnout, 1 worker, TLS to both", encrypted, true));
        terminal_.table(rows);
        if (!missing.empty()) terminal_.line(fmt::format("not installed: {}", fmt::join(missing, ", ")));
        if (!options_.json.empty()) write_json();
        return 0;
    }

  private:
    std::vector<std::string> measure(const std::string& name, Peer& peer, bool tls) {
        peer.begin();
        std::vector<Connection> sessions;
        open(sessions, kBefore, name, peer, tls);
        const auto resident = [&] { return peer.pid() == 0 ? 0 : resident_bytes(peer.pid()); };
        const std::uint64_t before = resident();
        const Clock::time_point started = Clock::now();
        open(sessions, options_.sessions, name, peer, tls);
        const std::chrono::duration<double> took = Clock::now() - started;
        const std::uint64_t after = resident();
        const double kilobytes = (static_cast<double>(after) - static_cast<double>(before)) / 1024 / options_.sessions;
        const double per_second = options_.sessions / took.count();
        figures_.push_back({{"peer", name}, {"kb_per_session", kilobytes}, {"set_up_per_second", per_second}});
        sessions.clear();
        peer.end();
        return {name, peer.pid() == 0 && name == "direct" ? "" : fmt::format("{:.1f}", kilobytes),
                fmt::format("{:.0f}", per_second)};
    }

    /// Each says something, as a connection pool's first look does.
    void open(std::vector<Connection>& sessions, unsigned count, const std::string& name, const Peer& peer, bool tls) {
        terminal_.live(fmt::format("{}: {} sessions", name, count));
        for (unsigned i = 0; i < count; ++i) {
            check_interrupted();
            sessions.push_back(connect(stage_.conninfo(peer, tls)));
            bench::run(sessions.back().get(), "SELECT 1");
        }
    }

    void write_json() const {
        std::ofstream file(options_.json);
        file << boost::json::value(figures_) << "\n";
        if (!file.flush()) throw std::runtime_error("cannot write " + options_.json.string());
    }

    Options options_;
    Terminal& terminal_;
    PeerStage stage_;
    boost::json::array figures_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    // Built beside this program, one folder up.
    options.program = fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "turnout";
    CLI::App app{"Measures the memory of idle sessions and how fast sessions are set up."};
    app.add_option("--program", options.program, "the executable turnout")->check(CLI::ExistingFile);
    app.add_option("--major", options.major, "of the server")->capture_default_str();
    app.add_option("--sessions", options.sessions, "at once")->capture_default_str();
    app.add_option("--json", options.json, "file for every figure");
    CLI11_PARSE(app, argc, argv);
    Terminal terminal;
    try {
        catch_interrupts();
        return IdleBench(std::move(options), terminal).run();
    } catch (const Interrupted&) {
        return 130;
    } catch (const std::exception& error) {
        terminal.bad(error.what());
        return 1;
    }
}
