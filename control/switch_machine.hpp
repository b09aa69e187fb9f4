// The life of one switch, pure: events in, commands out, time as values. No I/O, no clock of its own.
//
//   rechecking --> parking --> fencing --> looking_for_bypassing --> outwaiting --> looking_again --> arming      once
//                                                                                                    |
//        +-------------------------------------------------------------------------------------------+
//        v
//   checking_again --> warming_up --> awaiting_moment --> recording                              each attempt
//        ^                                                    |
//        |                                                    v        gate closed
//        |                                                draining --> catching_up ---> (rehearsal: unwinding)
//        |                                                    :             |
//        |                                                    :             v        gate claimed
//   backing_off <-- retreating <...... missed ................:.........disabling --> activating --> clearing_up
//        |                                ^                                              |               |  |
//        |                                :.................... void or refused .........:...............:  |
//        |                                                                               v                  |
//        | deadline                                                   gate opened     opening <-------------+ active
//        v                                                                               |
//    unwinding --> finished <------------------------------------------------------- settling
//        ^
//        +--- refused, cancelled, deadline: from every phase before the claim
//
// Promises, whatever the answers are, if they come at all, and whenever:
//   - At most one activation is ever under way, and nobody is served while its outcome is unknown: only `active` opens
//     to the new side; only a definite refusal or `void` opens to the old one.
//   - Before the claim the gate opens by itself at the attempt's deadline (the data plane does that), and every alarm
//     here leads to an undo. Between claim and activation the same deadline holds.
//   - What was begun is owed until it is undone: the gate at once; then Quiesce, so that nothing late can land; then
//     the forward streams, the intent, the state file, the steady state of the old side. What fails is tried again.
//   - PAUSE is the data plane's own affair: it drains sessions as a closed gate does and outlives the switch.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/switch_report.hpp"
#include "control/switch_request.hpp"
#include "control/switch_steps.hpp"

namespace turnout::control {

enum class SwitchPhase {
    idle,
    rechecking,
    parking,
    fencing,
    looking_for_bypassing,
    outwaiting,
    looking_again,
    arming,
    checking_again,
    warming_up,
    awaiting_moment,
    recording,
    draining,
    catching_up,
    disabling,
    activating,
    clearing_up,
    opening,
    settling,
    retreating,
    backing_off,
    unwinding,
    finished,
};
/// "awaiting moment": for progress and reports.
std::string_view name(SwitchPhase phase);

/// See the file's head. Not thread-safe; a value without references.
class SwitchMachine {
  public:
    explicit SwitchMachine(SwitchRequest request);

    /// Takes one event at `now` (which never goes back) and returns what is to be done, in that order and at once.
    std::vector<SwitchCommand> on(const SwitchEvent& event, Clock::time_point now);
    /// When event::Alarm is wanted; nothing: not at all. Look again after each event.
    std::optional<Clock::time_point> alarm() const { return alarm_; }

    SwitchPhase phase() const { return phase_; }
    bool finished() const { return phase_ == SwitchPhase::finished; }
    /// True from the claim until the gate is opened or given up: nothing but the register decides then.
    bool claimed() const { return gate_ == Gate::claimed; }
    /// The attempt that is or was last under way.
    AttemptId attempt() const { return id_; }
    /// Complete once finished.
    const SwitchReport& report() const { return report_; }
    const SwitchRequest& request() const { return request_; }

  private:
    enum class Gate { open, closed, claimed };
    static constexpr std::size_t kMissesTold = 100;

    /// What was begun and has to be undone if the switch does not succeed.
    struct Owed {
        bool quiesce = false;  ///< something was sent to the servers
        bool forward = false;  ///< the forward streams may be disabled
        bool intent = false;
        bool note = false;    ///< the state file names this attempt
        bool steady = false;  ///< streams or fence were touched
        bool arms = false;    ///< sessions were armed
    };

