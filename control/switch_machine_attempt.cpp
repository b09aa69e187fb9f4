// One attempt: from the second look, through the window, to the opening and what settles it.
#include <fmt/format.h>

#include <algorithm>

#include "control/switch_machine.hpp"
#include "control/switch_words.hpp"

namespace turnout::control {

namespace {

/// How long an opening may take to be told; the gate itself is open by then.
constexpr Milliseconds kOpeningPatience{5000};

Microseconds between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration_cast<Microseconds>(to - from);
}

}  // namespace

void SwitchMachine::begin_attempt() {
    if (now_ >= deadline_) {
        return conclude(SwitchOutcome::given_up, "the deadline passed before the next attempt",
                        "give it more time with --deadline");
    }
    ++id_.attempt;
    if (generation_spent_) ++id_.generation;
    generation_spent_ = false;
    last_moment_.reset();
    enter(SwitchPhase::checking_again, deadline_);
    ask(step::Recheck{});
}

void SwitchMachine::attempt_went_on(const SwitchStep& step, const SwitchReply& reply) {
    switch (phase_) {
        case SwitchPhase::checking_again: return rechecked(std::get<reply::Rechecked>(reply));
        case SwitchPhase::warming_up: enter(SwitchPhase::awaiting_moment, deadline_); return look();
        case SwitchPhase::awaiting_moment: return moment_seen(std::get<reply::Moment>(reply));
        case SwitchPhase::recording:
            if (const auto* it = std::get_if<reply::Registered>(&reply)) return registered(*it);
            return recorded();
        case SwitchPhase::draining: return drained(std::get<reply::Drained>(reply));
        case SwitchPhase::catching_up:
            if (const auto* facts = std::get_if<reply::Facts>(&reply)) return facts_read(*facts);
            if (const auto* claim = std::get_if<reply::Claimed>(&reply)) return claim_answered(*claim);
            return caught_up(step);
        case SwitchPhase::disabling: return forward_disabled();
        case SwitchPhase::activating: return activated(std::get<reply::Activated>(reply));
        case SwitchPhase::clearing_up: return decided(std::get<reply::Decided>(reply));
        case SwitchPhase::opening: return opened(std::get<reply::Opened>(reply).at);
        case SwitchPhase::settling: return settle_answered(reply);
        default: return;
    }
}

void SwitchMachine::attempt_failed(const SwitchStep& step, const reply::Failed& failure) {
    switch (phase_) {
        case SwitchPhase::activating:
            if (failure.outcome == Outcome::unknown) return clear_up();
            break;
        case SwitchPhase::clearing_up: alarm_ = now_ + request_.patience.clear_up_pause; return;
        case SwitchPhase::opening: return opened(now_);
        case SwitchPhase::settling:
            report_.left_over.push_back(fmt::format("{}: {}", name(step), failure.message));
            return settle_answered(reply::Done{});
        default: break;
    }
    miss(fmt::format("{}: {}", name(step), failure.message), {});
}

// ------------------------------------------------------------------------------------------- while nobody waits yet

void SwitchMachine::moment_seen(const reply::Moment& moment) {
    last_moment_ = moment;
    if (is_good(moment)) return record_attempt();
    alarm_ = std::min(deadline_, now_ + request_.patience.between_looks);
}

/// Long transactions are avoided for half of the time only: where there always is one, trying is all that is left.
bool SwitchMachine::is_good(const reply::Moment& moment) const {
    const bool close = moment.broken.empty() && moment.lag_bytes <= request_.patience.lag_bytes &&
                       moment.lag_time <= std::min(request_.patience.lag_time, request_.max_pause / 2);
    const bool hurried = now_ > attempts_from_ + (deadline_ - attempts_from_) / 2;
    return close && (moment.obstacles.empty() || hurried || cancels(moment) || makes_read_only());
}

/// A statement that waits for a synchronous standby commits when it is cancelled: where there is one, nothing is.
bool SwitchMachine::cancels(const reply::Moment& moment) const {
    return request_.long_transactions == LongTransactions::cancel && !request_.rehearsal() &&
           !moment.synchronous_standby;
}

bool SwitchMachine::makes_read_only() const {
    return request_.long_transactions == LongTransactions::read_only && !request_.rehearsal();
}

void SwitchMachine::look() {
    looking_since_ = now_;
    ask(step::LookAtMoment{});
}

void SwitchMachine::look_again() {
    if (now_ < deadline_) {
        alarm_ = deadline_;
        return look();
    }
    if (!pending<step::LookAtMoment>()) {
        return conclude(SwitchOutcome::given_up, words::no_good_moment(*last_moment_),
                        "wait for, or end, what is named; or give it more time with --deadline");
    }
    conclude(
        SwitchOutcome::given_up, words::look_not_ended(last_moment_, between(looking_since_, now_), request_.from),
        fmt::format("look in SHOW REPLICATION and the log of {} for what holds its apply workers up (a lock, a full "
                    "disk, an error); or give it more time with --deadline",
                    turnout::name(request_.to())));
}

