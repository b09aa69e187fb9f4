#include "tests/simulation/life.hpp"

#include <fmt/format.h>

namespace turnout::simulation {

using namespace std::chrono_literals;

Life::Life(Ground& ground) : world_(ground.world), ground_(ground) {
    found_the_pair();
    process_ = std::make_shared<Proxy>(ground_);
    process_->start();
    apply();
}

/// Blue serves with generation 1, green follows; both streams stand.
void Life::found_the_pair() {
    Server& blue = ground_.server(Side::blue);
    Server& green = ground_.server(Side::green);
    blue.arm({1, 0});
    blue.activate({1, 0});
    blue.subscription.narrowed = true;
    green.fenced = true;
    ground_.state_file = {1, std::nullopt};
}

void Life::replace_process(bool killed, Duration zombie_wakes_after) {
    if (killed) {
        process_->kill();
    } else {
        zombies_.push_back(process_);
        process_->stop();
        world_.after(zombie_wakes_after, [zombie = process_] { zombie->wake(); });
    }
    process_ = std::make_shared<Proxy>(ground_);
    process_->start();
}

/// Both apply workers look again and again.
void Life::apply() {
    if (!ground_.servers_apart) {
        ground_.server(Side::green).apply_from(ground_.server(Side::blue));
        ground_.server(Side::blue).apply_from(ground_.server(Side::green));
    }
    world_.after(world_.between(100us, 1ms), [this] { apply(); });
}

void Life::operate(Duration longest_pause) {
    if (peaceful_) return;
    if (process_->serving() && !process_->switching()) process_->begin_switch();
    world_.after(world_.between(5ms, longest_pause), [this, longest_pause] { operate(longest_pause); });
}

void Life::trouble(Duration longest_pause) {
    world_.after(world_.between(1ms, longest_pause), [this, longest_pause] { make_trouble(longest_pause); });
}

void Life::make_trouble(Duration longest_pause) {
    if (peaceful_) return;
    Server& server = ground_.servers[world_.pick(2)];
    switch (world_.pick(5)) {
        case 0: replace_process(world_.chance(0.5), world_.between(1ms, 3s)); break;
        case 1:
            if (!server.up()) break;
            server.crash();
            world_.after(world_.between(1ms, longest_pause), [&server] { server.start(); });
            break;
        case 2:
            if (!server.answers()) break;
            server.freeze();
            world_.after(world_.between(1ms, longest_pause), [&server] { server.thaw(); });
            break;
        case 3:
            ground_.cut[index(server.side())] = true;
            world_.after(world_.between(1ms, longest_pause),
                         [this, side = server.side()] { ground_.cut[index(side)] = false; });
            break;
        default:
            ground_.servers_apart = true;
            world_.after(world_.between(1ms, longest_pause), [this] { ground_.servers_apart = false; });
            break;
    }
    trouble(longest_pause);
}

bool Life::at_rest() const {
    return process_->serving() && !process_->switching() && process_->settled() && account().empty();
}

void Life::rest(Duration longest) {
    const auto until = world_.now() + longest;
    while (world_.violation().empty() && world_.now() < until && !at_rest()) world_.run_until(world_.now() + 40ms);
}

std::string Life::account() const {
    if (!world_.violation().empty()) return world_.violation();
    if (!process_->serving()) return "nobody is served in the end";
    if (process_->switching()) return "a switch does not end";
    if (!process_->settled()) return "it does not settle";
    const Server& active = ground_.servers[index(process_->side())];
    const Server& standby = ground_.servers[index(other(process_->side()))];
    if (active.fenced) return "the active side is fenced";
    if (!standby.fenced) return "the standby is not fenced";
    for (const std::int64_t token : ground_.acknowledged) {
        if (active.tokens().count(token) == 0) return fmt::format("acknowledged write {} is lost", token);
    }
    // Writers go on, so the standby may lack the last few.
    std::size_t missing = 0;
    for (const std::int64_t token : active.tokens()) missing += standby.tokens().count(token) == 0 ? 1 : 0;
    if (missing > 50) return fmt::format("{} writes have not reached the standby", missing);
    for (const std::int64_t token : standby.tokens()) {
        if (active.tokens().count(token) == 0) return fmt::format("write {} stands on the standby only", token);
    }
    return {};
}

}  // namespace turnout::simulation
