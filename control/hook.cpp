#include "control/hook.hpp"

#include <fmt/format.h>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "control/duration.hpp"
#include "control/pg_tools.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

/// Why it failed, as a value: the `||` below waits for the first that succeeds, so an exception would wait for the
/// alarm.
asio::awaitable<std::optional<std::string>> why_it_failed(std::string program, Conninfo::Parameters facts) {
    const std::vector<std::string> no_arguments;
    std::optional<std::string> failure;
    try {
        co_await run_program(program, no_arguments, std::move(facts));
    } catch (const PgToolsError& error) {
        failure = error.what();
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) throw;
        failure = fmt::format("{} cannot be run: {}", program, error.code().message());
    }
    co_return failure;
}

}  // namespace

asio::awaitable<std::optional<std::string>> run_hook(std::string program, Conninfo::Parameters facts,
                                                     Milliseconds timeout) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer alarm(co_await asio::this_coro::executor, timeout);
    auto ended = co_await (why_it_failed(program, std::move(facts)) || alarm.async_wait(asio::use_awaitable));
    if (ended.index() == 1) co_return fmt::format("{} took longer than {}", program, duration_text(timeout));
    co_return std::get<0>(std::move(ended));
}

}  // namespace turnout::control
