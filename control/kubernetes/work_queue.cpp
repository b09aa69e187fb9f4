#include "control/kubernetes/work_queue.hpp"

#include <algorithm>

namespace turnout::kubernetes {

void WorkQueue::due_at(const std::string& name, Time when) {
    const auto [found, fresh] = due_.try_emplace(name, when);
    if (!fresh) found->second = std::min(found->second, when);
}

void WorkQueue::failed(const std::string& name, Time now) {
    const int doublings = std::min(failures_[name]++, 10);
    due_at(name, now + std::min(kMost, kLeast * (1 << doublings)));
}

std::optional<std::string> WorkQueue::take(Time now) {
    for (auto it = due_.begin(); it != due_.end(); ++it) {
        if (it->second > now || looked_at_.contains(it->first)) continue;
        std::string name = it->first;
        due_.erase(it);
        looked_at_.insert(name);
        return name;
    }
    return std::nullopt;
}

std::optional<WorkQueue::Time> WorkQueue::next() const {
    std::optional<Time> first;
    for (const auto& [name, when] : due_) {
        if (looked_at_.contains(name)) continue;
        if (!first || when < *first) first = when;
    }
    return first;
}

void WorkQueue::forget(const std::string& name) {
    due_.erase(name);
    failures_.erase(name);
}

}  // namespace turnout::kubernetes
