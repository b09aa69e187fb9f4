// Ctrl-C, as something that can be waited for.
#pragma once

#include <chrono>
#include <exception>

namespace turnout::bench {

/// Thrown by what waits when Ctrl-C (or SIGTERM) came, so that everything on the stack is taken down in order.
class Interrupted : public std::exception {
  public:
    const char* what() const noexcept override { return "interrupted"; }
};

/// From here on SIGINT and SIGTERM are noted instead of ending the process. Call it once, before any thread is made.
void catch_interrupts();

/// Readable from the first signal on; -1 before catch_interrupts().
int interrupt_descriptor();

bool interrupted();

/// Throws Interrupted if a signal has come.
void check_interrupted();

/// Waits; throws Interrupted as soon as a signal comes.
void rest(std::chrono::milliseconds duration);

}  // namespace turnout::bench
