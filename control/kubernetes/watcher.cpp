#include "control/kubernetes/watcher.hpp"

#include <spdlog/spdlog.h>
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <utility>

namespace turnout::kubernetes {

namespace asio = boost::asio;
using namespace std::chrono_literals;

Watcher::Watcher(ApiClient& client, Resource resource, std::string selector, Changed changed)
    : client_(client), resource_(resource), selector_(std::move(selector)), changed_(std::move(changed)) {}

std::string Watcher::path(const std::string& query) const {
    std::string text = client_.path(resource_) + "?" + query;
    if (!selector_.empty()) text += (query.empty() ? "labelSelector=" : "&labelSelector=") + selector_;
    return text;
}

asio::awaitable<void> Watcher::list() {
    const std::string target = path("");
    const boost::json::object found = co_await client_.get(target);
    listed_ = true;
    heard_ = true;
    for (const std::string& name : cache_.replace(found)) changed_(name);
}

asio::awaitable<void> Watcher::follow() {
    const std::string target =
        path("watch=true&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion=" + cache_.version());
    co_await client_.watch(target, [this](const boost::json::object& event) {
        const ObjectCache::Event taken = cache_.take(event);
        if (taken.said == ObjectCache::Said::failed) throw ApiUnreachable("the watch ended with an error");
        if (taken.said == ObjectCache::Said::expired) throw ApiRefusal(410, "the watch is too old");
        heard_ = true;
        if (taken.said == ObjectCache::Said::changed) changed_(taken.name);
    });
}

asio::awaitable<void> Watcher::run() {
    constexpr std::chrono::milliseconds kLeast = 100ms;
    constexpr std::chrono::milliseconds kMost = 30s;
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    std::chrono::milliseconds wait = kLeast;
    for (;;) {
        heard_ = false;
        std::string trouble;
        try {
            if (cache_.version().empty()) {
                co_await list();
                heard_ = false;  // a list that is followed by 410 again and again must not be asked for at once
            }
            co_await follow();
        } catch (const ApiRefusal& refusal) {
            if (refusal.expired()) cache_.forget_version();
            trouble = refusal.what();
        } catch (const ApiUnreachable& error) {
            trouble = error.what();
        } catch (const AccessError& error) {
            trouble = error.what();
        }
        if (heard_) wait = kLeast;
        if (!trouble.empty()) spdlog::warn("watching {}: {}; again in {} ms", resource_.plural, trouble, wait.count());
        timer.expires_after(wait);
        co_await timer.async_wait(asio::use_awaitable);
        wait = std::min(kMost, wait * 2);
    }
}

}  // namespace turnout::kubernetes
