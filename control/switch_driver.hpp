// Runs switches: what the machine (switch_machine.hpp) asks for is done with the servers and the data plane.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/data_plane.hpp"
#include "control/recovery_state.hpp"
#include "control/settle_driver.hpp"
#include "control/side.hpp"
#include "control/switch_doubtful.hpp"
#include "control/switch_report.hpp"
#include "control/switch_request.hpp"
#include "control/switch_steps.hpp"

namespace turnout::control {

/// What the caller says about a switch; the rest is found out.
struct SwitchOptions {
    SwitchKind kind = SwitchKind::forward;
    Side from = Side::blue;  ///< the active side, as the caller knows it; refused if the journal says otherwise
    Milliseconds max_pause{100};
    Milliseconds deadline{60000};
    PinnedPolicy pinned = PinnedPolicy::wait;
    LongTransactions long_transactions = LongTransactions::wait;
    Bypassing bypassing = Bypassing::refuse;
    bool no_way_back = false;                ///< goes on where the stream back is missing or leaves out tables
    bool hidden_state = false;               ///< PreflightReport::hidden_state
    std::vector<std::string> setting_names;  ///< PreflightReport::setting_names
    /// read_schema_marks() from before the schemas were compared: what differs from them behind the gate makes the
    /// switch refuse. Empty: they were not compared, and only what is changed from the warm-up on is noticed.
    std::vector<std::string> schema_marks;
    unsigned simultaneous_logins = 16;
    SwitchPatience patience;
    /// Whether this process still holds the lock on `from`; empty: nobody else can be in charge. Asked before each
    /// attempt touches anything: a process that wakes late has been replaced, and the sides may have changed since.
    std::function<bool()> in_charge;
};

/// Is told of each phase outside the window as it begins: "recheck", "settle". Of those in it nobody hears before it is
/// over: `window` are these, with the phase that follows it.
using SwitchProgress = std::function<void(std::string phase, const std::vector<TimedPhase>& window)>;

/// Where a switch stands with one of its steps: about to begin it, in it (what it sends first is sent), or told of its
/// end.
enum class StepMoment { before, within, after };

/// Is told of each moment of each step, on control's thread. Tests stop the process there; the program has none.
using StepWatch = std::function<void(const SwitchStep&, StepMoment)>;

class SwitchRun;

/// Runs one switch at a time. Lives as long as the data plane is served; everything on one executor of one thread.
class Switcher {
  public:
    Switcher(const Cluster& cluster, DataPlane& data_plane, StateFile& state, StepWatch watch = {});
    ~Switcher();
    Switcher(const Switcher&) = delete;
    Switcher& operator=(const Switcher&) = delete;

    /// Runs a switch, rollback or rehearsal to its end. Never throws for what servers or sessions do: that is in the
    /// report. If the calling coroutine is cancelled (once), the switch is stopped: undone before the claim, finished
    /// after it; the report comes in either case. Throws std::logic_error if one runs already.
    ///
    /// If the report's left_over is not empty, settle() for the side that is active then should be repeated in the
    /// background until it has nothing left.
    asio::awaitable<SwitchReport> run(SwitchOptions options, SwitchProgress progress);

    /// As control::settle() (settle_driver.hpp): while no switch runs. Cancel it before one is begun.
    asio::awaitable<reply::Settled> settle(Side active, std::int64_t generation, Clock::time_point deadline) {
        return control::settle(cluster_, active, generation, deadline, doubtful_);
    }

    bool running() const { return current_ != nullptr; }
    /// True while the outcome of an activation is unknown: nobody is served, and only the register, or a person, ends
    /// it.
    bool undecided() const;
    /// The old side was forced active with this generation while undecided(): opens towards it.
    void decide_for_old_side(std::int64_t generation);

    /// The gate's last attempt; each one is greater than every one before.
    std::uint64_t last_attempt() const { return last_attempt_; }
    /// For others that close the gate (verify): a number of their own.
    std::uint64_t next_attempt() { return ++last_attempt_; }

  private:
    asio::awaitable<std::optional<SwitchReport>> number(const SwitchOptions& options, SwitchRequest& request);

    const Cluster& cluster_;
    DataPlane& data_plane_;
    StateFile& state_;
    const StepWatch watch_;
    asio::thread_pool disk_{1};  ///< an fsync may take long, and control's thread never waits
    DoubtfulBackends doubtful_;
    std::uint64_t last_attempt_ = 0;
    SwitchRun* current_ = nullptr;
};

}  // namespace turnout::control
