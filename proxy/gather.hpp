// One answer out of one part per worker.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace turnout::proxy {

/// Collects `expected` parts from any threads; the last one hands them all to `done`, once, on its own thread.
template <class T>
class Gather {
  public:
    Gather(std::size_t expected, std::function<void(std::vector<T>)> done)
        : expected_(expected), done_(std::move(done)) {}

    void contribute(T part) {
        std::unique_lock lock(mutex_);
        parts_.push_back(std::move(part));
        if (parts_.size() < expected_) return;
        lock.unlock();
        done_(std::move(parts_));
    }

  private:
    std::mutex mutex_;
    std::size_t expected_;
    std::vector<T> parts_;
    std::function<void(std::vector<T>)> done_;
};

}  // namespace turnout::proxy
