#include "control/kubernetes/election.hpp"

#include <algorithm>
#include <utility>

#include "control/kubernetes/fields.hpp"

namespace turnout::kubernetes {

namespace json = boost::json;

namespace {

/// The API's MicroTime.
std::string micro_time(WallClock::time_point time) {
    std::string text = time_text(time);
    const auto fraction = time - std::chrono::floor<std::chrono::seconds>(time);
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(fraction).count();
    std::string digits = std::to_string(1'000'000 + microseconds).substr(1);
    text.insert(text.size() - 1, "." + digits);
    return text;
}

}  // namespace

Election::Election(std::string lease, std::string identity)
    : lease_(std::move(lease)), identity_(std::move(identity)) {}

std::optional<Election::Write> Election::next(const std::optional<json::object>& lease, Steady::time_point now,
                                              WallClock::time_point wall) {
    if (!lease) {
        json::object fresh{
            {"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}, {"metadata", json::object{{"name", lease_}}}};
        return Write{true, ours(std::move(fresh), wall)};
    }
    const std::string holder = text_in(*lease, {"spec", "holderIdentity"});
    const std::string seen = holder + " " + text_in(*lease, {"spec", "renewTime"});
    if (seen != seen_) {
        seen_ = seen;
        changed_ = now;
    }
    if (holder == identity_ || holder.empty()) return Write{false, ours(*lease, wall)};
    renewed_.reset();
    const auto duration = std::chrono::seconds(number_in(*lease, {"spec", "leaseDurationSeconds"}));
    if (now - changed_ < std::max<std::chrono::seconds>(duration, std::chrono::seconds(1))) return std::nullopt;
    return Write{false, ours(*lease, wall)};
}

json::object Election::ours(json::object lease, WallClock::time_point wall) const {
    json::object spec = object_in(lease, {"spec"});
    const std::string time = micro_time(wall);
    if (text_in(spec, {"holderIdentity"}) != identity_) {
        spec["leaseTransitions"] = number_in(spec, {"leaseTransitions"}) + (spec.contains("holderIdentity") ? 1 : 0);
        spec["acquireTime"] = time;
    }
    spec["holderIdentity"] = identity_;
    spec["leaseDurationSeconds"] = kDuration.count();
    spec["renewTime"] = time;
    lease["spec"] = std::move(spec);
    return lease;
}

void Election::written(const json::object& lease, Steady::time_point begun) {
    renewed_ = begun;
    held_ = lease;
}

std::optional<json::object> Election::released() {
    if (!renewed_ || held_.empty()) return std::nullopt;
    renewed_.reset();
    json::object lease = std::exchange(held_, {});
    json::object spec = object_in(lease, {"spec"});
    spec["holderIdentity"] = "";
    lease["spec"] = std::move(spec);
    return lease;
}

}  // namespace turnout::kubernetes
