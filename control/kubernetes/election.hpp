// Who leads, by a Lease that all operators look at. Pure: simulated time in tests, no clock.
//
// Times in the lease are other machines'. Whether it has run out is judged by this machine's steady clock alone: the
// time since the lease was last *seen to change*. So clocks may differ as they like; only their speed is trusted.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <optional>
#include <string>

#include "control/kubernetes/status.hpp"

namespace turnout::kubernetes {

class Election {
  public:
    using Steady = std::chrono::steady_clock;

    static constexpr std::chrono::seconds kDuration{15};  ///< after so long without renewal others may take over
    static constexpr std::chrono::seconds kRenewBy{10};   ///< a leader that could not renew for so long stops acting
    static constexpr std::chrono::seconds kRetry{2};

    Election(std::string lease, std::string identity);

    /// What to do about the lease that was just read; nothing: there is none, or it is not ours and still holds.
    struct Write {
        bool create = false;
        boost::json::object object;
    };
    std::optional<Write> next(const std::optional<boost::json::object>& lease, Steady::time_point now,
                              WallClock::time_point wall);

    /// The write was accepted; `begun` is when it was sent.
    void written(const boost::json::object& lease, Steady::time_point begun);

    /// True as long as nobody else can have taken over.
    bool leads(Steady::time_point now) const { return renewed_ && now - *renewed_ < kRenewBy; }
    /// Until when it leads at the longest; nothing: it does not.
    std::optional<Steady::time_point> leads_until() const {
        if (!renewed_) return std::nullopt;
        return *renewed_ + kRenewBy;
    }

    /// The lease, given up: the next one need not wait. Nothing if it does not lead.
    std::optional<boost::json::object> released();
    const std::string& identity() const { return identity_; }

  private:
    boost::json::object ours(boost::json::object lease, WallClock::time_point wall) const;

    std::string lease_;
    std::string identity_;
    std::string seen_;  ///< holder and renewTime, when they were last seen to change
    Steady::time_point changed_{};
    std::optional<Steady::time_point> renewed_;
    boost::json::object held_;
};

}  // namespace turnout::kubernetes
