// The inside of reconcile(): one look on its way to one decision, in parts of a life.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/kubernetes/reconciler.hpp"

namespace turnout::kubernetes {

// When to look again: something is about to happen; nothing is; somebody else has to mend something.
inline constexpr std::chrono::seconds kSoon{2};
inline constexpr std::chrono::seconds kSteady{10};
inline constexpr std::chrono::seconds kAskAgain{30};

/// One decision in the making. Each member either settles it (returns true, where it returns anything) or lets the next
/// one go on.
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
    // ---- reconciler.cpp: until there is a proxy that answers
    void live();
    bool begin();
    bool refuse_spec(const std::vector<SpecProblem>& problems, std::string_view reason);
    bool look_before();
    bool provision();
    bool reach_turnout();
    bool wait_for_verb();
    bool watched_now() const;

    // ---- reconciler_life.cpp: as far as the proxy has come
    void follow_life();
    void fresh();
    void synced();
    void switched();
    void tell_watch();
    void finished();

    // ---- reconciler_end.cpp: what was made goes again
    void aborted();
    void delete_object();
    void dismantle();
    void tear_down();

    // ---- reconciler_verbs.cpp: what the proxy is asked for
    void take_request();
    bool carry_out(Verb verb);
    void run(Verb verb, std::string command);
    bool move_traffic(Traffic to);
    std::string switch_command(std::string_view verb) const;

    // ---- reconciler_told.cpp: status and Events
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
    Status& status() { return decision_.status; }
    const VerbResult* failed(Verb verb) const {
        return seen_.last && seen_.last->verb == verb && !seen_.last->done ? &*seen_.last : nullptr;
    }

    const Observed& seen_;
    Spec spec_;
    Decision decision_;
};

}  // namespace turnout::kubernetes
