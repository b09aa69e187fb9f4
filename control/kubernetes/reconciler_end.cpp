// What was made goes again: of a version change that is aborted, and of an object that is deleted.
#include <utility>

#include "control/kubernetes/reconciler_step.hpp"

namespace turnout::kubernetes {

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

void Step::delete_object() {
    if (!seen_.finalizer) return;
    ParsedSpec parsed = parse_spec(seen_.spec);
    spec_ = std::move(parsed.spec);
    if (seen_.running) {
        const bool dismantles = *seen_.running == Verb::abort || *seen_.running == Verb::finish;
        if (!dismantles) act({ActionKind::cancel_verb});
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

}  // namespace turnout::kubernetes
