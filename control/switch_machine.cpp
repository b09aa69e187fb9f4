#include "control/switch_machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "control/switch_words.hpp"

namespace turnout::control {

std::string_view name(SwitchPhase phase) {
    static constexpr std::array<std::string_view, 23> names{
        "idle",     "recheck", "park",   "fence",   "bypassing", "outwait",  "bypassing", "arm",
        "recheck",  "warm_up", "moment", "intent",  "drain",     "catch_up", "disable",   "activate",
        "clear_up", "open",    "settle", "retreat", "back_off",  "undo",     "finished",
    };
    return names.at(static_cast<std::size_t>(phase));
}

SwitchMachine::SwitchMachine(SwitchRequest request) : request_(std::move(request)) {
    report_.kind = request_.kind;
    report_.from = request_.from;
    report_.to = request_.to();
    report_.generation = request_.served;
}

std::vector<SwitchCommand> SwitchMachine::on(const SwitchEvent& event, Clock::time_point now) {
    now_ = now;
    std::visit([this](const auto& it) { take(it); }, event);
    return std::exchange(commands_, {});
}

void SwitchMachine::ask(SwitchStep step) {
    owed_.quiesce = owed_.quiesce || words::lasts(step);
    pending_.emplace_back(++last_ticket_, step);
    commands_.push_back({last_ticket_, std::move(step)});
}

void SwitchMachine::tell(SwitchStep step) { commands_.push_back({0, std::move(step)}); }

/// The one place where the phase changes. Answers to what the former phase asked for are of the past.
void SwitchMachine::enter(SwitchPhase phase, std::optional<Clock::time_point> alarm) {
    if (phase_ > SwitchPhase::idle && phase_ < SwitchPhase::draining) {
        const auto took = std::chrono::duration_cast<Microseconds>(now_ - entered_);
        auto& phases = report_.preparation;
        const auto same = std::find_if(phases.begin(), phases.end(), [&](auto& it) { return it.name == name(phase_); });
        if (same == phases.end()) {
            phases.push_back({name(phase_), took});
        } else {
            same->took += took;
        }
    }
    phase_ = phase;
    entered_ = now_;
    alarm_ = alarm;
    pending_.clear();
}

// ----------------------------------------------------------------------------------------------------------- events

void SwitchMachine::take(const event::Start&) {
    if (phase_ != SwitchPhase::idle) return;
    deadline_ = now_ + request_.deadline;
    id_ = {request_.generation, static_cast<std::int64_t>(request_.attempt) - 1};
    enter(SwitchPhase::rechecking, deadline_);
    ask(step::Recheck{true});
}

void SwitchMachine::take(const event::Answered& answered) {
    const auto it = std::find_if(pending_.begin(), pending_.end(),
                                 [&](const auto& asked) { return asked.first == answered.ticket; });
    if (it == pending_.end()) return;
    const SwitchStep step = std::move(it->second);
    pending_.erase(it);
    if (claimed()) tell(step::ClaimAlive{gate_attempt()});

    const auto* failure = std::get_if<reply::Failed>(&answered.reply);
    if (phase_ == SwitchPhase::retreating || phase_ == SwitchPhase::unwinding) {
        undo_answered(step, answered.reply);
    } else if (phase_ < SwitchPhase::checking_again) {
        failure != nullptr ? preparation_failed(*failure) : prepared(answered.reply);
    } else {
        failure != nullptr ? attempt_failed(step, *failure) : attempt_went_on(step, answered.reply);
    }
}

void SwitchMachine::take(const event::Alarm&) {
    if (!alarm_ || now_ < *alarm_) return;
    switch (phase_) {
        case SwitchPhase::awaiting_moment: return look_again();
        case SwitchPhase::draining: return miss("sessions did not reach a safe point within max_pause", {});
        case SwitchPhase::catching_up:
            return miss("the standby was not ready within max_pause", unfinished_in_window());
        case SwitchPhase::disabling: return miss("the streams were not disabled within max_pause", {});
        case SwitchPhase::activating:
        case SwitchPhase::clearing_up: return clear_up();
        case SwitchPhase::opening: return opened(now_);
        case SwitchPhase::settling: return settles_ ? stop_settling() : settle();
        case SwitchPhase::retreating:
        case SwitchPhase::unwinding: return undo_alarm();
        case SwitchPhase::backing_off: return begin_attempt();
        default:
            return conclude(SwitchOutcome::given_up, fmt::format("the deadline passed during {}", name(phase_)),
                            "give it more time with --deadline, or look at SHOW LAG and the servers' logs");
    }
}

void SwitchMachine::take(const event::Cancel&) {
    const bool over = phase_ == SwitchPhase::unwinding || finished();
    const bool too_late = phase_ == SwitchPhase::opening || phase_ == SwitchPhase::settling;
    if (over || too_late) return;
    report_.cancelled = true;
    if (!claimed()) conclude(SwitchOutcome::given_up, "stopped by the operator", "");
}

void SwitchMachine::take(const event::Override& decision) {
    if (phase_ != SwitchPhase::clearing_up) return;
    give_gate_up();
    tell(step::Disarm{});
    report_.outcome = SwitchOutcome::uncertain;
    report_.generation = decision.generation;
    report_.message =
        fmt::format("{} was forced active while the outcome of the switch was unknown", turnout::name(request_.from));
    report_.hint = fmt::format("{} has to be copied anew before the next switch", turnout::name(request_.to()));
    finish();
}

// ---------------------------------------------------------------------------------------- what happens once, before

void SwitchMachine::prepared(const SwitchReply& reply) {
    switch (phase_) {
        case SwitchPhase::rechecking: return rechecked(std::get<reply::Rechecked>(reply));
        case SwitchPhase::parking: enter(SwitchPhase::fencing, deadline_); return ask(step::RaiseFence{});
        case SwitchPhase::fencing:
            enter(SwitchPhase::looking_for_bypassing, deadline_);
            return ask(step::LookForBypassing{ends_bypassing(), deadline_});
        case SwitchPhase::looking_for_bypassing:
        case SwitchPhase::looking_again: return bypassing_found(std::get<reply::Bypassing>(reply));
        case SwitchPhase::outwaiting: return outwaited(std::get<reply::Outwaited>(reply));
        default: return armed(std::get<reply::Armed>(reply));
    }
}

void SwitchMachine::preparation_failed(const reply::Failed& failure) {
    const bool nothing_done = phase_ == SwitchPhase::rechecking;
    const bool refused = nothing_done || failure.outcome == Outcome::refused;
    conclude(refused ? SwitchOutcome::refused : SwitchOutcome::given_up,
             fmt::format("{}: {}", name(phase_), failure.message), "mend what is named, and run the verb again");
}

/// Both looks: the first refuses before anything was touched, the other right before each window.
void SwitchMachine::rechecked(const reply::Rechecked& reply) {
    if (!reply.problems.empty()) {
        report_.problems = reply.problems;
        return conclude(SwitchOutcome::refused, "not everything is carried to the standby", reply.problems.front());
    }
    if (phase_ == SwitchPhase::checking_again) {
        enter(SwitchPhase::warming_up, deadline_);
        return ask(step::WarmUp{});
    }
    owed_.steady = true;
    enter(SwitchPhase::parking, deadline_);
    ask(step::ParkReverse{});
}

void SwitchMachine::bypassing_found(const reply::Bypassing& reply) {
    const bool first = phase_ == SwitchPhase::looking_for_bypassing;
    if (!reply.sessions.empty()) {
        report_.problems = reply.sessions;
        if (!request_.rehearsal()) {
            return conclude(SwitchOutcome::refused,
                            fmt::format("{} session{} reach{} {} without this proxy", reply.sessions.size(),
                                        reply.sessions.size() == 1 ? "" : "s", reply.sessions.size() == 1 ? "es" : "",
                                        turnout::name(request_.from)),
                            "connect them through the proxy, or end them with --end-bypassing");
        }
    }
    const bool nobody_to_wait_for = request_.rehearsal() && !reply.sessions.empty();
    if (first && !nobody_to_wait_for) {
        enter(SwitchPhase::outwaiting, deadline_);
        return ask(step::OutwaitTransactions{deadline_});
    }
    owed_.arms = true;
    enter(SwitchPhase::arming, deadline_);
    ask(step::ArmSessions{});
}

void SwitchMachine::outwaited(const reply::Outwaited& reply) {
    if (!reply.left.empty()) {
        report_.problems = reply.left;
        return conclude(SwitchOutcome::given_up, "transactions from outside the proxy did not end before the deadline",
                        "end what is named; the switch waits for whoever could still write unseen");
    }
    enter(SwitchPhase::looking_again, deadline_);
    ask(step::LookForBypassing{ends_bypassing(), deadline_});
}

void SwitchMachine::armed(const reply::Armed& reply) {
    report_.not_armed = words::sessions(reply.report.not_movable);
    if (request_.pinned == PinnedPolicy::refuse && !report_.not_armed.empty()) {
        report_.problems = report_.not_armed;
        return conclude(SwitchOutcome::refused, "some sessions cannot be moved",
                        "end them, or choose another --pinned policy: wait, or end");
    }
    attempts_from_ = now_;
    begin_attempt();
}

bool SwitchMachine::ends_bypassing() const { return request_.bypassing == Bypassing::end && !request_.rehearsal(); }

void SwitchMachine::finish() { enter(SwitchPhase::finished, std::nullopt); }

}  // namespace turnout::control
