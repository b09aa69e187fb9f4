#include "control/single_flight.hpp"

#include <fmt/format.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "control/both.hpp"
#include "control/names.hpp"

namespace turnout::control {

namespace {

/// Between two tries to reach a side, and how long an ended backend may take to go.
constexpr Milliseconds kAgain{500};
constexpr Milliseconds kEnding{5000};
constexpr Milliseconds kLook{5};

asio::awaitable<void> pause(Milliseconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

asio::awaitable<bool> SingleFlight::take_side(Side side, bool take_over) {
    std::unique_ptr<Journal> journal;
    try {
        journal = co_await Journal::open(cluster_, side);
        const auto until = Clock::now() + kEnding;
        while (!co_await journal->try_lock()) {
            const auto holder = co_await journal->lock_holder();
            if (!take_over || Clock::now() >= until) {
                throw LockHeld(fmt::format(
                    "another turnout serves these servers: its backend on {} has pid {}; stop it first, or start with "
                    "--take-over to end it",
                    turnout::name(side), holder.value_or(0)));
            }
            if (holder) co_await journal->connection().query("SELECT pg_terminate_backend($1)", *holder);
            co_await pause(kLook);
        }
        co_await end_predecessor(*journal);
    } catch (const PgError&) {
        co_return false;
    }
    journals_[index(side)] = std::move(journal);
    co_return true;
}

/// Backends of control's that are older than this one belong to a process that is gone, or is no longer in charge.
asio::awaitable<void> SingleFlight::end_predecessor(Journal& journal) {
    const auto until = Clock::now() + kEnding;
    for (;;) {
        const PgResult left = co_await journal.connection().query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 "
            "AND backend_start < (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())",
            names::kApplicationName);
        if (left.empty() || Clock::now() >= until) co_return;
        co_await pause(kLook);
    }
}

asio::awaitable<void> SingleFlight::take(bool take_over) {
    try {
        for (const Side side : {Side::blue, Side::green}) co_await take_side(side, take_over);
    } catch (const LockHeld&) {
        release();
        throw;
    }
}

asio::awaitable<void> SingleFlight::watch(Listener listener) {
    co_await both(watch_side(Side::blue, listener), watch_side(Side::green, listener));
}

asio::awaitable<void> SingleFlight::watch_side(Side side, Listener listener) {
    std::unique_ptr<Journal>& journal = journals_[index(side)];
    bool told = false;
    for (;;) {
        if (journal) {
            co_await journal->connection().wait_until_lost();
            journal.reset();
            told = false;
            listener.lost(side, fmt::format("the connection that holds the lock on {} was lost", turnout::name(side)));
        }
        std::string holder;
        try {
            if (co_await take_side(side, false)) listener.back(side);
        } catch (const LockHeld& held) {
            holder = held.what();
        }
        if (!holder.empty() && !told) {
            told = true;
            listener.replaced(side, holder);
        }
        if (!journal) co_await pause(kAgain);
    }
}

void SingleFlight::release() { journals_ = {}; }

}  // namespace turnout::control
