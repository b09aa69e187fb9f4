// SHOW: facts gathered, then shown by show.cpp.
#include <fmt/format.h>
#include <algorithm>
#include <boost/json/object.hpp>
#include <chrono>
#include <utility>

#include "control/both.hpp"
#include "control/controller.hpp"
#include "control/own_sessions.hpp"
#include "control/pg_error.hpp"
#include "control/replication.hpp"
#include "control/show.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

constexpr Milliseconds kPatience{2'000};

}  // namespace

asio::awaitable<std::vector<SessionView>> Controller::sessions() { return sessions_of(*data_plane_); }

LifePhase Controller::phase() const {
    LifeFacts facts;
    facts.served = served_;
    facts.streams_ready = streams_ready_;
    if (running_) {
        facts.sync_runs = running_->verb == Verb::sync;
        facts.switch_runs = running_->verb == Verb::switch_over || running_->verb == Verb::rollback;
    }
    return life_phase(facts);
}

asio::awaitable<Answer> Controller::show(const Command& command) {
    switch (command.topic) {
        case Topic::status: co_return co_await show_status_now();
        case Topic::sessions: co_return show_sessions(co_await sessions());
        case Topic::switch_report: co_return show_switch();
        case Topic::lag: co_return co_await show_lag_now();
        case Topic::sides: co_return co_await show_sides_now();
        case Topic::config: co_return show_config(config_);
        case Topic::version: co_return show_version(version_);
        case Topic::help: co_return show_help();
        case Topic::replication: co_return co_await show_replication_now();
        case Topic::history: co_return show_history(reports_.list());
        case Topic::preflight: co_return co_await check();
        case Topic::mem: co_return show_mem();
        case Topic::dns_hosts:
        case Topic::dns_zones:
        case Topic::peers:
        case Topic::peer_pools: co_return show_nothing(command.topic);
        default: break;
    }
    const ProxyFacts facts = co_await proxy_facts();
    switch (command.topic) {
        case Topic::stats: co_return show_stats(config_, facts);
        case Topic::stats_totals: co_return show_stats_totals(config_, facts);
        case Topic::stats_averages: co_return show_stats_averages(config_, facts);
        case Topic::totals: co_return show_totals(config_, facts);
        case Topic::databases: co_return show_databases(config_, facts);
        case Topic::pools: co_return show_pools(facts);
        case Topic::clients: co_return show_clients(config_, facts);
        case Topic::servers: co_return show_servers(config_, facts);
        case Topic::sockets: co_return show_sockets(config_, facts);
        case Topic::active_sockets: co_return show_active_sockets(config_, facts);
        case Topic::lists: co_return show_lists(config_, facts);
        case Topic::users: co_return show_users(facts);
        case Topic::state: co_return show_state(facts);
        default: break;
    }
    co_return refusal(sqlstate::internal, "the topic is not known");
}

double Controller::transactions_per_second() const {
    const auto& samples = recent_.samples();
    if (samples.size() < 2) return 0;
    return rates(samples[samples.size() - std::min<std::size_t>(samples.size(), 4)], samples.back())
        .transactions_per_second;
}

asio::awaitable<ProxyFacts> Controller::proxy_facts() {
    ProxyFacts facts;
    if (served_) facts.active = served_->side;
    facts.paused = paused_;
    facts.disabled = disabled_;
    facts.sessions = co_await sessions();
    facts.recent = recent_;
    facts.recent.add(Clock::now(), data_plane_->counters());
    facts.now = std::chrono::system_clock::now();
    co_return facts;
}

asio::awaitable<Answer> Controller::show_status_now() {
    const std::vector<SessionView> views = co_await sessions();
    StatusFacts facts;
    facts.served = served_;
    facts.reason = nobody_.reason;
    facts.hint = nobody_.hint;
    facts.phase = phase();
    if (running_) {
        facts.running = dashed(tag(running_->verb));
        facts.running_seconds = std::chrono::duration<double>(Clock::now() - running_->since).count();
    }
    if (running_) facts.progress = progress_;
    facts.watching = watching_;
    facts.paused = paused_;
    facts.stopping = stopping_;
    facts.unsettled = left_;
    facts.lag = lag_;
    facts.sessions = views.size();
    facts.pinned = static_cast<std::uint64_t>(std::count_if(
        views.begin(), views.end(), [](const SessionView& view) { return view.movable == Movable::pinned; }));
    for (const SessionView& view : views) {
        if (view.movable != Movable::boundary && view.transaction == Microseconds(0)) continue;
        ++facts.in_transaction;
        facts.oldest_transaction_seconds =
            std::max(facts.oldest_transaction_seconds, std::chrono::duration<double>(view.transaction).count());
    }
    facts.transactions_per_second = transactions_per_second();
    facts.version = version_;
    co_return show_status(facts);
}

