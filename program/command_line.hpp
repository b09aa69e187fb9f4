// What is written behind `turnout`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "control/admin_client.hpp"

namespace turnout::program {

/// `turnout serve --config FILE`.
struct ServeRequest {
    std::string config;
    bool take_over = false;   ///< --take-over: end another turnout that still holds the locks
    bool check_only = false;  ///< --check-config: read it, say what is wrong with it, and end
};

/// `turnout watch`.
struct WatchRequest {
    std::string directory;    ///< of the admin socket
    bool json = false;        ///< an object a line
    std::uint64_t count = 0;  ///< lines; 0: without end
};

/// `turnout operator`.
struct OperatorRequest {
    std::string kubeconfig;       ///< as JSON; empty: this is a pod
    std::string service_account;  ///< the folder of the pod's service account
    std::string space;            ///< the namespace; empty: the pod's, or the kubeconfig's
    std::string identity;         ///< in the lease; empty: $POD_NAME, or the host's name
    bool json = false;            ///< log lines as JSON
};

/// Nothing is left to do: help, a document or an error was printed.
struct Ended {
    int exit_status = 0;
};

using Request = std::variant<Ended, ServeRequest, WatchRequest, OperatorRequest, control::AdminRequest>;

/// Reads the arguments; prints help to standard output and errors (exit status 2) to standard error. The verbs, their
/// options and their help come from the table that the admin socket's parser uses.
Request parse_command_line(int argc, const char* const* argv);

}  // namespace turnout::program