void SwitchMachine::record_attempt() {
    if (request_.rehearsal()) return close_gate();
    enter(SwitchPhase::recording, deadline_);
    owed_.note = owed_.intent = true;
    ask(step::NoteAttempt{id_.generation});
    ask(step::WriteIntent{id_});
    ask(step::Register{id_});
}

void SwitchMachine::registered(const reply::Registered& reply) {
    if (reply.armed) return recorded();
    generation_spent_ = true;
    miss(fmt::format("generation {} is decided already on {}", id_.generation, turnout::name(request_.to())), {});
}

void SwitchMachine::recorded() {
    if (pending_.empty()) close_gate();
}

// ------------------------------------------------------------------------------------------------------- the window

/// The data plane tells at the deadline who held up the drain; the alarm behind it is for a data plane that says
/// nothing.
void SwitchMachine::close_gate() {
    closed_at_ = now_;
    attempt_deadline_ = now_ + request_.max_pause;
    gate_ = Gate::closed;
    ++report_.attempts;
    report_.phases.clear();
    const auto before_closing = request_.max_pause + 2 * request_.patience.lull;  // the last warming, then the lull
    enter(SwitchPhase::draining, attempt_deadline_ + before_closing + request_.max_pause);
    CloseRequest close;
    close.attempt = gate_attempt();
    if (request_.patience.lull.count() > 0) close.lull_until = now_ + request_.patience.lull;
    close.deadline = attempt_deadline_;
    close.pinned = request_.pinned;
    close.lock_waiters = last_moment_->lock_waiters;
    // What is nearly done is let through.
    const auto pressed = now_ + request_.max_pause / 4;
    if (cancels(*last_moment_)) close.cancel_at = pressed;
    if (makes_read_only()) close.read_only_at = pressed;
    ask(step::CloseGate{std::move(close)});
}

void SwitchMachine::drained(const reply::Drained& reply) {
    closed_at_ = reply.report.closed_at.value_or(closed_at_);
    attempt_deadline_ = closed_at_ + request_.max_pause;
    const auto waited_for = words::sessions(reply.report.holding_up);
    if (reply.report.outcome == DrainReport::Outcome::pinned) {
        if (request_.pinned == PinnedPolicy::refuse) {
            report_.problems = waited_for;
            return conclude(SwitchOutcome::refused, "some sessions cannot be moved",
                            "end them, or choose another --pinned policy: wait, or end");
        }
        return miss("some sessions cannot be moved now", waited_for);
    }
    if (reply.report.outcome == DrainReport::Outcome::expired || now_ >= attempt_deadline_) {
        return miss("sessions did not reach a safe point within max_pause", waited_for);
    }
    time_window_phase("drain", closed_at_);
    drained_at_ = now_;
    enter(SwitchPhase::catching_up, attempt_deadline_);
    ask(step::ReadFacts{});
}

void SwitchMachine::facts_read(const reply::Facts& facts) {
    if (!facts.changed.empty()) {
        report_.problems = facts.changed;
        return conclude(SwitchOutcome::refused, "the schema was changed while the switch was being prepared",
                        "make the same change on both sides, or sync again; then check");
    }
    if (!facts.obstacles.empty()) return miss("prepared transactions cannot be moved", facts.obstacles);
    time_window_phase("barrier", drained_at_);
    for (std::size_t i = 0; i < request_.databases.size(); ++i) ask(step::CarrySequences{i, !request_.rehearsal()});
    for (std::size_t i = 0; i < request_.databases.size(); ++i) ask(step::CatchUp{i, facts.written_to.at(i)});
}

void SwitchMachine::caught_up(const SwitchStep& step) {
    if (std::holds_alternative<step::CatchUp>(step) && !pending<step::CatchUp>()) {
        time_window_phase("catch_up", drained_at_);
    }
    if (std::holds_alternative<step::CarrySequences>(step) && !pending<step::CarrySequences>()) {
        time_window_phase("sequences", drained_at_);
    }
    ready_to_claim();
}

void SwitchMachine::ready_to_claim() {
    if (!pending_.empty()) return;
    if (request_.rehearsal()) {
        report_.window = between(closed_at_, now_);
        return conclude(SwitchOutcome::rehearsed, "everything went as far as a rehearsal goes", "");
    }
    ask(step::Claim{gate_attempt()});
}

