// A demo's outcome, for a person and for a program.
#pragma once

#include <boost/json.hpp>

#include "bench/demo.hpp"
#include "bench/terminal.hpp"

namespace turnout::bench {

/// The table at the end: a column for each switch, and the conventional way beside them.
void print_outcome(Terminal& terminal, const DemoOutcome& outcome);

/// The same figures, and the reports of turnout whole. Durations are in microseconds.
boost::json::object outcome_json(const DemoOptions& options, const DemoOutcome& outcome);

}  // namespace turnout::bench
