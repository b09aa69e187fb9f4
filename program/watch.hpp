// `turnout watch`: how the proxy is, a line a second.
#pragma once

#include <boost/json/object.hpp>
#include <iosfwd>
#include <string>

#include "program/command_line.hpp"

namespace turnout::program {

/// Until interrupted, or `count` lines were written, or the proxy does not answer. Returns the exit status.
int watch(const WatchRequest& request, std::ostream& out, std::ostream& err);

/// One line made of what SHOW STATUS tells: who is active, the phase, lag and whether it falls, sessions, transactions.
std::string watch_line(const boost::json::object& status, const boost::json::object& before);

}  // namespace turnout::program
