// The other end of the admin socket: how the `turnout` command line has a verb carried out. Blocking, by libpq.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include "control/answer.hpp"

namespace turnout::control {

struct AdminRequest {
    std::string directory;      ///< of the admin socket
    std::uint16_t port = 6432;  ///< in the socket's name
    std::string command;        ///< one command, with AS JSON or AS TEXT
    bool json = false;          ///< the command says AS JSON: a failure's report, which is its DETAIL, goes to `out`
    bool quiet = false;         ///< no progress
    bool terminal = false;      ///< `err` is a terminal: progress is one line that changes, and colours are allowed
    bool colour = false;        ///< of the words of a check; `out` is a terminal
    std::string question{};     ///< to be asked at a terminal before the command is sent; empty: none
};

/// Sends the command; writes the answer to `out`, progress and errors to `err`. While it runs SIGINT and SIGTERM cancel
/// it and it is waited until what it began is undone; a second one stops waiting. A server that ends while a verb other
/// than SHUTDOWN runs leaves its outcome unknown: ExitStatus::needs_person.
ExitStatus run_admin_command(const AdminRequest& request, std::ostream& out, std::ostream& err);

}  // namespace turnout::control
