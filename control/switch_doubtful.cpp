#include "control/switch_doubtful.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "control/names.hpp"

namespace turnout::control {

namespace {

/// Between two looks at a backend that was told to end.
constexpr Milliseconds kLook{2};

}  // namespace

bool DoubtfulBackends::note(const PgConnection& connection) {
    if (connection.is_alive() && connection.outstanding() == 0 && !connection.in_transaction()) return false;
    if (connection.backend_pid() != 0) pids_[index(connection.side())].insert(connection.backend_pid());
    return true;
}

/// Only what is still ours: a number that was given to somebody else meanwhile has another application_name.
asio::awaitable<void> DoubtfulBackends::end(const Cluster& cluster, Side side, Clock::time_point deadline) {
    const std::set<std::int32_t> doomed = pids_[index(side)];
    if (doomed.empty()) co_return;
    const PgConnection::Ptr connection = co_await cluster.connect_by(deadline, side, cluster.journal_database());
    const std::string pids = fmt::format("{{{}}}", fmt::join(doomed, ","));
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        const PgResult left = co_await connection->query_by(
            deadline,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY ($1::int[]) "
            "AND application_name = $2",
            pids, names::kApplicationName);
        if (left.empty()) break;
        timer.expires_after(kLook);
        co_await timer.async_wait(asio::use_awaitable);
    }
    for (const std::int32_t pid : doomed) pids_[index(side)].erase(pid);
}

}  // namespace turnout::control