Answer Controller::show_switch() const {
    if (switcher_->running()) return object_answer({{"state", "running"}, {"phase", switch_progress_}});
    if (last_switch_) {
        boost::json::object report = to_json(*last_switch_);
        report["state"] = "ended";
        return object_answer(std::move(report), to_text(*last_switch_));
    }
    return object_answer({{"state", "none"}}, "no switch since the proxy was started\n");
}

asio::awaitable<Answer> Controller::show_lag_now() {
    if (!served_) co_return nobody_is_served();
    const auto connection =
        co_await cluster_.connect_by(Clock::now() + kPatience, served_->side, cluster_.journal_database());
    co_return show_lag(co_await read_lag(*connection, other(served_->side)));
}

asio::awaitable<Answer> Controller::show_replication_now() {
    std::vector<StreamView> streams;
    for (const Side subscriber : {Side::green, Side::blue}) {
        std::vector<StreamLag> lags;
        try {
            const auto source =
                co_await cluster_.connect_by(Clock::now() + kPatience, other(subscriber), cluster_.journal_database());
            lags = co_await read_lag(*source, subscriber);
        } catch (const PgError&) {
            // Without the source the position is not known; the subscriber may still tell the rest.
        }
        for (const std::string& database : cluster_.databases()) {
            try {
                const auto connection = co_await cluster_.connect_by(Clock::now() + kPatience, subscriber, database);
                const auto stream = co_await find_stream(*connection);
                if (!stream) continue;
                StreamView state{.stream = *stream};
                const PgResult tables = co_await connection->query(
                    "SELECT count(*), count(*) FILTER (WHERE srsubstate = 'r') FROM pg_catalog.pg_subscription_rel");
                state.tables = tables.as<std::int64_t>(0, 0);
                state.tables_ready = tables.as<std::int64_t>(0, 1);
                const auto lag = std::find_if(lags.begin(), lags.end(),
                                              [&database](const StreamLag& it) { return it.database == database; });
                if (lag != lags.end()) state.lag = *lag;
                streams.push_back(std::move(state));
            } catch (const PgError&) {
                continue;  // SHOW SIDES says that it cannot be reached; the database may not be there yet
            }
        }
    }
    co_return show_replication(streams);
}

asio::awaitable<Row> Controller::side_row(Side side) {
    const Endpoint& endpoint = config_.data_plane.sides[index(side)].endpoints.front();
    const bool active = served_ && served_->side == side;
    Row row{std::string(name(side)),
            active    ? "active"
            : served_ ? served_->finished ? "left behind" : "standby"
                      : "unknown",
            endpoint.hostaddr.empty() ? endpoint.host : endpoint.hostaddr,
            std::to_string(endpoint.port),
            std::nullopt,
            "reachable",
            active ? Cell(std::to_string(served_->generation)) : std::nullopt,
            std::nullopt};
    try {
        const auto connection =
            co_await cluster_.connect_by(Clock::now() + kPatience, side, cluster_.journal_database());
        const PgResult version =
            co_await connection->query_by(Clock::now() + kPatience, "SELECT current_setting('server_version')");
        row[4] = version.as<std::string>(0, 0);
    } catch (const PgError& error) {
        row[5] = "unreachable";
        row[7] = error.fields().message;
    }
    co_return row;
}

asio::awaitable<Answer> Controller::show_sides_now() {
    const auto columns = describe(Topic::sides).columns;
    Table table{{columns.begin(), columns.end()}, {}};
    auto [blue, green] = co_await both(side_row(Side::blue), side_row(Side::green));
    table.rows.push_back(std::move(blue));
    table.rows.push_back(std::move(green));
    co_return table_answer(std::move(table));
}

}  // namespace turnout::control
