#include "control/kubernetes/reconciler.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <utility>

#include "control/duration.hpp"

namespace turnout::kubernetes {

using control::duration_text;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

constexpr std::int64_t kCaughtUpBytes = 1024 * 1024;
/// A status that changed with every look would be a stream of writes to every watcher.
constexpr auto kLagTold = 10s;
constexpr auto kSoon = 2s;
constexpr auto kSteady = 10s;
constexpr auto kAskAgain = 30s;

/// One decision in the making. Each step either settles it (returns true) or lets the next one go on.
class Step {
  public:
    explicit Step(const Observed& observed) : seen_(observed) {
        decision_.status = observed.status;
        decision_.status.observed_generation = observed.generation;
    }

    Decision take() {
        if (seen_.deleting) {
            delete_object();
        } else {
            live();
        }
        note_transitions();
        return std::move(decision_);
    }

  private:
    // ---- the living object
    void live();
    bool begin();
    bool refuse_spec(const std::vector<SpecProblem>& problems, std::string_view reason);
    bool look_before();
    bool provision();
    bool reach_turnout();
    bool wait_for_verb();
    bool watched_now() const;
    void follow_life();
    void fresh();
    void synced();
    void switched();
    void tell_watch();
    void finished();
    void aborted();

    // ---- the object that is deleted
    void delete_object();
    void dismantle();
    void tear_down();

    // ---- what they share
    void take_request();
    bool carry_out(Verb verb);
    void run(Verb verb, std::string command);
    bool move_traffic(Traffic to);
    void tell_lag();
    void tell_turnout();
    void ready(Truth truth, std::string reason, std::string message);
    void set(std::string_view type, Truth truth, std::string reason, std::string message) {
        status().set(type, truth, std::move(reason), std::move(message), seen_.now);
    }
    void again(std::chrono::milliseconds when) {
        if (!decision_.again_in || when < *decision_.again_in) decision_.again_in = when;
    }
    void act(Action action) { decision_.actions.push_back(std::move(action)); }
    void note(bool warning, std::string reason, std::string message) {
        decision_.notes.push_back({warning, std::move(reason), std::move(message)});
    }
    void note_transitions();
    std::string switch_command(std::string_view verb) const;
    Status& status() { return decision_.status; }
    const VerbResult* failed(Verb verb) const {
        return seen_.last && seen_.last->verb == verb && !seen_.last->done ? &*seen_.last : nullptr;
    }

