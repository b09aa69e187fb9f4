// From start to end: locks, who is active, the steady state, the gauges.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "control/awaited.hpp"
#include "control/catalog.hpp"
#include "control/controller.hpp"
#include "control/pg_error.hpp"
#include "control/recovery_driver.hpp"
#include "control/replication.hpp"
#include "control/settle_driver.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

constexpr Milliseconds kHeartbeat{1000};
/// How long one round of settling may take before the next look at what else there is to do.
constexpr Milliseconds kSettling{30'000};
constexpr Milliseconds kSettlingPause{5'000};
constexpr Milliseconds kLagPatience{2'000};
constexpr Milliseconds kBeat{60'000};

}  // namespace

void Controller::start(std::function<void(ExitStatus)> ended) {
    ended_ = std::move(ended);
    data_plane_->start(config_.data_plane);
    asio::co_spawn(executor_, live(),
                   asio::bind_cancellation_slot(cancel_life_.slot(), [this](std::exception_ptr error) {
                       if (!error || stopping_) return;
                       try {
                           std::rethrow_exception(error);
                       } catch (const LockHeld& held) {
                           spdlog::error("{}", held.what());
                       } catch (const std::exception& unforeseen) {
                           spdlog::error("control ends: {}", unforeseen.what());
                       }
                       end(ExitStatus::refused);
                   }));
}

asio::awaitable<void> Controller::sleep(Milliseconds duration) {
    // Waking early is harmless: whoever sleeps looks at the state again.
    boost::system::error_code woken;
    news_.expires_after(duration);
    co_await news_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

asio::awaitable<void> Controller::live() {
    co_await single_flight_.take(take_over_);
    asio::co_spawn(executor_, single_flight_.watch(lock_listener()),
                   asio::bind_cancellation_slot(cancel_watch_.slot(), asio::detached));
    asio::co_spawn(executor_, refresh(), asio::detached);
    while (!stopping_) {
        if (!running_) {
            background_works_ = true;
            try {
                co_await asio::co_spawn(executor_, background_round(),
                                        asio::bind_cancellation_slot(cancel_background_.slot(), asio::use_awaitable));
            } catch (const PgError& error) {
                spdlog::warn("{}", error.what());
            } catch (const boost::system::system_error&) {
                // A verb needs the servers for itself.
            }
            background_works_ = false;
            news_.cancel();
        }
        co_await sleep(nobody_.needs_person && !served_ ? kSettlingPause : kHeartbeat);
    }
}

asio::awaitable<void> Controller::background_round() {
    if (!served_) co_await find_out_who_is_active();
    if (!served_ || served_->finished) co_return;
    const decision::Serve served = *served_;
    if (unsettled_ && Clock::now() >= next_settling_) {
        co_await settle_down(served);
        next_settling_ = Clock::now() + kSettlingPause;
    }
    if (!streams_known_) co_await look_at_streams(served);
    if (streams_ready_ && Clock::now() >= next_beat_) co_await watch_for_gaps(served);
}

asio::awaitable<void> Controller::quiet_background() {
    boost::system::error_code woken;
    while (background_works_) {
        cancel_background_.emit(asio::cancellation_type::terminal);
        asio::steady_timer again(executor_, Milliseconds(1));
        co_await again.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
}

// ------------------------------------------------------------------------------------------------------ who is served

asio::awaitable<void> Controller::find_out_who_is_active() {
    const Recovered recovered = co_await recover(cluster_, state_);
    if (const auto* nobody = std::get_if<decision::Nobody>(&recovered)) {
        serve_nobody(*nobody);
        co_return;
    }
    const auto& found = std::get<decision::Serve>(recovered);
    if (!single_flight_.holds(found.side)) {
        serve_nobody(
            {false, fmt::format("the lock on {} is not held yet", name(found.side)), "Try again in a moment."});
        co_return;
    }
    serve(found);
}

void Controller::serve(const decision::Serve& serve) {
    served_ = serve;
    nobody_ = {};
    unsettled_ = !serve.finished;
    streams_known_ = streams_ready_ = forward_ready_ = false;
    data_plane_->serve(serve.side, static_cast<std::uint64_t>(serve.generation));
    spdlog::info("{} is active with generation {}", name(serve.side), serve.generation);
}

void Controller::serve_nobody(const decision::Nobody& nobody) {
    const bool news = served_.has_value() || nobody.reason != nobody_.reason;
    served_.reset();
    nobody_ = nobody;
    if (!news) return;
    spdlog::warn("nobody is served: {}; {}", nobody.reason, nobody.hint);
    data_plane_->serve_nobody(nobody.reason, nobody.hint);
}

SingleFlight::Listener Controller::lock_listener() {
    SingleFlight::Listener listener;
    listener.lost = [this](Side side, std::string why) {
        spdlog::warn("the lock on {} is lost: {}", name(side), why);
        // A switch that runs deals with lost servers itself, and its outcome decides who is served.
        if (!served_ || served_->side != side || switcher_->running()) return;
        serve_nobody({false, fmt::format("the connection to {} is lost", name(side)), "Try again in a moment."});
    };
    listener.back = [this](Side side) {
        spdlog::info("the lock on {} is held", name(side));
        streams_known_ = false;
        if (served_ && !served_->finished) unsettled_ = true;
        next_settling_ = Clock::now();
        news_.cancel();
    };
    listener.replaced = [this](Side side, std::string who) {
        spdlog::error("another turnout has taken over on {}: {}", name(side), who);
        serve_nobody({false, "another turnout has taken over", "Connect again."});
        end(ExitStatus::refused);
    };
    return listener;
}

// ------------------------------------------------------------------------------------------------------- steady state

asio::awaitable<void> Controller::settle_down(decision::Serve served) {
    const reply::Settled settled = co_await switcher_->settle(served.side, served.generation, Clock::now() + kSettling);
    for (const StrayNote& stray : settled.strays)
        spdlog::warn("written on {} while it was not active, and not merged: {}: {}", name(other(served.side)),
                     stray.database, stray.text);
    for (const std::string& left : settled.left) spdlog::warn("still to be done: {}", left);
    left_ = settled.left;
    unsettled_ = !left_.empty();
}

asio::awaitable<void> Controller::look_at_streams(decision::Serve served) {
    streams_ready_ = forward_ready_ = false;
    bool way_back = true;
    try {
        const auto standby = co_await cluster_.connect_journal(other(served.side));
        const bool copied = co_await has_databases(*standby, cluster_.databases());
        if (!copied) {
            streams_known_ = true;  // nothing was copied yet
            co_return;
        }
    } catch (const PgError&) {
        co_return;
    }
    for (const std::string& database : cluster_.databases()) {
        try {
            const auto standby = co_await cluster_.connect(other(served.side), database);
            const auto active = co_await cluster_.connect(served.side, database);
            const auto away = co_await find_stream(*standby);
            const auto back = co_await find_stream(*active);
            const PgResult copying =
                co_await standby->query("SELECT count(*) FROM pg_catalog.pg_subscription_rel WHERE srsubstate <> 'r'");
            way_back = way_back && back.has_value();
            if (!away || copying.as<std::int64_t>(0, 0) > 0) {
                streams_known_ = true;
                co_return;
            }
        } catch (const PgError&) {
            co_return;
        }
    }
    streams_known_ = forward_ready_ = true;
    streams_ready_ = way_back;
}

/// A beat each minute: a standby that comes back as it was before one is known by it.
asio::awaitable<void> Controller::watch_for_gaps(decision::Serve served) {
    next_beat_ = Clock::now() + kBeat;
    for (const std::string& database : cluster_.databases()) {
        const auto active = co_await cluster_.connect(served.side, database);
        const auto standby = co_await cluster_.connect(other(served.side), database);
        const auto stream = co_await find_stream(*standby);
        if (!stream || !stream->enabled || stream->narrowed) continue;
        if (co_await has_gap(*active, *standby, *stream, Clock::now() + kLagPatience)) {
            spdlog::error(
                "{} on {} lacks rows that were carried there before: it was restored from an older copy; "
                "run turnout abort, then turnout sync",
                database, name(other(served.side)));
            continue;
        }
        co_await probe(*active, *standby, Clock::now() + kLagPatience);
    }
}

// ------------------------------------------------------------------------------------------------------------- gauges

asio::awaitable<void> Controller::refresh() {
    asio::steady_timer beat(executor_);
    boost::system::error_code woken;
    for (int count = 0; !stopping_; ++count) {
        MetricsSnapshot snapshot;
        snapshot.counters = data_plane_->counters();
        recent_.add(Clock::now(), snapshot.counters);
        if (served_) {
            snapshot.active = served_->side;
            snapshot.generation = static_cast<std::uint64_t>(served_->generation);
        }
        if (count % 2 == 0 && streams_ready_ && served_ && !switcher_->running()) co_await refresh_lag();
        for (const StreamLag& stream : lag_)
            snapshot.lag_bytes[stream.database] = stream.bytes > 0 ? static_cast<std::uint64_t>(stream.bytes) : 0;
        metrics_.publish(std::move(snapshot));
        co_await tell_the_page();
        beat.expires_after(kHeartbeat);
        co_await beat.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
}

asio::awaitable<void> Controller::refresh_lag() {
    // The connection is this coroutine's while it works: a switch that begins takes the member away, not the object.
    PgConnection::Ptr connection = std::move(lag_connection_);
    const Side active = served_->side;
    try {
        if (!connection || !connection->is_alive() || connection->side() != active) {
            connection = co_await cluster_.connect_by(Clock::now() + kLagPatience, active, cluster_.journal_database());
            connection->set_call_timeout(kLagPatience);
        }
        lag_ = co_await read_lag(*connection, other(active));
        if (!switcher_->running()) lag_connection_ = std::move(connection);
    } catch (const PgError& error) {
        lag_.clear();
        spdlog::debug("the lag is not known: {}", error.what());
    }
}

// ---------------------------------------------------------------------------------------------------------------- end

void Controller::stop(Stop how) {
    const Clock::time_point deadline =
        Clock::now() + (how == Stop::gracefully ? config_.shutdown_timeout : Milliseconds(0));
    if (how == Stop::at_once || !stopping_) stop_deadline_ = deadline;
    if (std::exchange(stopping_, true)) {
        data_plane_->shut_down(stop_deadline_, [] {});
        return;
    }
    spdlog::info("stopping {}", how == Stop::gracefully ? "when the running transactions have ended" : "at once");
    asio::co_spawn(executor_, end_life(), asio::detached);
}

asio::awaitable<void> Controller::end_life() {
    boost::system::error_code woken;
    asio::steady_timer again(executor_);
    // What a verb has begun is undone before the sessions go; a switch beyond its claim is finished.
    while (running_) {
        cancel_running_.emit(asio::cancellation_type::terminal);
        again.expires_after(Milliseconds(10));
        co_await again.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
    co_await quiet_background();
    cancel_life_.emit(asio::cancellation_type::terminal);
    struct Nothing {};
    co_await called_back<Nothing>([this](std::function<void(Nothing)> then) {
        data_plane_->shut_down(stop_deadline_, [then = std::move(then)] { then({}); });
    });
    end(ExitStatus::done);
}

void Controller::end(ExitStatus status) {
    stopping_ = true;
    if (std::exchange(ended_called_, true)) return;
    roles_.stop();
    cancel_watch_.emit(asio::cancellation_type::terminal);
    single_flight_.release();
    lag_connection_.reset();
    ended_(status);
}

}  // namespace turnout::control
