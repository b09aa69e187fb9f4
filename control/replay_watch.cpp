#include "control/replay_watch.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <string>
#include <utility>

namespace turnout::control {

namespace {

/// Two parameters, slots and a position: of each walsender that is there, the place of its slot among them (or NULL)
/// and how far it is. Whose slot it is costs more to tell than the rest, and is asked only once somebody is far enough.
constexpr const char* kReplayed = "turnout_replayed";
constexpr const char* kReplayedSql =
    "SELECT array_position(ARRAY(SELECT s.active_pid FROM unnest($1::name[]) WITH ORDINALITY AS asked (slot, place) "
    "LEFT JOIN pg_get_replication_slots() s ON s.slot_name = asked.slot ORDER BY asked.place), w.pid), "
    "w.replay_lsn FROM pg_stat_get_wal_senders() w WHERE w.replay_lsn >= $2::pg_lsn";

/// Subscriptions and a position: the same of each apply worker. One that copies a table (relid) has a position of its
/// own, which is not the subscription's.
constexpr const char* kTold = "turnout_told";
constexpr const char* kToldSql =
    "SELECT array_position($1::oid[], w.subid), w.latest_end_lsn FROM pg_stat_get_subscription(NULL) w "
    "WHERE w.relid IS NULL AND w.latest_end_lsn >= $2::pg_lsn";

}  // namespace

ReplayWatch::ReplayWatch(PgConnection& source, PgConnection& subscriber)
    : source_(source), subscriber_(subscriber), answered_(source.executor(), asio::steady_timer::time_point::max()) {}

asio::awaitable<void> ReplayWatch::prepare() {
    co_await source_.prepare(kReplayed, kReplayedSql);
    co_await subscriber_.prepare(kTold, kToldSql);
    const std::vector<std::string> none;
    co_await source_.exec_prepared(kReplayed, none, Lsn{});
    co_await subscriber_.exec_prepared(kTold, none, Lsn{});
}

void ReplayWatch::send(PgConnection& side, const std::vector<const Stream*>& streams, Lsn nearest) {
    std::vector<std::string> names;
    for (const Stream* stream : streams) {
        names.push_back(&side == &source_ ? stream->slot : std::to_string(stream->subscription_oid));
    }
    side.send_prepared(&side == &source_ ? kReplayed : kTold, names, nearest);
}

void ReplayWatch::send_warm(std::vector<const Stream*> streams) {
    asked_ = std::move(streams);
    send(source_, asked_, Lsn{});
    send(subscriber_, asked_, Lsn{});
    next_ = &subscriber_;
}

asio::awaitable<std::vector<Lsn>> ReplayWatch::receive_warm(Clock::time_point deadline) {
    std::vector<Lsn> applied_to(std::exchange(asked_, {}).size());
    for (PgConnection* side : {&source_, &subscriber_}) {
        const PgResult places = co_await side->receive_by(deadline);
        for (int i = 0; i < places.rows(); ++i) {
            const auto place = places.maybe<std::size_t>(i, 0);
            if (!place) continue;
            Lsn& applied = applied_to.at(*place - 1);
            applied = std::max(applied, places.as<Lsn>(i, 1));
        }
    }
    co_return applied_to;
}

void ReplayWatch::look_ahead(std::vector<const Stream*> streams) {
    next_ = &subscriber_;
    asked_ = std::move(streams);
    send(subscriber_, asked_, Lsn{});
}

asio::awaitable<bool> ReplayWatch::look(const Stream& stream, Lsn to) {
    Look look{stream, to};
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
        it->asked_.clear();
        it->answered_.cancel();
    };
    const std::unique_ptr<ReplayWatch, decltype(done)> asked(this, done);
    if (asked_.empty()) send_next();
    PgConnection& side = *std::exchange(next_, next_ == &source_ ? &subscriber_ : &source_);
    const PgResult places = co_await side.receive();
    note(places);
}

void ReplayWatch::send_next() {
    Lsn nearest = looks_.front()->to;
    for (const Look* look : looks_) {
        asked_.push_back(&look->stream);
        nearest = std::min(nearest, look->to);
    }
    send(*next_, asked_, nearest);
}

void ReplayWatch::note(const PgResult& places) {
    for (int i = 0; i < places.rows(); ++i) {
        const auto place = places.maybe<std::size_t>(i, 0);
        if (!place) continue;
        const auto position = places.as<Lsn>(i, 1);
        for (Look* look : looks_) {
            const bool same = look->stream.subscription_oid == asked_[*place - 1]->subscription_oid;
            if (same && look->to <= position) look->there = true;
        }
    }
}

}  // namespace turnout::control
