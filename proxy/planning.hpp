// Having a backend plan statements, and never run them: what a fresh backend reads of the catalogs for a first plan is
// then there when its client speaks. Pure: statements in, bytes out.
#pragma once

#include <vector>

#include "protocol/recent_statements.hpp"
#include "proxy/carried_state.hpp"

namespace turnout::proxy {

/// One batch for each statement, in a transaction that is rolled back by a batch behind it, then one that gives back
/// all session advisory locks: a function may be called by the planner, and a lock that it takes outlives the
/// transaction. Whatever fails, the backend is idle at the end, and neither its unnamed statement nor its portals nor
/// its statements of other names have changed. Statements with a name must exist there. Empty if there are none.
Replay plan_statements(const std::vector<protocol::UsedStatement>& statements);

}  // namespace turnout::proxy
