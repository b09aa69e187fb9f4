// What the parts of control report, as answers of the admin socket.
#pragma once

#include <string>

#include "control/answer.hpp"
#include "control/dismantle.hpp"
#include "control/pg_error.hpp"
#include "control/preflight.hpp"
#include "control/switch_report.hpp"
#include "control/sync.hpp"

namespace turnout::control {

/// CHECK: {"outcome": "passed" | "refused", "stage", "findings": [{"check", "severity", "database", "objects",
/// "sentence", "remedy"}]}. Text: what warns or refuses, then how many passed. Exit status 1 if something refuses.
Answer check_answer(const PreflightReport& report, PreflightStage stage);

/// A switch that preflight refuses: 55000, with each refusal in DETAIL.
Answer preflight_refusal(std::string_view verb, const PreflightReport& report);

/// SWITCH, ROLLBACK, REHEARSE.
Answer switch_answer(const SwitchReport& report);

/// {"outcome": "synced", "tables", "bytes", "seconds", "notices"}.
Answer sync_answer(const SyncReport& report);

/// {"outcome", "done", "leftovers"}. Exit status 1 if something is left over.
Answer dismantle_answer(std::string_view outcome, const DismantleReport& report);

/// A verb that a server's refusal or absence ended.
Answer server_failure(const PgError& error);

/// A line of progress for people.
std::string progress_line(const SyncProgress& progress);

/// "1.5 GB", "12 kB".
std::string bytes_text(double bytes);

}  // namespace turnout::control
