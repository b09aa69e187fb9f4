// The steps of a switch, on model servers.
#include <fmt/format.h>

#include <algorithm>

#include "control/settle.hpp"
#include "tests/simulation/proxy.hpp"

namespace turnout::simulation {

using namespace std::chrono_literals;
using control::Outcome;
using control::SwitchReply;
using control::Ticket;
namespace step = control::step;
namespace reply = control::reply;
namespace event = control::event;

namespace {

template <class... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

void Proxy::begin_switch() {
    control::SwitchRequest request;
    const Side from = side();
    const control::JournalView active = ground_.server(from).view();
    const control::JournalView standby = ground_.server(other(from)).view();
    const control::AttemptId id = control::next_attempt(active, standby);
    last_attempt_ = std::max(last_attempt_ + 1, static_cast<std::uint64_t>(id.attempt));
    request.from = from;
    request.kind = from == Side::blue ? control::SwitchKind::forward : control::SwitchKind::rollback;
    request.served = generation_;
    request.generation = id.generation;
    request.attempt = last_attempt_;
    request.databases = {"app"};
    request.max_pause = kMaxPause;
    request.deadline = control::Milliseconds(1500);
    request.bypassing = control::Bypassing::end;
    machine_ = std::make_unique<control::SwitchMachine>(request);
    asked_.clear();
    settled_ = false;
    feed(event::Start{});
}

void Proxy::feed(control::SwitchEvent event) {
    if (machine_ == nullptr) return;
    if (const auto* answered = std::get_if<event::Answered>(&event)) {
        const auto step = asked_.extract(answered->ticket);
        if (step && ground_.watch) ground_.watch(step.mapped(), 2);
        if (!alive_) return;
        if (stopped_) {
            missed_.push_back([this, event] { feed(event); });
            return;
        }
    }
    for (auto& command : machine_->on(event, world_.now())) carry_out(std::move(command));
    if (machine_ == nullptr) return;
    if (machine_->finished()) return over();
    set_alarm();
}

void Proxy::set_alarm() {
    if (!machine_->alarm()) return;
    const std::uint64_t number = ++alarms_;
    after(*machine_->alarm() - world_.now(), [this, number] {
        if (number == alarms_) feed(event::Alarm{});
    });
}

void Proxy::over() {
    const control::SwitchReport& report = machine_->report();
    const bool moved = report.window.has_value();
    ++(moved ? ground_.switched : ground_.given_up);
    ground_.cleared_up += report.cleared_up;
    last_attempt_ = std::max(last_attempt_, static_cast<std::uint64_t>(machine_->attempt().attempt));
    generation_ = report.generation;
    settled_ = report.left_over.empty();
    if (report.outcome == control::SwitchOutcome::uncertain) world_.violate("uncertain without a reason");
    machine_.reset();
    if (!settled_) settle_in_background();
}

/// Answers never come from inside the command that asked.
void Proxy::answer(Ticket ticket, SwitchReply reply) {
    after(1us, [this, ticket, reply = std::move(reply)] { feed(event::Answered{ticket, reply}); });
}

// ------------------------------------------------------------------------------------------------------------- network

/// A statement of control's: in time, late, lost on the way there or back, refused, or forgotten.
void Proxy::send(Side side, Effect effect, Answer done, std::optional<int> run) {
    Server& server = ground_.server(side);
    enum class Fate { fine, refused, lost_before, lost_after, slow, forgotten } fate = Fate::fine;
    if (world_.chance(ground_.trouble)) fate = static_cast<Fate>(1 + world_.pick(5));
    const auto self = shared_from_this();
    const std::uint64_t sent = ++last_sent_;
    waiting_.emplace(sent, std::move(done));
    const auto back = [this, self, sent](SwitchReply reply) {
        after(latency(), [this, sent, reply = std::move(reply)] {
            const auto it = waiting_.find(sent);
            if (it == waiting_.end()) return;
            const Answer hear = std::move(it->second);
            waiting_.erase(it);
            hear(reply);
        });
    };
    if (fate == Fate::refused) return back(reply::Failed{Outcome::refused, "refused"});
    if (fate == Fate::lost_before) return back(reply::Failed{Outcome::unknown, "lost on the way"});
    if (ground_.cut[index(side)]) return;  // nobody hears of it
    const Duration way = fate == Fate::slow ? world_.between(1ms, 2500ms) : latency();
    world_.after(way,
                 [&server, effect, back, fate, number = number_, epoch = epoch_, run = run.value_or(server.run())] {
                     server.submit({number, epoch, false, run,
                                    [&server, effect, back, fate] {
                                        const auto result = effect(server);
                                        if (!result) return false;
                                        if (fate == Fate::lost_after)
                                            back(reply::Failed{Outcome::unknown, "lost on the way back"});
                                        if (fate != Fate::lost_after && fate != Fate::forgotten) back(*result);
                                        return true;
                                    },
                                    [back] {
                                        back(reply::Failed{Outcome::unknown, "the server went away"});
                                    }});
                 });
}

void Proxy::step_on(Ticket ticket, Side side, Effect effect, std::optional<int> run) {
    send(
        side, std::move(effect),
        [this, ticket](SwitchReply reply) {
            feed(event::Answered{ticket, reply});
        },
        run);
}

// --------------------------------------------------------------------------------------------------------------- steps

/// A process that is killed at a moment of a step does nothing more; one that is stopped goes on when it wakes.
void Proxy::carry_out(control::SwitchCommand command) {
    if (ground_.watch) ground_.watch(command.step, 0);
    if (!alive_) return;
    if (stopped_) {
        missed_.push_back([this, command] {
            if (machine_ != nullptr) perform(command);
        });
        return;
    }
    if (command.ticket != 0) asked_.insert_or_assign(command.ticket, command.step);
    perform(command);
    if (ground_.watch) ground_.watch(command.step, 1);
}

void Proxy::perform(const control::SwitchCommand& command) {
    const Ticket ticket = command.ticket;
    world_.tell(
        fmt::format("process {}: {} asks: {}", number_, control::name(machine_->phase()), control::name(command.step)));
    const Side from = machine_->request().from;
    const Side to = machine_->request().to();
    const auto fine = [](auto&& change) {
        return [change](Server& server) -> std::optional<SwitchReply> {
            change(server);
            return reply::Done{};
        };
    };
    std::visit(
        Overloaded{
            [&](const step::Recheck& it) {
                if (!it.settled) return answer(ticket, reply::Rechecked{});
                if (!quiesce()) return answer(ticket, reply::Failed{Outcome::unknown, "a side cannot be asked"});
                settle(from, generation_, world_.now() + 2s, epoch_, [this, ticket](std::vector<std::string> left) {
                    feed(event::Answered{ticket, reply::Rechecked{std::move(left)}});
                });
            },
            [&](const step::ParkReverse&) {
                step_on(ticket, from, fine([](Server& server) { server.subscription.enabled = false; }));
            },
            [&](const step::RaiseFence&) { step_on(ticket, from, fine([](Server& server) { server.fenced = true; })); },
            [&](const step::OutwaitTransactions&) { answer(ticket, reply::Outwaited{}); },
            [&](const step::LookForBypassing&) {
                step_on(ticket, from, [number = number_](Server& server) -> std::optional<SwitchReply> {
                    server.end_clients_before(number);
                    return reply::Bypassing{};
                });
            },
            [&](const step::ArmSessions&) { answer(ticket, reply::Armed{}); },
            [&](const step::WarmUp&) {
                warm_run_ = ground_.server(to).run();
                step_on(ticket, to, fine([](Server&) {}));
            },
            [&](const step::LookAtMoment&) { look_at_moment(ticket); },
            [&](const step::NoteAttempt& it) {
                answer(ticket, note({machine_->request().served, it.generation}));
            },
            [&](const step::NoteServed& it) {
                answer(ticket, note({it.generation, std::nullopt}));
            },
            [&](const step::WriteIntent& it) {
                step_on(ticket, from, fine([id = it.id](Server& server) { server.journal().intent = id; }));
            },
            [&](const step::Register& it) {
                step_on(ticket, to, [id = it.id](Server& server) -> std::optional<SwitchReply> {
                    if (!server.can_decide()) return std::nullopt;
                    return reply::Registered{server.arm(id)};
                });
            },
            [&](const step::CloseGate& it) { close_gate(ticket, it.request); },
            [&](const step::ReadFacts&) {
                step_on(ticket, from, [](Server&) -> std::optional<SwitchReply> { return reply::Facts{{}, {}, {{}}}; });
            },
            [&](const step::CatchUp&) { catch_up(ticket); },
            [&](const step::CarrySequences& it) { carry_sequences(ticket, it.set); },
            [&](const step::Claim& it) { answer(ticket, reply::Claimed{gate_.claim(it.attempt)}); },
            [&](const step::DisableForward&) {
                step_on(ticket, to, fine([](Server& server) { server.subscription.enabled = false; }), warm_run_);
            },
            [&](const step::Activate& it) {
                activation_sent_ = true;
                if (world_.chance(ground_.trouble)) ground_.server(to).delay_visibility(world_.between(1ms, 2s));
                step_on(
                    ticket, to,
                    [this, id = it.id, tried = false](Server& server) mutable -> std::optional<SwitchReply> {
                        if (tried)
                            return server.can_decide() ? std::optional<SwitchReply>(
                                                             reply::Activated{server.view().find(id.generation)->noted})
                                                       : std::nullopt;
                        if (!server.can_decide()) return std::nullopt;
                        const auto noted = server.activate(id);
                        tried = true;
                        if (noted && !server.can_decide()) return std::nullopt;
                        return reply::Activated{noted};
                    },
                    warm_run_);
            },
            [&](const step::ClaimAlive&) {},
            [&](const step::ClearUp& it) {
                step_on(ticket, to, [generation = it.generation](Server& server) -> std::optional<SwitchReply> {
                    if (!server.can_decide()) return std::nullopt;
                    return reply::Decided{server.void_or_obey(generation)};
                });
            },
            [&](const step::OpenGate& it) {
                if (!gate_.open_to(it.attempt, it.side)) world_.violate("the gate was not claimed when it was opened");
                generation_ = it.generation;
                for (int worker = 0; worker < kWorkers; ++worker) after(latency(), [this] { release_held(); });
                answer(ticket, reply::Opened{world_.now()});
            },
            [&](const step::Settle& it) {
                settle(it.active, it.generation, it.deadline, epoch_, [this, ticket](std::vector<std::string> left) {
                    feed(event::Answered{ticket, reply::Settled{std::move(left), {}, 0}});
                });
            },
            [&](const step::FinishMoves&) { answer(ticket, reply::Moved{}); },
            [&](const step::GiveUpGate& it) {
                gate_.give_up(it.attempt);
                drain_ticket_ = 0;
                for (int worker = 0; worker < kWorkers; ++worker) after(latency(), [this] { release_held(); });
            },
            [&](const step::Quiesce&) {
                if (quiesce()) return answer(ticket, reply::Done{});
                answer(ticket, reply::Failed{Outcome::unknown, "a side cannot be asked"});
            },
            [&](const step::EnableForward&) {
                step_on(ticket, to, fine([](Server& server) { server.subscription.enabled = true; }));
            },
            [&](const step::WithdrawIntent& it) {
                step_on(ticket, from, fine([id = it.id](Server& server) {
                            if (server.journal().intent == id) server.journal().intent.reset();
                        }));
            },
            [&](const step::Disarm&) {},
        },
        command.step);
}

/// The file never goes back: a zombie's news are old.
SwitchReply Proxy::note(control::ServedState state) {
    if (ground_.state_file.served > state.served) return reply::Failed{Outcome::refused, "somebody serves a later one"};
    ground_.state_file = state;
    return reply::Done{};
}

void Proxy::look_at_moment(Ticket ticket) {
    const Side from = machine_->request().from;
    Server& source = ground_.server(from);
    Server& standby = ground_.server(other(from));
    reply::Moment moment;
    if (!source.answers() || !standby.answers()) moment.broken.emplace_back("a side is away");
    const std::size_t behind = source.position() - std::min(source.position(), standby.subscription.progress);
    moment.lag_time = control::Microseconds(behind > 200 ? 100000 : 100);
    answer(ticket, moment);
}

void Proxy::catch_up(Ticket ticket) {
    const std::int64_t beat = ++ground_.last_beat;
    send(
        machine_->request().from,
        [beat](Server& server) -> std::optional<SwitchReply> {
            server.commit_marker(beat);
            return reply::Done{};
        },
        [this, ticket, beat](SwitchReply reply) {
            if (std::holds_alternative<reply::Failed>(reply)) return feed(event::Answered{ticket, reply});
            look_for_beat(ticket, beat);
        });
}

void Proxy::look_for_beat(Ticket ticket, std::int64_t beat) {
    if (machine_ == nullptr) return;
    Server& standby = ground_.server(machine_->request().to());
    if (standby.answers() && standby.has_seen(beat)) return feed(event::Answered{ticket, reply::Done{}});
    if (machine_->phase() != control::SwitchPhase::catching_up) return;
    after(100us, [this, ticket, beat] { look_for_beat(ticket, beat); });
}

void Proxy::carry_sequences(Ticket ticket, bool set) {
    const auto value = std::make_shared<std::int64_t>(0);
    const Side to = machine_->request().to();
    send(
        machine_->request().from,
        [value](Server& server) -> std::optional<SwitchReply> {
            *value = server.sequence;
            return reply::Done{};
        },
        [this, ticket, value, to, set](SwitchReply reply) {
            if (machine_ == nullptr || !set || std::holds_alternative<reply::Failed>(reply)) {
                return feed(event::Answered{ticket, reply});
            }
            if (machine_->phase() != control::SwitchPhase::catching_up) return;
            step_on(
                ticket, to,
                [value](Server& server) -> std::optional<SwitchReply> {
                    server.sequence = *value;
                    return reply::Done{};
                },
                warm_run_);
        });
}

/// Ends the backends of what was not answered, on both sides. False: a side cannot be asked.
bool Proxy::quiesce() {
    if (!ground_.server(Side::blue).answers() || !ground_.server(Side::green).answers()) return false;
    if (ground_.cut[0] || ground_.cut[1]) return false;
    ++epoch_;
    for (Server& server : ground_.servers) server.end_control(number_, epoch_);
    for (const auto& [sent, hear] : std::exchange(waiting_, {})) {
        after(1us, [heard = hear] { heard(reply::Failed{Outcome::unknown, "its backend was ended"}); });
    }
    return true;
}

}  // namespace turnout::simulation