void SwitchMachine::claim_answered(const reply::Claimed& reply) {
    if (!reply.claimed) return miss("max_pause passed before the claim", {});
    gate_ = Gate::claimed;
    owed_.forward = true;
    enter(SwitchPhase::disabling, attempt_deadline_);
    ask(step::DisableForward{});
}

void SwitchMachine::forward_disabled() {
    if (now_ >= attempt_deadline_) return miss("the streams were not disabled within max_pause", {});
    time_window_phase("disable", entered_);
    const auto until = std::max(attempt_deadline_, now_ + request_.patience.activation_grace);
    enter(SwitchPhase::activating, until);
    ask(step::Activate{id_, until});
}

void SwitchMachine::activated(const reply::Activated& reply) {
    if (!reply.noted) {
        generation_spent_ = true;
        return miss(fmt::format("generation {} was made void on {} by somebody else", id_.generation,
                                turnout::name(request_.to())),
                    {});
    }
    time_window_phase("activate", entered_);
    open_gate();
}

/// Comes again after each try that told nothing; only the register ends it.
void SwitchMachine::clear_up() {
    if (phase_ != SwitchPhase::clearing_up) {
        ++report_.cleared_up;
        unknown_since_ = now_;
    }
    enter(SwitchPhase::clearing_up, now_ + 2 * request_.patience.clear_up);
    tell(step::ClaimAlive{gate_attempt()});
    ask(step::ClearUp{id_.generation, now_ + request_.patience.clear_up});
}

void SwitchMachine::decided(const reply::Decided& reply) {
    report_.clearing_up += between(unknown_since_, now_);
    if (reply.verdict.state == JournalState::active) {
        time_window_phase("clear_up", unknown_since_);
        return open_gate();
    }
    generation_spent_ = true;
    miss(fmt::format("the activation did not take place on {}", turnout::name(request_.to())), {});
}

void SwitchMachine::open_gate() {
    report_.generation = id_.generation;
    report_.outcome = request_.kind == SwitchKind::rollback ? SwitchOutcome::rolled_back : SwitchOutcome::switched;
    report_.message = fmt::format("{} is active", turnout::name(request_.to()));
    enter(SwitchPhase::opening, now_ + kOpeningPatience);
    ask(step::OpenGate{gate_attempt(), request_.to(), id_.generation});
    gate_ = Gate::open;
}

// --------------------------------------------------------------------------------------------------------- after it

void SwitchMachine::opened(Clock::time_point at) {
    report_.phases.push_back({"open", between(entered_, at), between(closed_at_, entered_)});
    report_.window = between(closed_at_, at);
    opened_at_ = at;
    owed_ = {};
    settles_ = false;
    enter(SwitchPhase::settling, now_ + request_.patience.before_settling);
}

/// Nobody waits for this: it leaves the processors to those who were held until they have gone on.
void SwitchMachine::settle() {
    settles_ = true;
    const auto until = now_ + request_.patience.settle;
    alarm_ = until;
    ask(step::NoteServed{id_.generation});
    ask(step::Settle{request_.to(), id_.generation, until});
    ask(step::FinishMoves{});
}

void SwitchMachine::settle_answered(const SwitchReply& reply) {
    if (const auto* moved = std::get_if<reply::Moved>(&reply)) report_.sessions = moved->report;
    if (const auto* settled = std::get_if<reply::Settled>(&reply)) {
        report_.left_over.insert(report_.left_over.end(), settled->left.begin(), settled->left.end());
        report_.strays = settled->strays;
        report_.stray_transactions = settled->stray_transactions;
        report_.settle = between(opened_at_, now_);
    }
    if (pending_.empty()) finish();
}

void SwitchMachine::stop_settling() {
    for (const auto& [ticket, step] : pending_) {
        report_.left_over.push_back(fmt::format("{} has not been answered", name(step)));
    }
    report_.settle = between(opened_at_, now_);
    finish();
}

// ------------------------------------------------------------------------------------------------------------- words

std::vector<std::string> SwitchMachine::unfinished_in_window() const {
    std::vector<std::string> texts;
    for (const auto& [ticket, step] : pending_) {
        if (const auto* it = std::get_if<step::CatchUp>(&step)) {
            texts.push_back(fmt::format("{}: catch up", request_.databases[it->database]));
        } else if (const auto* sequences = std::get_if<step::CarrySequences>(&step)) {
            texts.push_back(fmt::format("{}: sequences", request_.databases[sequences->database]));
        } else {
            texts.emplace_back(name(step));
        }
    }
    return texts;
}

void SwitchMachine::time_window_phase(std::string_view name, Clock::time_point since) {
    report_.phases.push_back({name, between(since, now_), between(closed_at_, since)});
}

}  // namespace turnout::control
