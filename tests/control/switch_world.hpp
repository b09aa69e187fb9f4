// A small world for the switch's machine: it does what is asked in order and at once, except for one step that goes
// wrong in a chosen way. Truth (who may write, what is fenced) is kept apart from what the machine is told.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "control/switch_machine.hpp"

namespace turnout::control::test {

using namespace std::chrono_literals;

/// How a step goes wrong.
enum class Wrong {
    refused,       ///< an error was answered: no effect
    not_sent,      ///< no effect
    unknown_done,  ///< no answer that decides, but it took effect
    unknown_lost,  ///< no answer that decides, and no effect
    silent_done,   ///< never answered, but it took effect
    silent_lost,   ///< never answered, no effect
};
inline constexpr Wrong kWrongs[] = {Wrong::refused,      Wrong::not_sent,    Wrong::unknown_done,
                                    Wrong::unknown_lost, Wrong::silent_done, Wrong::silent_lost};

inline std::string name(Wrong wrong) {
    static const char* const names[] = {"refused",       "not sent",     "unknown, done",
                                        "unknown, lost", "silent, done", "silent, lost"};
    return names[static_cast<std::size_t>(wrong)];
}

/// One thing that goes wrong: the n-th step asked for (from 1), or that kind of step from then on.
struct Fault {
    std::size_t at = 0;
    Wrong wrong = Wrong::refused;
    bool for_ever = false;
};

class SwitchWorld {
  public:
    explicit SwitchWorld(SwitchRequest request, std::optional<Fault> fault = std::nullopt)
        : machine(request), request_(std::move(request)), fault_(fault) {}

    /// Runs to the end. Fails the test if it does not come to one.
    void run() {
        feed(event::Start{});
        for (int i = 0; i < 100000 && !machine.finished(); ++i) step();
        ASSERT_TRUE(machine.finished()) << "stuck in " << control::name(machine.phase());
    }

    /// Runs until the machine has asked for the n-th step, without answering it.
    void run_until_asked(std::size_t n) {
        feed(event::Start{});
        while (asked.size() < n && !machine.finished()) step();
    }

    void feed(const SwitchEvent& event) {
        for (SwitchCommand& command : machine.on(event, now)) carry_out(std::move(command));
        check();
    }

    /// The next answer, or the next alarm.
    void step() {
        if (!answers_.empty()) {
            const event::Answered answer = answers_.front();
            answers_.pop_front();
            advance(now + 100us);
            return feed(answer);
        }
        ASSERT_TRUE(machine.alarm()) << "nothing to wait for in " << control::name(machine.phase());
        advance(std::max(now + 1us, *machine.alarm()));
        feed(event::Alarm{});
    }

    SwitchMachine machine;
    Clock::time_point now{1h};
    std::vector<std::string> asked;  ///< by name, in order
    /// Replies that are to be given once instead of the good ones, by the step's name.
    std::vector<std::pair<std::string, SwitchReply>> instead;

    // ---- the truth
    enum class Gate { open, closed, claimed };
    Gate gate = Gate::open;
    Side served = Side::blue;
    std::uint64_t attempt = 0;
    Clock::duration lull{0};  ///< that is waited for before the gate closes
    Clock::time_point gate_deadline;
    bool activation_sent = false;
    bool activation_active = false;  ///< in the register of the standby
    bool voided = false;
    bool fenced = false;
    bool parked = false;
    bool forward_disabled = false;
    bool intent = false;
    bool noted = false;  ///< the state file names an attempt
    bool armed = false;
    int sequences_set = 0;
    int ended = 0;
    CloseRequest closing;  ///< the last

    bool clean() const { return !fenced && !parked && !forward_disabled && !intent && !noted && !armed; }

  private:
    void advance(Clock::time_point to) {
        now = to;
        if (gate == Gate::closed && now >= gate_deadline) gate = Gate::open;  // by itself
    }

    /// Holds at every moment.
    void check() {
        if (gate == Gate::claimed && now > gate_deadline) {
            EXPECT_TRUE(activation_sent) << "claimed beyond max_pause without an activation under way";
        }
        if (gate == Gate::open && served == Side::blue) {
            EXPECT_FALSE(activation_active) << "served by the old side although the new one is active";
        }
        EXPECT_TRUE(served == Side::blue || activation_active);
        EXPECT_TRUE(!machine.finished() || gate == Gate::open);
    }

    void carry_out(SwitchCommand command) {
        asked.emplace_back(control::name(command.step));
        const bool hit = fault_ && (asked.size() == fault_->at || (fault_->for_ever && asked.size() > fault_->at &&
                                                                   asked.back() == asked[fault_->at - 1]));
        const bool local = std::holds_alternative<step::GiveUpGate>(command.step) ||
                           std::holds_alternative<step::Claim>(command.step) ||
                           std::holds_alternative<step::ClaimAlive>(command.step) ||
                           std::holds_alternative<step::Disarm>(command.step);
        if (!hit || local)
            return answer(command.ticket, std::visit([this](auto& it) { return act(it); }, command.step));
        const Wrong wrong = fault_->wrong;
        // A store into the gate's word cannot fail; only its answer can.
        const bool gate_word = std::holds_alternative<step::CloseGate>(command.step) ||
                               std::holds_alternative<step::OpenGate>(command.step);
        const bool takes_effect = gate_word || wrong == Wrong::unknown_done || wrong == Wrong::silent_done;
        if (takes_effect) std::visit([this](auto& it) { act(it); }, command.step);
        if (wrong == Wrong::silent_done || wrong == Wrong::silent_lost) {
            note_sent(command.step);
            return;
        }
        const Outcome outcome = wrong == Wrong::refused    ? Outcome::refused
                                : wrong == Wrong::not_sent ? Outcome::not_sent
                                                           : Outcome::unknown;
        if (outcome == Outcome::unknown) note_sent(command.step);
        answer(command.ticket, reply::Failed{outcome, "it went wrong"});
    }