    const Observed& seen_;
    Spec spec_;
    Decision decision_;
};

std::string joined(const std::vector<SpecProblem>& problems) {
    std::string text;
    for (const SpecProblem& problem : problems) text.append(text.empty() ? "" : "; ").append(problem.text());
    return text;
}

std::string quoted(const std::string& text) {
    std::string result = "'";
    for (const char c : text) result.append(c == '\'' ? "''" : std::string(1, c));
    return result + "'";
}

// ------------------------------------------------------------------------------------------------ the living object

void Step::live() {
    ParsedSpec parsed = parse_spec(seen_.spec);
    spec_ = std::move(parsed.spec);
    if (begin()) return;
    if (refuse_spec(parsed.problems, "InvalidSpec")) return;
    if (refuse_spec(changed_fields(seen_.status.frozen, spec_), "FieldChanged")) return;
    if (status().frozen.empty()) status().frozen = frozen_fields(spec_);
    take_request();
    const bool over = status().phase == Phase::aborted && spec_.cutover == Cutover::abort;
    if (over) return aborted();
    if (look_before()) return;
    if (provision()) return;
    if (reach_turnout()) return;
    if (wait_for_verb()) return;
    follow_life();
}

bool Step::begin() {
    if (seen_.finalizer) return false;
    // Before anything is made outside: a deletion in between would leave it behind.
    act({ActionKind::add_finalizer});
    again(kSoon);
    return true;
}

bool Step::refuse_spec(const std::vector<SpecProblem>& problems, std::string_view reason) {
    if (problems.empty()) {
        if (const Condition* const terminal = status().find(condition::terminal);
            terminal != nullptr && terminal->status == Truth::yes && terminal->reason == reason)
            set(condition::terminal, Truth::no, "SpecMended", "the spec can be carried out");
        return false;
    }
    const std::string message = joined(problems);
    ready(Truth::no, std::string(reason), message);
    set(condition::terminal, Truth::yes, std::string(reason), message);
    return true;
}

bool Step::look_before() {
    // Once begun the old server may be gone for good reasons, and the new one must come back all the same.
    if (seen_.server.exists || !status().active.empty()) {
        if (seen_.secrets.empty()) return false;
        set(condition::preflight_passed, Truth::no, "SecretMissing", joined(seen_.secrets));
        ready(Truth::no, "SecretMissing", joined(seen_.secrets));
        again(kAskAgain);
        return true;
    }
    status().phase = Phase::preflight;
    if (!seen_.secrets.empty()) {
        set(condition::preflight_passed, Truth::no, "SecretMissing", joined(seen_.secrets));
        ready(Truth::no, "SecretMissing", joined(seen_.secrets));
        again(kAskAgain / 2);
        return true;
    }
    const bool old = seen_.old_server && seen_.now - seen_.old_server->asked >= kAskAgain;
    if (!seen_.old_server || old) {
        if (!status().find(condition::ready)) ready(Truth::no, "Preflight", "the old server is looked at");
        act({ActionKind::ask_old_server});
        again(0ms);
        return true;
    }
    if (!seen_.old_server->problems.empty()) {
        const std::string message = joined(seen_.old_server->problems);
        set(condition::preflight_passed, Truth::no, "OldServer", message);
        ready(Truth::no, "PreflightFailed", message);
        again(kAskAgain);
        return true;
    }
    return false;
}

bool Step::provision() {
    act({ActionKind::apply_server});
    const bool early = !seen_.proxy.exists;
    if (early) status().phase = Phase::provisioning;
    if (!seen_.server.ready) {
        const std::string& trouble = seen_.server.trouble;
        ready(Truth::no, trouble.empty() ? "ServerStarting" : "ServerFails",
              trouble.empty() ? "the new server is starting" : "spec.image: the new server does not start: " + trouble);
        again(trouble.empty() ? kSoon : kSteady);
        if (early) return true;
    } else {
        act({ActionKind::apply_proxy});
    }
    if (!seen_.proxy.ready) {
        const std::string& trouble = seen_.proxy.trouble;
        if (seen_.server.ready)
            ready(Truth::no, trouble.empty() ? "ProxyStarting" : "ProxyFails",
                  trouble.empty() ? "the proxy is starting" : "spec.proxy.image: the proxy does not start: " + trouble);
        again(kSoon);
        return true;
    }
    return false;
}

bool Step::reach_turnout() {
    if (!seen_.turnout) {
        ready(Truth::no, "ProxyUnreachable", "the proxy does not answer: " + seen_.unreachable);
        again(kSoon);
        return true;
    }
    tell_turnout();
    if (seen_.turnout->phase != "uncertain") {
        if (const Condition* const terminal = status().find(condition::terminal);
            terminal != nullptr && terminal->reason == "Uncertain")
            set(condition::terminal, Truth::no, "Certain", "it is known who is active");
        return false;
    }
    set(condition::terminal, Truth::yes, "Uncertain",
        "a person has to decide who is active: " + seen_.turnout->trouble);
    ready(Truth::no, "Uncertain", seen_.turnout->trouble);
    again(kSteady);
    return true;
}

bool Step::wait_for_verb() {
    if (watched_now()) return false;  // other verbs run beside that
    if (seen_.running) {
        // Everything but a switch may take hours: a change of mind counts at once.
        const bool unwanted = spec_.cutover == Cutover::abort && *seen_.running == Verb::sync;
        if (unwanted) act({ActionKind::cancel_verb});
        again(unwanted ? kSoon : kSteady);
    } else if (seen_.turnout->running.empty()) {
        return false;
    } else {
        again(kSoon);
    }
    if (seen_.running == Verb::sync || seen_.turnout->running == "sync") {
        status().phase = Phase::replicating;
        set(condition::replicating, Truth::no, "Copying", "the tables are copied");
    }
    return true;
}

/// True while the switch that this operator had made is over and is watched.
bool Step::watched_now() const {
    return seen_.running == Verb::switch_over && seen_.turnout->running.empty() && seen_.turnout->watching;
}

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
    if (life == "finished") return finished();
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

void Step::aborted() {
    status().phase = Phase::aborted;
    status().kept = "blue";
    tear_down();
    if (!decision_.actions.empty()) {
        ready(Truth::no, "Aborting", "what was made for the version change is being removed");
        return again(kSoon);
    }
    status().active.clear();
    status().forget_lag();
    status().frozen = {};
    set(condition::replicating, Truth::no, "Aborted", "replication is dismantled");
    set(condition::caught_up, Truth::no, "Aborted", "there is no new server any more");
    ready(Truth::yes, "Aborted", "clients are served by the old server, as before");
    set(condition::terminal, Truth::yes, "Aborted", "nothing is left of the version change");
}

// -------------------------------------------------------------------------------------- the object that is deleted

void Step::delete_object() {
    if (!seen_.finalizer) return;
    ParsedSpec parsed = parse_spec(seen_.spec);
    spec_ = std::move(parsed.spec);
    if (seen_.running) {
        act({ActionKind::cancel_verb});
        return again(kSoon);
    }
    if (!status().kept.empty()) return dismantle();
    const bool untouched = !seen_.proxy.exists || (!seen_.turnout && status().active.empty());
    if (untouched) {
        status().kept = "blue";
        return dismantle();
    }
    if (!seen_.turnout) {
        ready(Truth::no, "ProxyUnreachable",
              "cannot be deleted before the replication is dismantled, and the proxy does not answer: " +
                  seen_.unreachable);
        return again(kSteady);
    }
    tell_turnout();
    const std::string& life = seen_.turnout->phase;
    if (life == "uncertain") {
        set(condition::terminal, Truth::yes, "Uncertain",
            "cannot be deleted before a person has decided who is active: " + seen_.turnout->trouble);
        return again(kSteady);
    }
    if (!seen_.turnout->running.empty()) return again(kSoon);
    if (life == "new" || life == "finished") {
        status().kept = status().active == "green" ? "green" : "blue";
        return dismantle();
    }
    const Verb verb = status().active == "green" ? Verb::finish : Verb::abort;
    if (!carry_out(verb)) return;
    run(verb, verb == Verb::finish ? "FINISH" : "ABORT");
}

void Step::dismantle() {
    status().phase = Phase::deleting;
    tear_down();
    if (decision_.actions.empty())
        act({ActionKind::remove_finalizer});
    else
        again(kSoon);
}

/// Takes away what was made, but for the side that is kept; nothing is left to do when no action was added.
void Step::tear_down() {
    const bool new_stays = status().kept == "green";
    const Traffic to = new_stays ? Traffic::new_server : Traffic::old_server;
    if (seen_.traffic != Traffic::none && seen_.traffic != Traffic::missing && seen_.traffic != to)
        return act({.kind = ActionKind::move_traffic, .to = to});
    // What was made for the proxy before there is one goes with the new server.
    if (seen_.proxy.exists || (seen_.server.exists && !new_stays)) act({ActionKind::remove_proxy});
    if (seen_.server.exists && !new_stays)
        act({.kind = ActionKind::remove_server, .volume = spec_.reclaim == ReclaimPolicy::remove});
}

// ------------------------------------------------------------------------------------------------ what they share

void Step::take_request() {
    Request& request = status().request;
    if (request.cutover != name(spec_.cutover)) request = {std::string(name(spec_.cutover)), false, 0, ""};
    const bool undone = !seen_.running && seen_.last && !seen_.last->undone.empty() && seen_.last->window &&
                        request.turnout_generation != 0 && seen_.last->window->generation > request.turnout_generation;
    if (undone) request.outcome = "rolled back by itself: " + seen_.last->undone;
    // The generation has moved since it was begun: it was carried out, even if nobody was left to hear the answer.
    if (!request.done && request.turnout_generation != 0 && seen_.turnout &&
        seen_.turnout->generation > request.turnout_generation)
        request.done = true;
    if (spec_.cutover != Cutover::abort) status().kept.clear();
}

/// False: it has just failed, and it is not time to try again.
bool Step::carry_out(Verb verb) {
    const VerbResult* const last = failed(verb);
    if (last == nullptr) return true;
    const std::string what = fmt::format("turnout {}: {}", name(verb), last->message);
    ready(Truth::no, "VerbFailed", what);
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(seen_.now - last->ended);
    const auto wait = back_off(last->failures);
    if (waited >= wait) return true;
    again(wait - waited);
    return false;
}

void Step::run(Verb verb, std::string command) {
    act({.kind = ActionKind::run_verb, .verb = verb, .command = std::move(command)});
    again(kSteady);
}

/// True when the Service leads there already, or there is none to lead.
bool Step::move_traffic(Traffic to) {
    if (seen_.traffic == Traffic::none || seen_.traffic == to) return true;
    if (seen_.traffic == Traffic::missing) {
        ready(Truth::no, "ServiceMissing",
              "spec.trafficService: there is no Service '" + spec_.traffic_service + "': make it, or leave it out");
        again(kAskAgain);
        return false;
    }
    act({.kind = ActionKind::move_traffic, .to = to});
    again(kSoon);
    return false;
}

void Step::tell_turnout() {
    const TurnoutStatus& turnout = *seen_.turnout;
    status().active = turnout.active;
    status().turnout_generation = turnout.generation;
    if (turnout.active == "blue") status().watched_since.clear();
    const auto& heard = seen_.last ? seen_.last->window : std::nullopt;
    if (turnout.window)
        status().window = turnout.window;
    else if (heard && heard->generation == turnout.generation)
        status().window = heard;
    const bool green = turnout.active == "green";
    if (!turnout.active.empty())
        set(condition::switched, green ? Truth::yes : Truth::no, green ? "NewServerActive" : "OldServerActive",
            green ? "clients are served by the new server" : "clients are served by the old server");
    tell_lag();
}

void Step::tell_lag() {
    const auto read = parse_time(status().lag_read);
    if (read && seen_.now - *read < kLagTold && status().lag_bytes) return;
    if (status().lag_bytes == seen_.turnout->lag_bytes) return;
    status().lag_bytes = seen_.turnout->lag_bytes;
    status().lag_read = time_text(seen_.now);
}

void Step::ready(Truth truth, std::string reason, std::string message) {
    set(condition::ready, truth, std::move(reason), std::move(message));
}

std::string Step::switch_command(std::string_view verb) const {
    std::string command(verb);
    command += " MAX_PAUSE " + quoted(spec_.max_pause) + " DEADLINE " + quoted(spec_.deadline) + " PINNED " +
               quoted(spec_.pinned) + " LONG_TRANSACTIONS " + quoted(spec_.long_transactions);
    if (spec_.bypassing == "end") command += " END_BYPASSING";
    if (spec_.verify) command += " VERIFY";
    if (verb == "SWITCH" && !spec_.rollback_if.empty())
        command += " WATCH " + quoted(duration_text(spec_.watch)) + " ROLLBACK_IF " + quoted(spec_.rollback_if);
    return command;
}

/// An Event for each condition that changed its status or the reason for it, and for the phase.
void Step::note_transitions() {
    const Status& before = seen_.status;
    if (before.phase != status().phase)
        note(false, std::string(name(status().phase)),
             fmt::format("{} after {}", name(status().phase), name(before.phase)));
    for (const Condition& now : status().conditions) {
        const Condition* const was = before.find(now.type);
        if (was != nullptr && was->status == now.status && was->reason == now.reason) continue;
        const bool bad =
            now.reason == "NotWatched" ||
            (now.type == condition::terminal
                 ? now.status == Truth::yes && now.reason != "Finished" && now.reason != "Aborted"
                 : now.status == Truth::no && (now.reason == "VerbFailed" || now.type == condition::preflight_passed));
        Note news{bad, now.reason, now.message};
        // What ends for two reasons at once is one piece of news.
        if (std::find(decision_.notes.begin(), decision_.notes.end(), news) == decision_.notes.end())
            decision_.notes.push_back(std::move(news));
    }
    const std::int64_t known = before.window ? before.window->generation : 0;
    if (status().window && status().window->generation != known)
        note(false, "Window",
             fmt::format("{} to {} in {:.1f} ms", status().window->from, status().window->to,
                         static_cast<double>(status().window->microseconds) / 1000));
    if (before.frozen.empty() && !status().frozen.empty() &&
        (!spec_.publication.empty() || !spec_.subscription.empty()))
        note(false, "NamesIgnored",
             "spec.pubname and spec.subname have no effect: turnout finds its publications and subscriptions by names "
             "of its own, turnout_tables, turnout_to_green and turnout_to_blue");
}

}  // namespace

std::string_view name(Verb verb) {
    constexpr std::array kNames{"check"sv, "sync"sv, "switch"sv, "rollback"sv, "finish"sv, "abort"sv};
    return kNames[static_cast<std::size_t>(verb)];
}

std::chrono::milliseconds back_off(int failures) {
    constexpr std::chrono::milliseconds kLeast = 5s;
    constexpr std::chrono::milliseconds kMost = 5min;
    return std::min(kMost, kLeast * (1 << std::clamp(failures - 1, 0, 6)));
}

Decision reconcile(const Observed& observed) { return Step(observed).take(); }

}  // namespace turnout::kubernetes
