#include "bench/interrupt.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>

namespace turnout::bench {

namespace {

// The pipe is never emptied: an interruption stays.
std::array<int, 2> signal_pipe{-1, -1};

void note(int) {
    const int error = errno;
    const char byte = 1;
    if (::write(signal_pipe[1], &byte, 1) < 0) {
        // The pipe is full of earlier signals: it is readable all the same.
    }
    errno = error;
}

bool readable_within(std::chrono::milliseconds patience) {
    pollfd wanted{signal_pipe[0], POLLIN, 0};
    return ::poll(&wanted, 1, static_cast<int>(patience.count())) == 1;
}

}  // namespace

void catch_interrupts() {
    if (::pipe2(signal_pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("cannot make a pipe");
    struct sigaction action {};
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
}

int interrupt_descriptor() { return signal_pipe[0]; }

bool interrupted() { return signal_pipe[0] >= 0 && readable_within(std::chrono::milliseconds(0)); }

void check_interrupted() {
    if (interrupted()) throw Interrupted();
}

void rest(std::chrono::milliseconds duration) {
    const auto until = std::chrono::steady_clock::now() + duration;
    for (;;) {
        check_interrupted();
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0) return;
        readable_within(left);
    }
}

}  // namespace turnout::bench