    void note_sent(const SwitchStep& step) {
        if (std::holds_alternative<step::Activate>(step)) activation_sent = true;
    }

    void answer(Ticket ticket, SwitchReply reply) {
        if (ticket == 0) return;
        for (auto it = instead.begin(); it != instead.end(); ++it) {
            if (it->first != asked.back()) continue;
            reply = it->second;
            instead.erase(it);
            break;
        }
        answers_.push_back({ticket, std::move(reply)});
    }

    SwitchReply act(step::Recheck&) { return reply::Rechecked{}; }
    SwitchReply act(step::ParkReverse&) { return parked = true, reply::Done{}; }
    SwitchReply act(step::RaiseFence&) { return fenced = true, reply::Done{}; }
    SwitchReply act(step::OutwaitTransactions&) { return reply::Outwaited{}; }
    SwitchReply act(step::LookForBypassing& it) { return ended += it.end ? 1 : 0, reply::Bypassing{}; }
    SwitchReply act(step::ArmSessions&) { return armed = true, reply::Armed{}; }
    SwitchReply act(step::WarmUp&) { return reply::Done{}; }
    SwitchReply act(step::LookAtMoment&) { return reply::Moment{}; }
    SwitchReply act(step::NoteAttempt&) { return noted = true, reply::Done{}; }
    SwitchReply act(step::WriteIntent&) { return intent = true, reply::Done{}; }
    SwitchReply act(step::Register& it) {
        voided = voided && it.id.generation == voided_generation_;
        return reply::Registered{!voided};
    }
    SwitchReply act(step::CloseGate& it) {
        EXPECT_GT(it.request.attempt, attempt);
        EXPECT_LE(it.request.deadline, now + request_.max_pause);
        now += lull;
        it.request.move(lull);
        closing = it.request;
        gate = Gate::closed;
        attempt = it.request.attempt;
        gate_deadline = it.request.deadline;
        DrainReport report;
        report.closed_at = now;
        report.outcome = DrainReport::Outcome::drained;
        return reply::Drained{report};
    }
    SwitchReply act(step::ReadFacts&) {
        return reply::Facts{{}, {}, std::vector<WrittenTo>(request_.databases.size())};
    }
    SwitchReply act(step::CatchUp&) { return reply::Done{}; }
    SwitchReply act(step::CarrySequences& it) { return sequences_set += it.set ? 1 : 0, reply::Done{}; }
    SwitchReply act(step::Claim& it) {
        const bool won = gate == Gate::closed && it.attempt == attempt && now < gate_deadline;
        if (won) gate = Gate::claimed;
        return reply::Claimed{won};
    }
    SwitchReply act(step::DisableForward&) {
        EXPECT_EQ(gate, Gate::claimed);
        return forward_disabled = true, reply::Done{};
    }
    SwitchReply act(step::Activate& it) {
        EXPECT_EQ(gate, Gate::claimed);
        EXPECT_LT(now, gate_deadline) << "an activation must not be sent after max_pause";
        activation_sent = true;
        if (voided) return reply::Activated{};
        activation_active = it.id.generation > 0;
        return reply::Activated{Lsn(42)};
    }
    SwitchReply act(step::ClaimAlive&) { return reply::Done{}; }
    SwitchReply act(step::ClearUp& it) {
        if (activation_active) return reply::Decided{{JournalState::active, Lsn(42)}};
        voided = true;
        voided_generation_ = it.generation;
        activation_sent = false;
        return reply::Decided{{JournalState::voided, Lsn()}};
    }
    SwitchReply act(step::OpenGate& it) {
        EXPECT_EQ(gate, Gate::claimed);
        gate = Gate::open;
        served = it.side;
        return reply::Opened{now + 30us};
    }
    SwitchReply act(step::NoteServed&) { return noted = false, reply::Done{}; }
    SwitchReply act(step::Settle& it) {
        EXPECT_EQ(it.active, served);
        fenced = parked = forward_disabled = false;
        if (served == Side::green) intent = false;
        return reply::Settled{};
    }
    SwitchReply act(step::FinishMoves&) { return armed = false, reply::Moved{}; }
    SwitchReply act(step::GiveUpGate& it) {
        if (it.attempt == attempt) gate = Gate::open;
        activation_sent = false;
        return reply::Done{};
    }
    SwitchReply act(step::Quiesce&) { return reply::Done{}; }
    SwitchReply act(step::EnableForward&) { return forward_disabled = false, reply::Done{}; }
    SwitchReply act(step::WithdrawIntent&) { return intent = false, reply::Done{}; }
    SwitchReply act(step::Disarm&) { return armed = false, reply::Done{}; }

    SwitchRequest request_;
    std::optional<Fault> fault_;
    std::deque<event::Answered> answers_;
    std::int64_t voided_generation_ = 0;
};

inline SwitchRequest two_databases(SwitchKind kind = SwitchKind::forward) {
    SwitchRequest request;
    request.kind = kind;
    request.databases = {"app", "shop"};
    request.deadline = Milliseconds(10000);
    return request;
}

}  // namespace turnout::control::test
