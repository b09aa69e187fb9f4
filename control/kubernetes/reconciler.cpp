// The life of an object until there is a proxy that answers.
#include "control/kubernetes/reconciler.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "control/kubernetes/reconciler_step.hpp"

namespace turnout::kubernetes {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

std::string joined(const std::vector<SpecProblem>& problems) {
    std::string text;
    for (const SpecProblem& problem : problems) text.append(text.empty() ? "" : "; ").append(problem.text());
    return text;
}

}  // namespace

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
