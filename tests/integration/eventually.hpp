// Waiting for something to become true, without a guess at how long it takes.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

namespace turnout::integration {

/// Asks every 2 ms until `done()`; throws after `patience`, which only ends a hang and is no expectation.
template <class Predicate>
void eventually(Predicate&& done, const char* what, std::chrono::seconds patience = std::chrono::seconds(60)) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error(std::string("never came: ") + what);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

}  // namespace turnout::integration
