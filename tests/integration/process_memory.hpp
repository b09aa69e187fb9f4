// What a core dump of another process would hold.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace turnout::integration {

/// All writable memory of the process, one region after the other. Throws std::system_error where that cannot be read:
/// by anybody but root, of a process that lets nobody look.
std::string memory_of(pid_t process);

/// How often `bytes` are there.
std::size_t occurrences(std::string_view memory, std::string_view bytes);

}  // namespace turnout::integration
