// What processes have cost, by the kernel's own accounting.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

namespace turnout::bench {

/// The processor time (user and system) that a process, its threads and its child processes have used so far, children
/// that have ended excepted; from /proc/<pid>/task/<tid>/schedstat. 0 for a process that is gone.
std::chrono::nanoseconds cpu_time(pid_t process);

/// The resident memory of a process and its children, in bytes (VmRSS of /proc/<pid>/status).
std::uint64_t resident_bytes(pid_t process);

}  // namespace turnout::bench
