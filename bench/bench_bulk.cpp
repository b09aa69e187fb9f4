// Much data in one go: COPY out, COPY in and a large SELECT by way of turnout, of its peers, of a bare relay and of
// nobody, in turns.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>

#include <boost/json.hpp>

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
    unsigned megabytes = 256;
    unsigned repetitions = 3;
};

/// One transfer.
struct Sample {
    double megabytes_per_second = 0;
    double cpu_per_gigabyte = 0;  ///< seconds of the proxy
};

constexpr std::size_t kLine = 128;

/// Each returns the bytes of data that went through.
std::uint64_t copy_out(PGconn* connection) {
    const Result begun(PQexec(connection, "COPY bulk TO STDOUT"));
    if (PQresultStatus(begun.get()) != PGRES_COPY_OUT) throw Failure(PQerrorMessage(connection), "");
    std::uint64_t bytes = 0;
    char* row = nullptr;
    for (int size = 0; (size = PQgetCopyData(connection, &row, 0)) > 0; PQfreemem(row)) {
        bytes += static_cast<std::uint64_t>(size);
        check_interrupted();
    }
    while (const Result end{PQgetResult(connection)}) {
        if (PQresultStatus(end.get()) != PGRES_COMMAND_OK) throw Failure(PQerrorMessage(connection), "");
    }
    return bytes;
}

std::uint64_t copy_in(PGconn* connection, std::uint64_t wanted) {
    run(connection, "TRUNCATE sink");
    const Result begun(PQexec(connection, "COPY sink FROM STDIN"));
    if (PQresultStatus(begun.get()) != PGRES_COPY_IN) throw Failure(PQerrorMessage(connection), "");
    std::string chunk;
    while (chunk.size() < 64 * 1024) chunk += std::string(kLine - 1, 'x') + '\n';
    std::uint64_t bytes = 0;
    for (; bytes < wanted; bytes += chunk.size()) {
        check_interrupted();
        if (PQputCopyData(connection, chunk.data(), static_cast<int>(chunk.size())) != 1)
            throw Failure(PQerrorMessage(connection), "");
    }
    PQputCopyEnd(connection, nullptr);
    while (const Result end{PQgetResult(connection)}) {
        if (PQresultStatus(end.get()) != PGRES_COMMAND_OK) throw Failure(PQerrorMessage(connection), "");
    }
    return bytes;
}

std::uint64_t select(PGconn* connection) {
    if (PQsendQuery(connection, "SELECT line FROM bulk") != 1 || PQsetSingleRowMode(connection) != 1)
        throw Failure(PQerrorMessage(connection), "");
    std::uint64_t bytes = 0;
    while (const Result row{PQgetResult(connection)}) {
        if (PQresultStatus(row.get()) == PGRES_SINGLE_TUPLE) {
            bytes += static_cast<std::uint64_t>(PQgetlength(row.get(), 0, 0));
        } else if (PQresultStatus(row.get()) != PGRES_TUPLES_OK) {
            throw Failure(PQerrorMessage(connection), "");
        }
    }
    return bytes;
}

class BulkBench {
  public:
    BulkBench(Options options, Terminal& terminal)
        : options_(std::move(options)), terminal_(terminal), stage_(options_.major, 50) {}

    void run() {
        terminal_.live("filling a table, starting everyone");
        std::vector<std::string> missing;
        const auto peers = stage_.everyone(options_.program, missing);
        const std::uint64_t bytes = std::uint64_t{options_.megabytes} * 1024 * 1024;
        bench::run(connect(stage_.conninfo(*peers.front())).get(),
                   fmt::format("CREATE UNLOGGED TABLE sink (line text); CREATE UNLOGGED TABLE bulk (line text); "
                               "INSERT INTO bulk SELECT repeat('x', {}) FROM generate_series(1, {})",
                               kLine - 1, bytes / kLine));
        measure("COPY out", peers, copy_out);
        measure("COPY in", peers, [bytes](PGconn* connection) { return copy_in(connection, bytes); });
        measure("SELECT", peers, select);
        if (!missing.empty()) terminal_.line(fmt::format("not installed: {}", fmt::join(missing, ", ")));
        write_json(options_, figures_);
    }

  private:
    void measure(const std::string& what, const std::vector<std::unique_ptr<Peer>>& peers,
                 const std::function<std::uint64_t(PGconn*)>& transfer) {
        std::map<const Peer*, std::vector<Sample>> samples;
        for (unsigned i = 0; i < options_.repetitions; ++i) {
            for (const auto& peer : peers) {
                terminal_.live(fmt::format("{}: {} ({} of {})", what, peer->name(), i + 1, options_.repetitions));
                peer->begin();
                samples[peer.get()].push_back(sample(*peer, transfer));
                peer->end();
            }
        }
        terminal_.heading(fmt::format("{}, {} MB", what, options_.megabytes));
        std::vector<std::vector<std::string>> rows{{"", "MB/s", "proxy's CPU s/GB"}};
        for (const auto& peer : peers) {
            const std::vector<Sample>& found = samples[peer.get()];
            rows.push_back(
                {peer->name(), spread(found, &Sample::megabytes_per_second),
                 peer->pid() == 0 && peer->name() == "direct" ? "" : spread(found, &Sample::cpu_per_gigabyte)});
            for (const Sample& one : found)
                figures_.push_back({{"transfer", what},
                                    {"peer", peer->name()},
                                    {"mb_per_second", one.megabytes_per_second},
                                    {"cpu_s_per_gb", one.cpu_per_gigabyte}});
        }
        terminal_.table(rows);
    }

    Sample sample(const Peer& peer, const std::function<std::uint64_t(PGconn*)>& transfer) const {
        const Connection connection = connect(stage_.conninfo(peer));
        const auto used = [&] { return peer.pid() == 0 ? std::chrono::nanoseconds(0) : cpu_time(peer.pid()); };
        const auto before = used();
        const Clock::time_point started = Clock::now();
        const auto bytes = static_cast<double>(transfer(connection.get()));
        const std::chrono::duration<double> took = Clock::now() - started;
        const std::chrono::duration<double> cpu = used() - before;
        return {bytes / (1024 * 1024) / took.count(), cpu.count() / (bytes / (1024 * 1024 * 1024))};
    }

    static std::string spread(const std::vector<Sample>& samples, double Sample::*which) {
        std::vector<double> values;
        for (const Sample& sample : samples) values.push_back(sample.*which);
        std::sort(values.begin(), values.end());
        return fmt::format("{:.2f} ({:.2f} to {:.2f})", values[values.size() / 2], values.front(), values.back());
    }

    Options options_;
    Terminal& terminal_;
    PeerStage stage_;
    boost::json::array figures_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    return bench_main(
        argc, argv, "Measures COPY and a large SELECT by way of turnout, of its peers, of a bare relay and of nobody.",
        options,
        [&](CLI::App& app) {
            app.add_option("--megabytes", options.megabytes, "of one transfer")->capture_default_str();
            app.add_option("--repetitions", options.repetitions, "of each, in turns")->capture_default_str();
        },
        [&](Terminal& terminal) {
            BulkBench(options, terminal).run();
            return 0;
        });
}
