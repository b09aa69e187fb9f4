#include "control/hook.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>
#include <boost/system/system_error.hpp>
#include <cctype>
#include <utility>

#include "control/conninfo.hpp"
#include "control/duration.hpp"
#include "control/pg_tools.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kLongestVariable = 100'000;  // Linux takes 128 KB

std::string in_capitals(std::string_view word) {
    std::string text(word);
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
    return text;
}

Conninfo::Parameters variables_of(const boost::json::object& facts) {
    Conninfo::Parameters variables;
    for (const auto& [key, value] : facts) {
        std::string text = value.is_string() ? std::string(value.get_string()) : boost::json::serialize(value);
        if (text.size() >= kLongestVariable) continue;
        variables.emplace_back(value.is_object() ? "TURNOUT_JSON" : "TURNOUT_" + in_capitals(key), std::move(text));
    }
    return variables;
}

/// Why it failed, as a value: the `||` below waits for the first that succeeds, so an exception would wait for the
/// alarm.
asio::awaitable<std::optional<std::string>> why_it_failed(std::string program, boost::json::object facts) {
    const std::vector<std::string> no_arguments;
    std::optional<std::string> failure;
    try {
        // A file, not a pipe: a program that does not read holds up nobody.
        const PrivateFile input;
        input.write(boost::json::serialize(facts) + "\n");
        Conninfo::Parameters variables = variables_of(facts);
        const std::filesystem::path path = input.path();
        co_await run_program(program, no_arguments, std::move(variables), path);
    } catch (const PgToolsError& error) {
        failure = error.what();
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) throw;
        failure = fmt::format("{} cannot be run: {}", program, error.code().message());
    }
    co_return failure;
}

}  // namespace

asio::awaitable<std::optional<std::string>> run_hook(std::string program, boost::json::object facts,
                                                     Milliseconds timeout) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer alarm(co_await asio::this_coro::executor, timeout);
    auto ended = co_await (why_it_failed(program, std::move(facts)) || alarm.async_wait(asio::use_awaitable));
    if (ended.index() == 1) co_return fmt::format("{} took longer than {}", program, duration_text(timeout));
    co_return std::get<0>(std::move(ended));
}

void HookTeller::tell(std::string program, boost::json::object facts, Milliseconds timeout) {
    if (program.empty()) return;
    told_.push_back({std::move(program), std::move(facts), timeout});
    begin();
}

void HookTeller::hold(bool held) {
    held_ = held;
    begin();
}

void HookTeller::begin() {
    if (runs_ || held_ || told_.empty()) return;
    runs_ = true;
    asio::co_spawn(executor_, run(), asio::detached);
}

asio::awaitable<void> HookTeller::run() {
    while (!held_ && !told_.empty()) {
        Told next = std::move(told_.front());
        told_.pop_front();
        const std::string event = boost::json::serialize(next.facts["event"]);
        const auto failure = co_await run_hook(std::move(next.program), std::move(next.facts), next.timeout);
        if (failure) spdlog::warn("the hook {} failed: {}", event, *failure);
    }
    runs_ = false;
}

}  // namespace turnout::control
