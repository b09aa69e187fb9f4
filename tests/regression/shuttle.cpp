#include "tests/regression/shuttle.hpp"

#include <chrono>

namespace turnout::regression {
namespace {

using control::DrainReport;

constexpr std::chrono::milliseconds kBound{100};  // the default of [switch] max_pause
constexpr std::chrono::milliseconds kPace{5};     // the suite wants its share of the machine

}  // namespace

Shuttle::Shuttle(const support::Cluster& server, const std::string& database)
    : plane_(server.port(), server.port(), database) {}

void Shuttle::start() {
    thread_ = std::thread([this] { run(); });
}

void Shuttle::halt() {
    ending_ = true;
    if (thread_.joinable()) thread_.join();
}

ShuttleTotals Shuttle::stop() {
    halt();
    return totals_;
}

void Shuttle::run() {
    while (!ending_) {
        ++totals_.attempts;
        if (attempt()) {
            const control::MoveReport moves = plane_.finish_moves();
            ++totals_.switches;
            totals_.moved += moves.moved;
            totals_.held += moves.held;
            totals_.failed += moves.failed;
        }
        std::this_thread::sleep_for(kPace);
    }
}

/// One attempt, as control would make it. True: everybody is to go on the other side.
bool Shuttle::attempt() {
    control::ArmRequest request;
    request.hidden_state = true;  // the suite is full of functions that change settings
    plane_.arm(request);
    const DrainReport drained = plane_.close(kBound).get();
    if (drained.outcome == DrainReport::Outcome::drained && plane_.claim()) {
        plane_.open_to_other();
        return true;
    }
    ++(drained.outcome == DrainReport::Outcome::pinned ? totals_.pinned : totals_.expired);
    plane_.give_up();
    return false;
}

}  // namespace turnout::regression
