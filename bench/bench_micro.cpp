// What a message costs the proxy itself, without sockets: finding it in the stream, following the safe point and what
// the session has set, keeping the batch; and what a login costs. Allocations are counted by an operator new of our
// own: once a session has said everything once, there are none, and a benchmark that sees one fails.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <iostream>
#include <new>
#include <string>
#include <string_view>

#include "protocol/backend_messages.hpp"
#include "protocol/batch.hpp"
#include "protocol/framing.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/scram.hpp"
#include "protocol/session_changes.hpp"
#include "protocol/session_ledger.hpp"

namespace {

std::uint64_t allocations = 0;

}  // namespace

void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace turnout::protocol;

bool allocated = false;

/// Allocations since its construction, for each message; more than none is a failure.
class Count {
  public:
    Count() : before_(allocations) {}
    void report(benchmark::State& state, std::size_t messages) const {
        const auto made = static_cast<double>(allocations - before_);
        const auto all = static_cast<double>(state.iterations()) * static_cast<double>(messages);
        state.counters["messages/s"] = benchmark::Counter(all, benchmark::Counter::kIsRate);
        state.counters["allocations/message"] = made / all;
        allocated = allocated || made > 0;
    }

  private:
    std::uint64_t before_;
};

/// A session's two directions as the relay follows them.
class Followed {
  public:
    std::size_t client_says(std::string_view bytes) {
        std::size_t messages = 0;
        while (!bytes.empty()) {
            const Frame frame = from_client_.next(bytes);
            const ReplyLedger& replies = ledger_.replies();
            if (replies.quiet() && !replies.batch_open()) batch_.clear();
            changes_.on_frontend(static_cast<FrontendType>(frame.type), frame.body, true);
            ledger_.on_frontend(frame);
            batch_.add(bytes.substr(0, frame.size));
            bytes.remove_prefix(frame.size);
            ++messages;
        }
        return messages;
    }
    std::size_t server_says(std::string_view bytes) {
        std::size_t messages = 0;
        while (!bytes.empty()) {
            const Frame frame = from_server_.next(bytes);
            if (frame.type == static_cast<char>(BackendType::command_complete))
                changes_.on_command_complete(frame.body);
            benchmark::DoNotOptimize(ledger_.on_backend(frame));
            bytes.remove_prefix(frame.size);
            ++messages;
        }
        return messages;
    }
    bool safe() const { return ledger_.replies().safe(); }

  private:
    FrameScanner from_client_{Stream::frontend}, from_server_{Stream::backend};
    SessionLedger ledger_;
    SessionChanges changes_;
    Batch batch_;
};

struct Transaction {
    std::string prepare, prepared;  ///< said once, and its answer
    std::string says, answers;      ///< said again and again
};

Transaction prepared_select() {
    Transaction it;
    append(it.prepare, Parse{"P0_1", "SELECT abalance FROM pgbench_accounts WHERE aid = $1;", {}});
    append_sync(it.prepare);
    it.prepared = std::string("1\0\0\0\4", 5);
    append(it.prepared, ReadyForQuery{});
    append(it.says, Bind{"", "P0_1", {0}, {"1234567"}, {0}});
    append(it.says, Describe{Target::portal, ""});
    append(it.says, Execute{});
    append_sync(it.says);
    it.answers = std::string("2\0\0\0\4", 5);
    append(it.answers, RowDescription{{{"abalance"}}});
    append(it.answers, DataRow{{"-1234"}});
    append(it.answers, CommandComplete{"SELECT 1"});
    append(it.answers, ReadyForQuery{});
    return it;
}

Transaction simple_select() {
    Transaction it;
    append(it.says, Query{"SELECT abalance FROM pgbench_accounts WHERE aid = 1234567;"});
    append(it.answers, RowDescription{{{"abalance"}}});
    append(it.answers, DataRow{{"-1234"}});
    append(it.answers, CommandComplete{"SELECT 1"});
    append(it.answers, ReadyForQuery{});
    return it;
}

/// One round trip of a session: framing, replies owed, statements, settings, the kept batch.
void follow(benchmark::State& state, const Transaction& it) {
    Followed session;
    session.client_says(it.prepare);
    session.server_says(it.prepared);
    std::size_t messages = 0;
    for (int warm = 0; warm < 10; ++warm) messages = session.client_says(it.says) + session.server_says(it.answers);
    if (!session.safe()) state.SkipWithError("the session is not at a safe point");
    const Count count;
    for ([[maybe_unused]] auto _ : state) {
        session.client_says(it.says);
        session.server_says(it.answers);
    }
    count.report(state, messages);
}

void prepared_transaction(benchmark::State& state) { follow(state, prepared_select()); }
BENCHMARK(prepared_transaction);

void simple_transaction(benchmark::State& state) { follow(state, simple_select()); }
BENCHMARK(simple_transaction);

/// Framing alone, of small messages.
void frames(benchmark::State& state) {
    const Transaction it = prepared_select();
    std::string bytes;
    for (int i = 0; i < 100; ++i) bytes += it.says;
    FrameScanner scanner{Stream::frontend};
    const Count count;
    std::size_t messages = 0;
    for ([[maybe_unused]] auto _ : state) {
        messages = 0;
        for (std::string_view rest = bytes; !rest.empty(); ++messages) rest.remove_prefix(scanner.next(rest).size);
    }
    count.report(state, messages);
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}
BENCHMARK(frames);

/// Rows of a large result, which are skipped in runs.
void rows(benchmark::State& state) {
    std::string row, bytes;
    append(row, DataRow{{std::string_view("a row of an ordinary table has about a hundred bytes")}});
    constexpr std::size_t kRows = 1000;
    for (std::size_t i = 0; i < kRows; ++i) bytes += row;
    const FrameScanner scanner{Stream::backend};
    const Count count;
    for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(scanner.run_of('D', bytes));
    count.report(state, kRows);
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}
BENCHMARK(rows);

/// The server's half of a login, as the proxy plays it towards a client.
void scram_login(benchmark::State& state) {
    const ScramVerifier verifier = make_scram_verifier("secret", "0123456789abcdef", 4096);
    for ([[maybe_unused]] auto _ : state) {
        state.PauseTiming();
        ScramClient client(SecretBytes(std::string_view("secret")), "client-nonce", ScramClient::Binding::none);
        ScramServer server(verifier, true, "server-nonce", {});
        const std::string first = client.client_first();
        state.ResumeTiming();
        const ScramStep challenge = server.on_client_first("SCRAM-SHA-256", first);
        state.PauseTiming();
        const ScramStep proof = client.on_server_first(challenge.message);
        state.ResumeTiming();
        if (server.on_client_final(proof.message).action != ScramStep::Action::done) {
            state.SkipWithError("the login failed");
            return;
        }
    }
}
BENCHMARK(scram_login);

/// PBKDF2 of a password with 4096 iterations: what a login with a ClientKey spares the proxy at each backend.
void scram_keys_of_a_password(benchmark::State& state) {
    for ([[maybe_unused]] auto _ : state) {
        benchmark::DoNotOptimize(make_scram_verifier("secret", "0123456789abcdef", 4096));
    }
}
BENCHMARK(scram_keys_of_a_password);

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    if (allocated) std::cerr << "a message was carried with an allocation\n";
    return allocated ? 1 : 0;
}
