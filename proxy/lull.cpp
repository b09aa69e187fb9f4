#include "proxy/lull.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace turnout::proxy {

bool Lull::tell(std::size_t worker, std::size_t busy, Clock::time_point now) {
    {
        const std::lock_guard lock(mutex_);
        if (!found_) return false;
        busy_[worker] = busy;
        sum_ = std::accumulate(busy_.begin(), busy_.end(), std::size_t{0});
        const bool one = is_one(now);
        least_ = std::min(least_, sum_);
        if (!one) return true;
    }
    end(true);
    return false;
}

void Lull::want(bool now) {
    {
        const std::lock_guard lock(mutex_);
        wanted_ = now;
        if (!is_one(Clock::now())) return;
    }
    end(true);
}

bool Lull::is_one(Clock::time_point now) const {
    return wanted_ && sum_ < kUnknown && (sum_ == 0 || (now >= learnt_ && sum_ <= least_));
}

void Lull::end(bool found) {
    std::function<void(bool)> call;
    {
        const std::lock_guard lock(mutex_);
        call = std::exchange(found_, nullptr);
    }
    if (call) call(found);
}

}  // namespace turnout::proxy
