// `turnout serve`: proxy and control put together.
#pragma once

#include "control/switch_driver.hpp"
#include "program/command_line.hpp"

namespace turnout::program {

/// Runs until SIGTERM or SIGINT (graceful; a second one at once), SHUTDOWN on the admin socket, or until serving has to
/// end by itself. SIGHUP reloads. Returns the exit status: 2 for a configuration that is refused. `watch` is for tests.
int serve(const ServeRequest& request, control::StepWatch watch = {});

}  // namespace turnout::program
