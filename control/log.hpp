// The log, through spdlog's default logger: everyone writes spdlog::info(...) and so on.
#pragma once

#include <string>

#include "control/config.hpp"

namespace turnout::control {

/// Makes spdlog's default logger write as [log] says; call again to change it or to reopen its file. Lines for people
/// are "2026-01-31T12:00:00.123Z info  message"; JSON lines have `time` (RFC 3339, UTC), `level`, `message` and
/// `thread`. Every line goes through hide_passwords(). Thread-safe towards those who log. Throws std::runtime_error
/// that names the file if it cannot be opened; then the log stays as it was.
void set_up_log(const LogConfig& config);

/// The line that the logger would write, without its line feed. `level` is spdlog's name of it.
std::string log_line(LogFormat format, std::string_view time, std::string_view level, std::string_view message,
                     unsigned long thread);

}  // namespace turnout::control
