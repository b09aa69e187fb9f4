#include "control/settle_driver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "control/catalog.hpp"
#include "control/fence.hpp"
#include "control/journal.hpp"
#include "control/schema_watch.hpp"
#include "control/strays.hpp"

namespace turnout::control {

namespace {

using namespace settling;

/// Between two rounds when something failed: twice as long each time.
constexpr Milliseconds kFirstPause{100};
constexpr Milliseconds kLongestPause{3'200};

/// The connections of one round, and what is known. Made anew when something failed.
class Pair {
  public:
    Pair(const Cluster& cluster, Side active, Clock::time_point deadline, reply::Settled& report,
         DoubtfulBackends& doubtful)
        : cluster_(cluster), active_(active), deadline_(deadline), report_(report), doubtful_(doubtful) {}
    ~Pair() {
        for (const auto* journal : {&active_journal_, &standby_journal_}) {
            if (*journal) doubtful_.note((*journal)->connection());
        }
        for (auto* connections : {&on_active_, &on_standby_}) {
            for (std::size_t i = 0; i < connections->size(); ++i) doubtful_.note((*connections)[i]);
        }
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;

    asio::awaitable<void> open_active() {
        active_journal_ = co_await Journal::open(cluster_, active_);
        active_view_ = co_await active_journal_->read();
    }
    asio::awaitable<void> open_both() {
        if (!active_journal_) co_await open_active();
        co_await doubtful_.end(cluster_, other(active_), deadline_);
        standby_journal_ = co_await Journal::open(cluster_, other(active_));
        copied_ = co_await has_databases(standby_journal_->connection(), cluster_.databases());
        if (!copied_) co_return;
        on_active_ = co_await DatabaseConnections::open(cluster_, active_);
        on_standby_ = co_await DatabaseConnections::open(cluster_, other(active_));
    }
    Side active() const { return active_; }
    /// Whether the side still is what it was when `generation` was served: a process that wakes late may ask for a side
    /// that another one has left meanwhile, and must not lift its fence.
    bool still_active(std::int64_t generation) const {
        const JournalRow* row = active_view_.active();
        return row != nullptr && row->id.generation == generation && !active_view_.is_retired();
    }
    /// What can be done without the standby.
    asio::awaitable<void> free_active() {
        if (!active_view_.fence.empty()) co_await lift_fence(*active_journal_);
    }

    /// The switch that put it up is over.
    asio::awaitable<void> lower_schema_watches() {
        for (std::size_t i = 0; copied_ && i < cluster_.databases().size(); ++i) {
            co_await lower_schema_watch(on_active_[i]);
            co_await lower_schema_watch(on_standby_[i]);
        }
    }

    asio::awaitable<void> look();
    const PairState& state() const { return state_; }
    asio::awaitable<void> carry_out(const SettleStep& step) {
        return std::visit([this](const auto& it) { return act(it); }, step);
    }

  private:
    asio::awaitable<std::optional<StreamState>> look_at_stream(std::size_t database, bool back);

    asio::awaitable<void> act(LiftFence) { return lift_fence(*active_journal_); }
    asio::awaitable<void> act(WithdrawIntent) {
        if (active_view_.intent) co_await active_journal_->withdraw_intent(*active_view_.intent);
    }
    asio::awaitable<void> act(Retire) { return standby_journal_->retire(state_.generation); }
    asio::awaitable<void> act(RaiseFence) {
        co_await standby_journal_->create();
        co_await raise_fence(*standby_journal_, cluster_.databases());
    }
    asio::awaitable<void> act(Disable it) {
        return park(subscriber(it.database, it.back), source(it.database, it.back), stream(it.database, it.back),
                    deadline_);
    }
    asio::awaitable<void> act(ReadStraysAndNarrow it);
    asio::awaitable<void> act(AdvanceOrigin it) {
        co_await advance_origin(subscriber(it.database, false), source(it.database, false), stream(it.database, false),
                                state_.noted, deadline_);
    }
    asio::awaitable<void> act(Widen it);
    asio::awaitable<void> act(Enable it) {
        return enable(subscriber(it.database, it.back), stream(it.database, it.back));
    }
    asio::awaitable<void> act(AwaitStreaming it) {
        return wait_until_active(source(it.database, it.back), stream(it.database, it.back).slot, deadline_);
    }

    PgConnection& subscriber(std::size_t i, bool back) { return back ? on_active_[i] : on_standby_[i]; }
    PgConnection& source(std::size_t i, bool back) { return back ? on_standby_[i] : on_active_[i]; }
    const StreamState& stream_state(std::size_t i, bool back) const {
        return back ? *state_.databases.at(i).back : *state_.databases.at(i).away;
    }
    const Stream& stream(std::size_t i, bool back) const { return stream_state(i, back).stream; }

    const Cluster& cluster_;
    Side active_;
    Clock::time_point deadline_;
    reply::Settled& report_;
    DoubtfulBackends& doubtful_;
    std::unique_ptr<Journal> active_journal_;
    std::unique_ptr<Journal> standby_journal_;
    JournalView active_view_;
    DatabaseConnections on_active_;
    DatabaseConnections on_standby_;
    bool copied_ = false;  ///< the standby has the databases; before the first sync there is nothing between them
    PairState state_;
};

asio::awaitable<std::optional<StreamState>> Pair::look_at_stream(std::size_t database, bool back) {
    const auto stream = co_await find_stream(subscriber(database, back));
    if (!stream) co_return std::nullopt;
    StreamState state;
    state.stream = *stream;
    state.progress = co_await origin_progress(subscriber(database, back), *stream);
    const PgResult slot = co_await source(database, back)
                              .query("SELECT active FROM pg_replication_slots WHERE slot_name = $1", stream->slot);
    if (slot.empty()) co_return std::nullopt;
    state.slot_active = slot.as<bool>(0, 0);
    co_return state;
}

asio::awaitable<void> Pair::look() {
    active_view_ = co_await active_journal_->read();
    const JournalView standby = co_await standby_journal_->read();
    PairState state;
    state.active = active_;
    if (const JournalRow* row = active_view_.active()) {
        state.generation = row->id.generation;
        state.noted = row->noted;
    }
    state.active_fenced = !active_view_.fence.empty();
    state.intent = active_view_.intent.has_value();
    const JournalRow* former = standby.active();
    const JournalRow* retired = standby.retired();
    state.standby_was_active = former != nullptr && former->id.generation < state.generation;
    state.standby_retired = retired != nullptr && retired->id.generation >= state.generation;
    for (std::size_t i = 0; copied_ && i < cluster_.databases().size(); ++i) {
        DatabaseState database;
        database.database = cluster_.databases()[i];
        database.away = co_await look_at_stream(i, false);
        database.back = co_await look_at_stream(i, true);
        database.fenced_on_standby = std::any_of(standby.fence.begin(), standby.fence.end(), [&](const FenceRow& row) {
            return row.database == database.database;
        });
        state.databases.push_back(std::move(database));
    }
    state_ = std::move(state);
}

/// Until it is narrowed nothing moves the slot, so that a repeated reading finds the same again.
asio::awaitable<void> Pair::act(ReadStraysAndNarrow it) {
    const StreamState& back = stream_state(it.database, true);
    PgConnection& old_side = source(it.database, true);
    co_await wait_until_inactive(old_side, back.stream.slot, deadline_);
    const StrayReport found = co_await read_strays(old_side, back.stream, back.progress);
    co_await narrow(subscriber(it.database, true), back.stream);
    report_.stray_transactions += found.transactions;
    for (const Stray& stray : found.strays) {
        report_.strays.push_back({stray.database, fmt::format("{} {} in transaction {} at {}", stray.operation,
                                                              stray.table, stray.xid, stray.committed.text())});
    }
}

/// A stream that was turned round begins at the noted position, and with a beat of its own: an earlier one may never
/// have come (has_gap).
asio::awaitable<void> Pair::act(Widen it) {
    co_await send_beat(source(it.database, false));
    co_await widen(subscriber(it.database, false), stream(it.database, false));
}

/// One round: until nothing is left to do, or something fails.
asio::awaitable<void> settle_once(Pair& pair, std::int64_t generation, reply::Settled& report) {
    const auto left_meanwhile = [&] {
        if (pair.still_active(generation)) return false;
        report.left = {fmt::format("{} is not active with generation {}: nothing was touched",
                                   turnout::name(pair.active()), generation)};
        return true;
    };
    co_await pair.open_active();
    if (left_meanwhile()) co_return;
    co_await pair.free_active();
    co_await pair.open_both();
    co_await pair.lower_schema_watches();
    for (;;) {
        co_await pair.look();
        report.left.clear();
        if (left_meanwhile()) co_return;
        const auto plan = settle_plan(pair.state());
        if (plan.empty()) co_return;
        for (const SettleStep& step : plan) report.left.push_back(text(step, pair.state()));
        for (const SettleStep& step : plan) {
            co_await pair.carry_out(step);
            report.left.erase(report.left.begin());
        }
    }
}

}  // namespace

asio::awaitable<PairState> look_at_pair(const Cluster& cluster, Side active) {
    reply::Settled unused;
    DoubtfulBackends nothing_is_done;
    Pair pair(cluster, active, Clock::time_point::max(), unused, nothing_is_done);
    co_await pair.open_both();
    co_await pair.look();
    co_return pair.state();
}

asio::awaitable<reply::Settled> settle(const Cluster& cluster, Side active, std::int64_t generation,
                                       Clock::time_point deadline, DoubtfulBackends& doubtful) {
    reply::Settled report;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (Milliseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
        std::string failure;
        try {
            co_await doubtful.end(cluster, active, deadline);
            Pair pair(cluster, active, deadline, report, doubtful);
            co_await settle_once(pair, generation, report);
            co_return report;
        } catch (const boost::system::system_error&) {
            throw;
        } catch (const std::runtime_error& error) {
            failure = error.what();
        }
        if (Clock::now() + pause >= deadline) {
            report.left.push_back(failure);
            co_return report;
        }
        timer.expires_after(pause);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

}  // namespace turnout::control
