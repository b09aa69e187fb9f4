#include "control/recovery_driver.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <stdexcept>

#include "control/both.hpp"
#include "control/fence.hpp"
#include "control/names.hpp"
#include "control/sequence_raise.hpp"
#include "control/stream_setup.hpp"

namespace turnout::control {

namespace {

/// How long an undecided register is asked, and how long sessions may take to end.
constexpr Milliseconds kAsking{10000};
constexpr Milliseconds kEnding{5000};
/// Each round decides something for good, so this is never reached.
constexpr int kRounds = 50;

asio::awaitable<std::optional<JournalView>> read_journal(const Cluster& cluster, Side side) {
    try {
        const auto journal = co_await Journal::open(cluster, side);
        journal->connection().set_call_timeout(cluster.settings().connect_timeout);
        co_return co_await journal->read();
    } catch (const PgError& error) {
        spdlog::warn("the journal cannot be read: {}", error.what());
        co_return std::nullopt;
    }
}

/// The register's answer, which the next look at the journals shows. Nothing: it could not be had.
asio::awaitable<std::optional<decision::Nobody>> ask(const Cluster& cluster, decision::Ask question) {
    try {
        const auto journal = co_await Journal::open(cluster, question.side);
        const Verdict verdict = co_await journal->void_or_obey(question.generation, Clock::now() + kAsking);
        spdlog::info("generation {} on {} is {}", question.generation, turnout::name(question.side),
                     name(verdict.state));
        co_return std::nullopt;
    } catch (const PgError& error) {
        co_return decision::Nobody{false,
                                   fmt::format("{} does not tell what became of generation {}: {}",
                                               turnout::name(question.side), question.generation, error.what()),
                                   "see why that server does not commit (a synchronous standby that is away?)"};
    }
}

asio::awaitable<std::optional<decision::Nobody>> bootstrap(const Cluster& cluster, decision::Bootstrap first) {
    try {
        const auto journal = co_await Journal::open(cluster, first.side);
        co_await journal->bootstrap(first.generation);
        co_return std::nullopt;
    } catch (const PgError& error) {
        co_return decision::Nobody{false, fmt::format("the journal cannot be made: {}", error.what()),
                                   "control's role must be allowed to create a schema in the journal database"};
    }
}

/// Whoever has a session on a side that nobody may write to is a predecessor's, or bypasses the proxy.
asio::awaitable<void> end_sessions_on(const Cluster& cluster, Side side) {
    try {
        const auto connection = co_await cluster.connect_journal(side);
        for (const Outsider& left :
             co_await end_outsiders(*connection, cluster.databases(), {}, Clock::now() + kEnding)) {
            spdlog::warn("a session on {} does not end: {}", turnout::name(side), left.text());
        }
    } catch (const PgError& error) {
        spdlog::warn("sessions on {} cannot be ended: {}", turnout::name(side), error.what());
    }
}

/// Before anybody is served: the file must name that generation.
std::optional<decision::Nobody> write_down(StateFile& state, const ServedState& now, std::int64_t generation) {
    const ServedState served{generation, std::nullopt};
    if (now == served) return std::nullopt;
    try {
        state.store(served);
        return std::nullopt;
    } catch (const std::runtime_error& error) {
        return decision::Nobody{true, error.what(), "make it writable for turnout; [proxy] state names it"};
    }
}

asio::awaitable<std::string> retire_lost_side(const Cluster& cluster, Side lost, std::int64_t generation) {
    try {
        const auto journal = co_await Journal::open(cluster, lost);
        co_await journal->create();
        co_await journal->retire(generation);
        co_return fmt::format("{} is retired: it is not served by itself any more", turnout::name(lost));
    } catch (const PgError&) {
        co_return fmt::format("{} could not be told; it must not be written to when it comes back",
                              turnout::name(lost));
    }
}

}  // namespace

asio::awaitable<JournalViews> read_journals(const Cluster& cluster) {
    auto [blue, green] = co_await both(read_journal(cluster, Side::blue), read_journal(cluster, Side::green));
    JournalViews views;
    views[index(Side::blue)] = std::move(blue);
    views[index(Side::green)] = std::move(green);
    co_return views;
}

asio::awaitable<Recovered> recover(const Cluster& cluster, StateFile& state) {
    ServedState known;
    std::string damaged;
    try {
        known = state.load();
    } catch (const std::runtime_error& error) {
        damaged = error.what();
    }
    if (!damaged.empty()) co_return decision::Nobody{true, damaged, "correct the state file"};

    for (int round = 0; round < kRounds; ++round) {
        const JournalViews views = co_await read_journals(cluster);
        const Decision decision = decide(views, known);
        std::optional<decision::Nobody> failure;
        if (const auto* nobody = std::get_if<decision::Nobody>(&decision)) co_return *nobody;
        if (const auto* question = std::get_if<decision::Ask>(&decision)) failure = co_await ask(cluster, *question);
        if (const auto* first = std::get_if<decision::Bootstrap>(&decision)) {
            failure = co_await bootstrap(cluster, *first);
        }
        if (failure) co_return *failure;
        const auto* serve = std::get_if<decision::Serve>(&decision);
        if (serve == nullptr) continue;
        if (const auto unwritten = write_down(state, known, serve->generation)) co_return *unwritten;
        const auto& standby = views[index(other(serve->side))];
        if (standby && standby->exists) co_await end_sessions_on(cluster, other(serve->side));
        co_return *serve;
    }
    co_return decision::Nobody{true, "the journals do not come to a decision", "look into turnout.journal"};
}

asio::awaitable<Forced> force_active(const Cluster& cluster, StateFile& state, Side side, bool serves) {
    const JournalViews views = co_await read_journals(cluster);
    Forced forced;
    forced.generation = forced_generation(views, state.load());
    const auto journal = co_await Journal::open(cluster, side);
    co_await journal->force_active(forced.generation);
    state.store({forced.generation, std::nullopt});
    forced.done.push_back(fmt::format("{} is active with generation {}", turnout::name(side), forced.generation));
    forced.done.push_back(co_await retire_lost_side(cluster, other(side), forced.generation));

    const auto deadline = Clock::now() + kEnding;
    for (const std::string& database : cluster.databases()) {
        const auto connection = co_await cluster.connect(side, database);
        co_await drop_subscription(*connection, names::subscription(side));
        const PgResult oid =
            co_await connection->query("SELECT oid FROM pg_database WHERE datname = current_database()");
        co_await drop_slot(*connection, names::slot(other(side), oid.as<std::uint32_t>(0, 0)), 0, deadline);
        if (serves) continue;
        const RaisedSequences sequences = co_await raise_sequences(*connection);
        if (!sequences.raised.empty()) {
            forced.done.push_back(
                fmt::format("{}: raised to what their columns hold: {}", database, fmt::join(sequences.raised, ", ")));
        }
        if (!sequences.unknown.empty()) {
            forced.done.push_back(
                fmt::format("{}: sequences that fill no column are as the last switch or sync left them; raise them "
                            "by hand where their numbers were used: {}",
                            database, fmt::join(sequences.unknown, ", ")));
        }
    }
    co_await lift_fence(*journal);
    forced.done.push_back(fmt::format("the streams of {} are removed; after `turnout sync` {} follows again",
                                      turnout::name(side), turnout::name(other(side))));
    co_return forced;
}

}  // namespace turnout::control
