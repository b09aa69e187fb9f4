// A program of the operator's that is run when something happens: to stop a job, to run ANALYZE, to tell a chat.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "control/conninfo.hpp"
#include "control/data_plane.hpp"

namespace turnout::control {

/// Runs a program without a shell, with `facts` (TURNOUT_...) added to a small environment (PATH, HOME, LC_ALL=C).
/// Returns why it failed, with the end of its standard error, or nothing. After `timeout` it is ended, and has failed.
/// Cancelled: it is ended.
boost::asio::awaitable<std::optional<std::string>> run_hook(std::string program, Conninfo::Parameters facts,
                                                            Milliseconds timeout);

}  // namespace turnout::control
