// What another process keeps open, in words.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace turnout::integration {

/// What each descriptor of the process leads to, as /proc names it, ordered by number; of a TCP socket with its own
/// port, its peer's and its state ("9 TCP 41230 > 20017 ESTABLISHED"), of a Unix socket with its path. Without
/// what closes meanwhile. Throws std::filesystem::filesystem_error where that cannot be read.
std::vector<std::string> descriptors_of(pid_t process);

}  // namespace turnout::integration
