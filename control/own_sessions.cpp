#include "control/own_sessions.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <utility>

#include "control/awaited.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

constexpr Milliseconds kLoginPatience{1000};
constexpr Milliseconds kLook{2};

}  // namespace

asio::awaitable<std::vector<SessionView>> sessions_of(DataPlane& plane) {
    using Views = std::vector<SessionView>;
    return called_back<Views>([&plane](std::function<void(Views)> then) { plane.sessions(std::move(then)); });
}

asio::awaitable<std::set<std::int32_t>> own_pids(DataPlane& plane, Side side) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    const auto until = Clock::now() + kLoginPatience;
    for (;;) {
        std::set<std::int32_t> pids;
        bool unknown = false;
        const std::vector<SessionView> views = co_await sessions_of(plane);
        for (const SessionView& view : views) {
            if (view.side != side) continue;
            if (view.server_pid != 0) pids.insert(view.server_pid);
            unknown = unknown || (view.server_pid == 0 && view.state == "login");
        }
        if (!unknown || Clock::now() >= until) co_return pids;
        timer.expires_after(kLook);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

}  // namespace turnout::control
