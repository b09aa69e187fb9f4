// From a proxy that answers to the version change that is finished.
#include <algorithm>
#include <chrono>
#include <utility>

#include "control/kubernetes/reconciler_step.hpp"

namespace turnout::kubernetes {

using namespace std::chrono_literals;

namespace {

constexpr std::int64_t kCaughtUpBytes = 1024 * 1024;

}  // namespace

void Step::follow_life() {
    const std::string& life = seen_.turnout->phase;
    if (life == "new") return fresh();
    if (life == "syncing") {
        if (spec_.cutover == Cutover::abort) return run(Verb::abort, "ABORT");
        status().phase = Phase::replicating;
        if (!carry_out(Verb::sync)) return;
        return run(Verb::sync, "SYNC");
    }
    if (life == "synced") return synced();
    if (life == "switched") return switched();
    if (life == "finished") {
        // Of a change before this one, which was aborted after a rollback: SYNC begins another one.
        const bool former = seen_.turnout->active == "blue" && status().phase <= Phase::replicating;
        return former ? fresh() : finished();
    }
    again(kSoon);  // "switching": by somebody else
}

void Step::fresh() {
    if (spec_.cutover == Cutover::abort) return aborted();
    const bool checked = seen_.last && seen_.last->verb == Verb::check;
    const bool passed = checked && seen_.last->done && seen_.last->refusals.empty();
    if (checked && !passed) {
        std::string message = seen_.last->message;
        for (const std::string& refusal : seen_.last->refusals)
            message.append(message.empty() ? "" : "; ").append(refusal);
        status().phase = Phase::preflight;
        set(condition::preflight_passed, Truth::no, "CheckRefuses", message);
        ready(Truth::no, "PreflightFailed", message);
        const auto waited = seen_.now - seen_.last->ended;
        if (waited < kAskAgain) return again(std::chrono::duration_cast<std::chrono::milliseconds>(kAskAgain - waited));
        return run(Verb::check, "CHECK");
    }
    status().phase = Phase::replicating;
    if (!passed && !failed(Verb::sync)) return run(Verb::check, "CHECK");
    if (passed) set(condition::preflight_passed, Truth::yes, "Checked", "nothing stands in the way");
    if (!move_traffic(Traffic::proxy)) return;
    if (!carry_out(Verb::sync)) return;
    set(condition::replicating, Truth::no, "Copying", "the tables are copied");
    ready(Truth::no, "Copying", "the new server is being filled");
    run(Verb::sync, "SYNC");
}

void Step::synced() {
    set(condition::preflight_passed, Truth::yes, "Checked", "nothing stands in the way");
    set(condition::replicating, Truth::yes, "Following", "the new server follows");
    const bool near = seen_.turnout->lag_bytes && *seen_.turnout->lag_bytes <= kCaughtUpBytes;
    const bool back = status().watched_since.empty() && status().window && status().window->to == "blue";
    if (near || !status().is(condition::caught_up, Truth::yes))
        set(condition::caught_up, near ? Truth::yes : Truth::no, near ? "Near" : "Behind",
            near ? "the new server is less than 1 MB behind" : "the new server catches up");
    set(condition::rollback_ready, Truth::no, "NothingToRollBack", "clients are served by the old server");
    status().phase = back ? Phase::rolled_back : near ? Phase::caught_up : Phase::replicating;
    again(kSteady);
    if (spec_.cutover == Cutover::abort) return run(Verb::abort, "ABORT");
    if (!move_traffic(Traffic::proxy)) return;
    Request& request = status().request;
    if (spec_.cutover == Cutover::rollback) request.done = true;
    if (spec_.cutover == Cutover::when_caught_up && !request.done && near) {
        if (!carry_out(Verb::switch_over)) return;
        request.turnout_generation = seen_.turnout->generation;
        return run(Verb::switch_over, switch_command("SWITCH"));
    }
    if (spec_.cutover == Cutover::when_caught_up && request.done)
        return ready(Truth::yes, "RolledBack",
                     (request.outcome.empty() ? "the switch that was asked for was rolled back" : request.outcome) +
                         ": set spec.cutover to Manual and to WhenCaughtUp again to repeat it");
    if (back) return ready(Truth::yes, "RolledBack", "clients are served by the old server again");
    ready(Truth::yes, near ? "WaitsForCutover" : "CatchingUp",
          near ? "set spec.cutover to WhenCaughtUp to switch" : "the new server catches up");
}

void Step::switched() {
    status().phase = Phase::switched;
    if (status().watched_since.empty()) status().watched_since = time_text(seen_.now);
    set(condition::caught_up, Truth::yes, "Switched", "the old server follows the new one");
    set(condition::rollback_ready, Truth::yes, "WayBackOpen", "set spec.cutover to Rollback to go back");
    again(kSteady);
    if (!move_traffic(Traffic::proxy)) return;
    Request& request = status().request;
    if (spec_.cutover == Cutover::when_caught_up) request.done = true;
    if (spec_.cutover == Cutover::abort)
        return ready(Truth::no, "TooLateToAbort",
                     "spec.cutover: the new server is active, so Abort would lose what was written to it: Rollback "
                     "first, then Abort");
    if (spec_.cutover == Cutover::rollback && !request.done) {
        if (seen_.running) {
            act({ActionKind::cancel_verb});  // the watch; the switch stands
            return again(kSoon);
        }
        if (!carry_out(Verb::rollback)) return;
        request.turnout_generation = seen_.turnout->generation;
        return run(Verb::rollback, switch_command("ROLLBACK"));
    }
    const auto since = parse_time(status().watched_since).value_or(seen_.now);
    const VerbResult* const last = seen_.last ? &*seen_.last : nullptr;
    const bool compared = last != nullptr && last->verb == Verb::switch_over && last->done && last->window &&
                          last->window->generation == seen_.turnout->generation && !spec_.rollback_if.empty();
    const bool watched = compared || seen_.now - since >= spec_.watch;
    if (watched_now()) return tell_watch();
    if (spec_.finish == Finish::after_watch && watched && spec_.cutover != Cutover::rollback) {
        if (!carry_out(Verb::finish)) return;
        return run(Verb::finish, "FINISH");
    }
    if (!watched)
        again(std::max<std::chrono::milliseconds>(
            std::chrono::duration_cast<std::chrono::milliseconds>(spec_.watch - (seen_.now - since)), 1s));
    if (!watched && !spec_.rollback_if.empty())
        return ready(Truth::yes, "NotWatched",
                     "clients are served by the new server, and nobody compares any more, since the operator or the "
                     "proxy was started again: spec.watch.rollbackIf has no effect");
    ready(Truth::yes, spec_.finish == Finish::after_watch ? "Watching" : "Switched",
          spec_.finish == Finish::after_watch ? "clients are served by the new server, which is watched before finish"
                                              : "clients are served by the new server; spec.finish: AfterWatch gives "
                                                "up the way back");
}

void Step::tell_watch() {
    again(kSteady);
    ready(Truth::yes, "Watching",
          "clients are served by the new server, which is compared with the old one" +
              (spec_.rollback_if.empty() ? std::string() : ": it is left again by itself if " + spec_.rollback_if));
}

void Step::finished() {
    status().phase = Phase::finished;
    status().forget_lag();
    set(condition::rollback_ready, Truth::no, "Finished", "replication is dismantled");
    set(condition::replicating, Truth::no, "Finished", "replication is dismantled");
    if (status().active == "green" && spec_.retire_old && seen_.old_workload.exists) {
        act({ActionKind::remove_old_workload});
        ready(Truth::no, "Retiring", "the old server is being removed");
        return again(kSoon);
    }
    ready(Truth::yes, "Finished",
          status().active == "green" ? "clients are served by the new server alone"
                                     : "clients are served by the old server alone");
    set(condition::terminal, Truth::yes, "Finished", "there is nothing left to do");
}

}  // namespace turnout::kubernetes
