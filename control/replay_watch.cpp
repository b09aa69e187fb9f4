#include "control/replay_watch.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>

namespace turnout::control {

namespace {

/// Two parameters, slots and a position: of each walsender that is there, the place of its slot among them (or NULL)
/// and how far it is. Whose slot it is costs more to tell than the rest, and is asked only once somebody is far enough.
constexpr const char* kReplayed = "turnout_replayed";
constexpr const char* kReplayedSql =
    "SELECT array_position(ARRAY(SELECT s.active_pid FROM unnest($1::name[]) WITH ORDINALITY AS asked (slot, place) "
    "LEFT JOIN pg_get_replication_slots() s ON s.slot_name = asked.slot ORDER BY asked.place), w.pid), "
    "w.replay_lsn FROM pg_stat_get_wal_senders() w WHERE w.replay_lsn >= $2::pg_lsn";

}  // namespace

ReplayWatch::ReplayWatch(PgConnection& source)
    : source_(source), answered_(source.executor(), asio::steady_timer::time_point::max()) {}

asio::awaitable<void> ReplayWatch::prepare() {
    co_await source_.prepare(kReplayed, kReplayedSql);
    send_warm({});
    co_await source_.receive();
}

void ReplayWatch::send_warm(const std::vector<std::string>& slots) { source_.send_prepared(kReplayed, slots, Lsn{}); }

asio::awaitable<bool> ReplayWatch::look(const std::string& slot, Lsn to) {
    Look look{slot, to};
    looks_.push_back(&look);
    const auto done = [this](Look* it) { std::erase(looks_, it); };
    const std::unique_ptr<Look, decltype(done)> listed(&look, done);
    if (asking_)
        co_await answered_.async_wait(asio::as_tuple(asio::use_awaitable));
    else
        co_await ask();
    co_return look.there;
}

asio::awaitable<void> ReplayWatch::ask() {
    asking_ = true;
    const auto done = [](ReplayWatch* it) {
        it->asking_ = false;
        it->answered_.cancel();
    };
    const std::unique_ptr<ReplayWatch, decltype(done)> asked(this, done);
    std::vector<std::string> slots;
    Lsn nearest = looks_.front()->to;
    for (const Look* look : looks_) {
        slots.push_back(look->slot);
        nearest = std::min(nearest, look->to);
    }
    source_.send_prepared(kReplayed, slots, nearest);
    const PgResult places = co_await source_.receive();
    for (int i = 0; i < places.rows(); ++i) {
        const auto place = places.maybe<std::size_t>(i, 0);
        if (!place) continue;
        const auto replayed = places.as<Lsn>(i, 1);
        for (Look* look : looks_) {
            if (look->slot == slots[*place - 1] && look->to <= replayed) look->there = true;
        }
    }
}

}  // namespace turnout::control
