// `turnout operator`: the version change as an object of Kubernetes.
#pragma once

#include "program/command_line.hpp"

namespace turnout::program {

/// Works until SIGTERM or SIGINT (0), or until another operator has taken over the lease (1: to be started again).
/// Returns 2 if the API server's address or credentials are missing.
int operate(const OperatorRequest& request);

}  // namespace turnout::program
