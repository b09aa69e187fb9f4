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
        const std::size_t sum = std::accumulate(busy_.begin(), busy_.end(), std::size_t{0});
        const bool few = sum == 0 || (now >= learnt_ && sum <= least_);
        if (sum < kUnknown) least_ = std::min(least_, sum);
        if (!few || sum >= kUnknown) return true;
    }
    end(true);
    return false;
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