    // switch_machine.cpp: events, what happens once, and the end
    void ask(SwitchStep step);
    void tell(SwitchStep step);
    void enter(SwitchPhase phase, std::optional<Clock::time_point> alarm);
    void take(const event::Start&);
    void take(const event::Answered& answered);
    void take(const event::Alarm&);
    void take(const event::Cancel&);
    void take(const event::Override& decision);
    void prepared(const SwitchReply& reply);
    void preparation_failed(const reply::Failed& failure);
    void rechecked(const reply::Rechecked& reply);
    void bypassing_found(const reply::Bypassing& reply);
    void outwaited(const reply::Outwaited& reply);
    void armed(const reply::Armed& reply);
    bool ends_bypassing() const;
    void finish();

    // switch_machine_attempt.cpp: one attempt, from the second look to the opening and what settles it
    void begin_attempt();
    void attempt_went_on(const SwitchStep& step, const SwitchReply& reply);
    void attempt_failed(const SwitchStep& step, const reply::Failed& failure);
    void moment_seen(const reply::Moment& moment);
    bool is_good(const reply::Moment& moment) const;
    bool cancels(const reply::Moment& moment) const;
    bool makes_read_only() const;
    void look();
    void look_again();
    void record_attempt();
    void registered(const reply::Registered& reply);
    void recorded();
    void close_gate();
    void drained(const reply::Drained& reply);
    void facts_read(const reply::Facts& facts);
    void caught_up(const SwitchStep& step);
    void ready_to_claim();
    void claim_answered(const reply::Claimed& reply);
    void forward_disabled();
    void activated(const reply::Activated& reply);
    void clear_up();
    void decided(const reply::Decided& reply);
    void open_gate();
    void opened(Clock::time_point at);
    void settle_answered(const SwitchReply& reply);
    void settle();
    void stop_settling();
    std::vector<std::string> unfinished_in_window() const;
    void time_window_phase(std::string_view name, Clock::time_point since);
    std::uint64_t gate_attempt() const { return static_cast<std::uint64_t>(id_.attempt); }
    template <class Step>
    bool pending() const {
        return std::any_of(pending_.begin(), pending_.end(),
                           [](const auto& it) { return std::holds_alternative<Step>(it.second); });
    }

    // switch_machine_undo.cpp: back to the old side
    void miss(std::string why, std::vector<std::string> waited_for);
    void conclude(SwitchOutcome outcome, std::string message, std::string hint);
    void give_gate_up();
    void begin_undo();
    void undo();
    void ask_undo(bool owed, SwitchStep step);
    void undo_answered(const SwitchStep& step, const SwitchReply& reply);
    void no_longer_owed(const SwitchStep& step);
    void undo_alarm();
    void all_undone();
    void back_off();
    void give_up_at_deadline();
    Clock::time_point undo_limit() const;
    std::vector<std::string> still_owed() const;

    SwitchRequest request_;
    SwitchReport report_;
    SwitchPhase phase_ = SwitchPhase::idle;
    Gate gate_ = Gate::open;
    Owed owed_;
    std::vector<std::pair<Ticket, SwitchStep>> pending_;
    std::vector<SwitchCommand> commands_;
    Ticket last_ticket_ = 0;
    std::optional<Clock::time_point> alarm_;

    Clock::time_point now_;
    Clock::time_point entered_;           ///< the present phase
    Clock::time_point deadline_;          ///< of the switch
    Clock::time_point attempts_from_;     ///< when the first one could begin
    Clock::time_point looking_since_;     ///< at the moment
    Clock::time_point closed_at_;         ///< the gate
    Clock::time_point attempt_deadline_;  ///< of the gate
    Clock::time_point drained_at_;
    Clock::time_point unknown_since_;  ///< the activation's outcome
    Clock::time_point opened_at_;
    Clock::time_point undo_until_;

    AttemptId id_;
    bool settles_ = false;             ///< what settles the switch was asked for
    bool generation_spent_ = false;    ///< the next attempt takes the next one
    bool quiesced_once_ = false;       ///< in this undo: the others need not wait for a repeated try
    std::vector<std::size_t> rested_;  ///< undos (by index) that failed and wait for the alarm
    unsigned misses_ = 0;
    std::optional<reply::Moment> last_moment_;  ///< in this attempt
    std::string last_failure_;                  ///< of an undo
};

}  // namespace turnout::control
