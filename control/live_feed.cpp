#include "control/live_feed.hpp"

#include <utility>

namespace turnout::control {

std::optional<std::string> LiveFeed::Watcher::news() {
    const std::lock_guard lock(feed_.mutex_);
    if (feed_.number_ == seen_) return std::nullopt;
    seen_ = feed_.number_;
    return feed_.event_;
}

void LiveFeed::publish(std::string event) {
    const std::lock_guard lock(mutex_);
    event_ = std::move(event);
    ++number_;
}

}  // namespace turnout::control
