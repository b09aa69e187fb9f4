// Back to the old side: after a missed attempt (retreating), or for good (unwinding).
#include <fmt/format.h>

#include <algorithm>

#include "control/switch_machine.hpp"

namespace turnout::control {

/// The attempt is over and everybody stays where they are. The gate first: nobody waits for an undo.
void SwitchMachine::miss(std::string why, std::vector<std::string> waited_for) {
    const bool was_closed = gate_ != Gate::open;
    const auto closed = was_closed ? std::chrono::duration_cast<Microseconds>(now_ - closed_at_) : Microseconds{0};
    give_gate_up();
    ++misses_;
    if (report_.missed.size() == kMissesTold) report_.missed.erase(report_.missed.begin() + 1);
    report_.missed.push_back({gate_attempt(), why, std::move(waited_for), closed});
    if (report_.cancelled) return conclude(SwitchOutcome::given_up, "stopped by the operator", "");
    report_.message = std::move(why);
    enter(SwitchPhase::retreating, deadline_);
    begin_undo();
}

/// Nothing more is tried. From every phase before the claim, and with the claim given back.
void SwitchMachine::conclude(SwitchOutcome outcome, std::string message, std::string hint) {
    give_gate_up();
    report_.outcome = outcome;
    report_.message = std::move(message);
    report_.hint = std::move(hint);
    undo_until_ = now_ + request_.patience.undo;
    enter(SwitchPhase::unwinding, undo_until_);
    if (owed_.arms) tell(step::Disarm{});
    owed_.arms = false;
    owed_.steady = owed_.steady || owed_.forward;
    owed_.forward = false;
    begin_undo();
}

void SwitchMachine::give_gate_up() {
    if (gate_ != Gate::open) tell(step::GiveUpGate{gate_attempt()});
    gate_ = Gate::open;
}

// ---------------------------------------------------------------------------------------------------------- the undo

void SwitchMachine::begin_undo() {
    quiesced_once_ = false;
    rested_.clear();
    undo();
}

/// Asks for whatever is owed and not under way. Quiesce comes first, so that nothing late lands behind an undo; if it
/// fails, it is repeated beside the others: a standby that is away must not keep the active side fenced.
void SwitchMachine::undo() {
    ask_undo(owed_.quiesce, step::Quiesce{});
    if (owed_.quiesce && !quiesced_once_) return;
    ask_undo(owed_.forward, step::EnableForward{});
    ask_undo(owed_.intent, step::WithdrawIntent{id_});
    ask_undo(owed_.note, step::NoteServed{request_.served});
    if (phase_ == SwitchPhase::unwinding) {
        ask_undo(owed_.steady, step::Settle{request_.from, request_.served, undo_until_});
    }
    if (still_owed().empty()) all_undone();
}

void SwitchMachine::ask_undo(bool owed, SwitchStep step) {
    const bool rests = std::find(rested_.begin(), rested_.end(), step.index()) != rested_.end();
    const bool under_way = std::any_of(pending_.begin(), pending_.end(),
                                       [&](const auto& it) { return it.second.index() == step.index(); });
    if (owed && !rests && !under_way) ask(std::move(step));
}

void SwitchMachine::undo_answered(const SwitchStep& step, const SwitchReply& reply) {
    if (std::holds_alternative<step::Quiesce>(step)) quiesced_once_ = true;
    const auto* failure = std::get_if<reply::Failed>(&reply);
    const auto* settled = std::get_if<reply::Settled>(&reply);
    if (failure != nullptr || (settled != nullptr && !settled->left.empty())) {
        last_failure_ =
            fmt::format("{}: {}", name(step), failure != nullptr ? failure->message : settled->left.front());
        rested_.push_back(step.index());
        alarm_ = std::min(undo_limit(), now_ + request_.patience.undo_pause);
    } else {
        no_longer_owed(step);
    }
    undo();
}

void SwitchMachine::no_longer_owed(const SwitchStep& step) {
    if (std::holds_alternative<step::Quiesce>(step)) owed_.quiesce = false;
    if (std::holds_alternative<step::EnableForward>(step)) owed_.forward = false;
    if (std::holds_alternative<step::WithdrawIntent>(step)) owed_.intent = false;
    if (std::holds_alternative<step::NoteServed>(step)) owed_.note = false;
    if (std::holds_alternative<step::Settle>(step)) owed_.steady = false;
}

void SwitchMachine::undo_alarm() {
    if (now_ < undo_limit()) {
        rested_.clear();
        alarm_ = undo_limit();
        return undo();
    }
    if (phase_ == SwitchPhase::retreating) return give_up_at_deadline();
    report_.left_over = still_owed();
    if (!last_failure_.empty()) report_.left_over.push_back(last_failure_);
    finish();
}

void SwitchMachine::all_undone() {
    if (phase_ == SwitchPhase::unwinding) return finish();
    const bool nobody_waited = report_.missed.back().closed.count() == 0;
    if (generation_spent_ && nobody_waited) return begin_attempt();
    back_off();
}

void SwitchMachine::back_off() {
    const auto doubled = request_.patience.first_back_off * (1LL << std::min(misses_ - 1, 16U));
    const auto pause = std::min<Milliseconds>(doubled, request_.patience.longest_back_off);
    if (now_ + pause >= deadline_) return give_up_at_deadline();
    enter(SwitchPhase::backing_off, now_ + pause);
}

void SwitchMachine::give_up_at_deadline() {
    conclude(SwitchOutcome::given_up,
             fmt::format("no attempt succeeded before the deadline; the last one: {}", report_.message),
             "see what each attempt waited for; allow more with --max-pause or --deadline");
}

Clock::time_point SwitchMachine::undo_limit() const {
    return phase_ == SwitchPhase::unwinding ? undo_until_ : deadline_;
}

/// While retreating the parked stream and the fence stay for the next attempt.
std::vector<std::string> SwitchMachine::still_owed() const {
    const std::string from(turnout::name(request_.from));
    const std::string to(turnout::name(request_.to()));
    std::vector<std::string> texts;
    if (owed_.quiesce) texts.emplace_back("what was sent to the servers may still be under way");
    if (owed_.forward) texts.push_back(fmt::format("the streams towards {} may be disabled", to));
    if (owed_.intent) texts.push_back(fmt::format("the intent of generation {} may stand on {}", id_.generation, from));
    if (owed_.note) texts.push_back(fmt::format("the state file names generation {}", id_.generation));
    if (owed_.steady && phase_ != SwitchPhase::retreating) {
        texts.push_back(fmt::format("the fence of {} or a parked stream may not be undone", from));
    }
    return texts;
}

}  // namespace turnout::control
