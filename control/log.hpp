// The log, through spdlog's default logger: everyone writes spdlog::info(...) and so on.
#pragma once

#include <string>
#include <string_view>

#include "control/config.hpp"

namespace turnout::control {

/// Makes spdlog's default logger write as [log] says; call again to change it or to reopen its file. Lines for people
/// are "2026-01-31T12:00:00.123Z info  message"; JSON lines have `time` (RFC 3339, UTC), `level`, `message` and
/// `thread`, and while a switch runs `switch`, `phase`, `side` and `position`. Every line goes through
/// hide_passwords(). Thread-safe towards those who log. Throws std::runtime_error that names the file if it cannot be
/// opened; then the log stays as it was.
void set_up_log(const LogConfig& config);

/// What every line says besides while a switch runs, so that its lines can be picked out. Empty members are left out.
struct LogContext {
    std::string switch_id;  ///< its report's name; empty: no switch runs, and nothing is said
    std::string phase;
    std::string side;      ///< that was active when it began
    std::string position;  ///< of its write-ahead log, as last looked at: "16/B374D848"
};
/// For every line from now on. Thread-safe.
void set_log_context(LogContext context);

/// The line that the logger would write, without its line feed. `level` is spdlog's name of it.
std::string log_line(LogFormat format, std::string_view time, std::string_view level, std::string_view message,
                     unsigned long thread, const LogContext& context = {});

}  // namespace turnout::control
