#include "tests/simulation/proxy.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace turnout::simulation {

using namespace std::chrono_literals;
using control::CloseRequest;
using control::DrainReport;

/// A process that is stopped does what it missed when it wakes; one that is dead does nothing.
void Proxy::after(Duration delay, std::function<void()> what) {
    world_.after(delay, [self = shared_from_this(), what = std::move(what)] {
        if (!self->alive_) return;
        if (self->stopped_) {
            self->missed_.push_back(what);
        } else {
            what();
        }
    });
}

void Proxy::wake() {
    stopped_ = false;
    woken_ = true;
    // The lock's connection was ended by the successor: that is noticed, but not before everything else.
    after(world_.between(0us, 5ms), [this] { alive_ = false; });
    for (auto& what : std::exchange(missed_, {})) after(world_.between(0us, 3ms), std::move(what));
}

Duration Proxy::latency() { return world_.between(20us, 200us); }

// ------------------------------------------------------------------------------------------------------------ sessions

void Proxy::serve(Side side, std::int64_t generation) {
    gate_.set_side(side);
    generation_ = generation;
    serving_ = true;
    sessions_.resize(kSessions);
    for (std::size_t i = 0; i < sessions_.size(); ++i) {
        sessions_[i].worker = static_cast<int>(i % kWorkers);
        after(world_.between(0us, 2ms), [this, i] { session_wants(i); });
    }
}

void Proxy::session_wants(std::size_t session) {
    if (gate_.view().lets_pass()) return session_begins(session);
    sessions_[session].held_since = world_.now();
}

/// One event of its worker: the look at the gate and being busy cannot be told apart by others.
void Proxy::session_begins(std::size_t session) {
    Session& it = sessions_[session];
    it.busy = true;
    it.held_since.reset();
    Server& server = ground_.server(gate_.view().side);
    const std::int64_t token = ++ground_.last_token;
    const auto self = shared_from_this();
    const auto answered = [this, session, token, self](bool acknowledged) {
        after(latency(), [this, session, token, acknowledged] {
            if (acknowledged) ground_.acknowledged.push_back(token);
            session_ended(session);
        });
    };
    const Duration way = world_.chance(0.01) ? world_.between(1ms, 150ms) : latency();
    world_.after(way, [&server, token, answered, number = number_, run = server.run(), self] {
        server.submit({number, 0, true, run,
                       [&server, token, answered] {
                           server.write(token);
                           answered(true);
                           return true;
                       },
                       [answered] { answered(false); }});
    });
}

void Proxy::session_ended(std::size_t session) {
    sessions_[session].busy = false;
    look_for_drain();
    after(world_.between(500us, 12ms), [this, session] { session_wants(session); });
}

// ------------------------------------------------------------------------------------------------------------ the gate

void Proxy::close_gate(control::Ticket ticket, const control::CloseRequest& request) {
    const Duration patience = request.lull_until ? *request.lull_until - world_.now() : Duration(0);
    // Mostly soon: a life is short, and is to be spent in windows.
    const Duration lull =
        world_.between(0us, std::max(std::min(patience, world_.chance(0.9) ? Duration(20ms) : patience), Duration(0)));
    after(lull, [this, ticket, request, asked = world_.now()] {
        CloseRequest moved = request;
        moved.move(world_.now() - asked);
        close_now(ticket, moved);
    });
}

void Proxy::close_now(control::Ticket ticket, const control::CloseRequest& request) {
    if (!gate_.close(request.attempt, request.deadline)) return;
    drained_.fill(false);
    drain_ticket_ = ticket;
    activation_sent_ = false;
    closed_at_ = world_.now();
    for (std::size_t worker = 0; worker < kWorkers; ++worker) {
        after(world_.between(1us, 50us), [this, worker, attempt = request.attempt] {
            if (gate_.view().attempt != attempt) return;
            drained_[worker] = true;
            look_for_drain();
        });
        // Every worker has its own timer; they are late by as much as they like.
        const Duration late = world_.between(0us, 2ms);
        after(request.deadline - world_.now() + late, [this, attempt = request.attempt] {
            if (gate_.expire(attempt) || gate_.view().attempt == attempt) release_held();
            if (drain_ticket_ == 0 || gate_.view().attempt != attempt) return;
            answer(std::exchange(drain_ticket_, 0), control::reply::Drained{});
        });
    }
}

void Proxy::look_for_drain() {
    const bool seen = std::all_of(drained_.begin(), drained_.end(), [](bool it) { return it; });
    const bool quiet = std::none_of(sessions_.begin(), sessions_.end(), [](const Session& it) { return it.busy; });
    if (drain_ticket_ == 0 || !seen || !quiet || gate_.view().state == proxy::Gate::State::open) return;
    DrainReport report;
    report.outcome = DrainReport::Outcome::drained;
    report.closed_at = closed_at_;
    after(latency(), [this, ticket = std::exchange(drain_ticket_, 0), report] {
        answer(ticket, control::reply::Drained{report});
    });
}

/// The promise to the client: nobody waits longer than max_pause, except for an activation of unknown outcome.
void Proxy::release_held() {
    if (!gate_.view().lets_pass()) return;
    for (std::size_t i = 0; i < sessions_.size(); ++i) {
        if (!sessions_[i].held_since) continue;
        const Duration waited = world_.now() - *sessions_[i].held_since;
        if (waited > kMaxPause + 5ms && !activation_sent_ && !woken_) {
            world_.violate(fmt::format("a session waited {} us without an activation under way", waited / 1us));
        }
        session_begins(i);
    }
}

}  // namespace turnout::simulation
