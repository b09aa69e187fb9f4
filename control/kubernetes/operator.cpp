// The operator's life: the lease, the watches, and one look after the other.
#include "control/kubernetes/operator.hpp"

#include <spdlog/spdlog.h>
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <exception>
#include <utility>

#include "control/kubernetes/fields.hpp"

namespace turnout::kubernetes {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

Operator::Operator(asio::any_io_executor executor, Access access, std::string identity)
    : executor_(executor),
      client_(executor, std::move(access)),
      election_(kLease, std::move(identity)),
      upgrades_(client_, resource::upgrades, "",
                [this](const std::string& name) {
                    queue_.add(name, Steady::now());
                    wake();
                }),
      servers_(client_, resource::stateful_sets, std::string(kUpgradeLabel),
               [this](const std::string& name) {
                   const std::string upgrade = servers_.cache().label(name, kUpgradeLabel);
                   if (!upgrade.empty()) queue_.add(upgrade, Steady::now());
                   wake();
               }),
      proxies_(client_, resource::deployments, std::string(kUpgradeLabel),
               [this](const std::string& name) {
                   const std::string upgrade = proxies_.cache().label(name, kUpgradeLabel);
                   if (!upgrade.empty()) queue_.add(upgrade, Steady::now());
                   wake();
               }),
      woken_(executor, Steady::time_point::max()) {}

Operator::~Operator() = default;

asio::awaitable<void> Operator::lead() {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer retry(executor_);
    for (;;) {
        co_await try_to_lead();
        if (election_.leads(Steady::now())) break;
        retry.expires_after(Election::kRetry);
        co_await retry.async_wait(asio::use_awaitable);
    }
    spdlog::info("{} leads in the namespace {}", election_.identity(), client_.space());
    co_await (elect() || upgrades_.run() || servers_.run() || proxies_.run() || work());
}

asio::awaitable<bool> Operator::run() {
    std::exception_ptr failure;
    try {
        co_await lead();
    } catch (...) {
        failure = std::current_exception();
    }
    const auto state = co_await asio::this_coro::cancellation_state;
    const bool stopped = state.cancelled() != asio::cancellation_type::none;
    co_await asio::this_coro::reset_cancellation_state();
    if (failure && !stopped) std::rethrow_exception(failure);
    co_await end_verbs();
    if (stopped) co_await give_up_lease();
    co_return !stopped;
}

/// What runs is cancelled, and undone by the proxy, which is given a moment for that; looks come to their end.
asio::awaitable<void> Operator::end_verbs() {
    for (auto& [name, memory] : memory_)
        if (memory.job) memory.job->cancel.emit(asio::cancellation_type::terminal);
    asio::steady_timer moment(executor_);
    for (int left = 100; left > 0; --left) {
        const bool runs = std::any_of(memory_.begin(), memory_.end(), [](const auto& it) { return it.second.job; });
        if (!runs && looks_ == 0) co_return;
        moment.expires_after(100ms);
        co_await moment.async_wait(asio::use_awaitable);
    }
}

/// Renews until that was not possible in time.
asio::awaitable<void> Operator::elect() {
    asio::steady_timer retry(executor_);
    while (election_.leads(Steady::now())) {
        retry.expires_after(Election::kRetry);
        co_await retry.async_wait(asio::use_awaitable);
        co_await try_to_lead();
    }
    spdlog::error("{} has lost the lease: somebody else acts now", election_.identity());
}

asio::awaitable<void> Operator::try_to_lead() {
    const auto begun = Steady::now();
    try {
        std::optional<boost::json::object> lease;
        const std::string path = client_.path(resource::leases, kLease);
        try {
            lease = co_await client_.get(path);
        } catch (const ApiRefusal& refusal) {
            if (!refusal.not_found()) throw;
        }
        auto write = election_.next(lease, begun, WallClock::now());
        if (!write) co_return;
        boost::json::object written;
        if (write->create)
            written = co_await client_.create(client_.path(resource::leases), std::move(write->object));
        else
            written = co_await client_.replace(path, std::move(write->object));
        election_.written(written, begun);
    } catch (const ApiRefusal& refusal) {
        if (!refusal.conflict()) spdlog::warn("the lease: {}", refusal.what());
    } catch (const ApiUnreachable& error) {
        spdlog::warn("the lease: {}", error.what());
    } catch (const AccessError& error) {
        spdlog::warn("the lease: {}", error.what());
    }
}

asio::awaitable<void> Operator::give_up_lease() {
    auto lease = election_.released();
    if (!lease) co_return;
    try {
        co_await client_.replace(client_.path(resource::leases, kLease), std::move(*lease));
    } catch (const std::exception& error) {
        spdlog::info("the lease runs out by itself: {}", error.what());
    }
}

asio::awaitable<void> Operator::work() {
    for (;;) {
        const auto now = Steady::now();
        if (const auto name = queue_.take(now)) {
            asio::co_spawn(executor_, look_at(*name), asio::detached);
            continue;
        }
        woken_.expires_at(queue_.next().value_or(Steady::time_point::max()));
        boost::system::error_code woken;
        co_await woken_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none) co_return;
    }
}

/// Never throws: what goes wrong is tried again.
asio::awaitable<void> Operator::look_at(std::string name) {
    ++looks_;
    std::string trouble;
    bool forbidden = false;
    try {
        co_await look_and_act(name);
        queue_.succeeded(name);
        if (const auto known = memory_.find(name); known != memory_.end()) known->second.forbidden.clear();
    } catch (const ApiRefusal& refusal) {
        trouble = refusal.what();
        forbidden = refusal.forbidden();
        // Somebody else wrote in between: what is there now is heard of, or is looked at by the next try.
        if (refusal.conflict()) trouble.clear();
        queue_.failed(name, Steady::now());
    } catch (const std::exception& error) {
        trouble = error.what();
        queue_.failed(name, Steady::now());
    }
    if (!trouble.empty()) spdlog::warn("{}: {}; it is tried again", name, trouble);
    if (forbidden) co_await tell_forbidden(name, trouble);
    --looks_;
    queue_.done(name);
    wake();
}

/// True for a change that is not worth a write so soon after the last one; it is looked at again in time.
bool Operator::may_wait(const Look& look, const Status& status) {
    const auto told = memory_[look.owner.name].told;
    if (!told || Steady::now() >= *told + kStoryPause || !same_story(look.seen.status, status)) return false;
    queue_.add_at(look.owner.name, *told + kStoryPause);
    return true;
}

asio::awaitable<void> Operator::look_and_act(std::string name) {
    Look found;
    try {
        found = co_await look(name);
    } catch (const ApiRefusal& refusal) {
        if (!refusal.not_found()) throw;
        memory_.erase(name);
        queue_.forget(name);
        co_return;
    }
    Decision decision = reconcile(found.seen);
    const bool told = decision.status == found.seen.status || decision.status.conditions.empty();
    if (!told && !may_wait(found, decision.status)) {
        co_await write_status(found, decision.status);
        memory_[name].told = Steady::now();
        for (Note& note : decision.notes) co_await tell(found.owner, std::move(note));
    }
    for (Action& action : decision.actions) co_await act(found, std::move(action));
    // Last: what could not be carried out waits as long as its failures ask for.
    if (decision.again_in) queue_.add_at(name, Steady::now() + *decision.again_in);
}

}  // namespace turnout::kubernetes
