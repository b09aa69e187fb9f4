// What the service manager is told (sd_notify(3)): that serving has begun, how it goes, that the process lives.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace turnout::program {

/// Sends assignments ("READY=1", "STATUS=blue is active") to $NOTIFY_SOCKET; does nothing where there is none. A
/// manager that does not listen is no error.
void notify(std::string_view assignments);

/// How often the manager wants to hear WATCHDOG=1 from this process: half of $WATCHDOG_USEC. Nothing: never.
std::optional<std::chrono::microseconds> watchdog_period();

}  // namespace turnout::program
