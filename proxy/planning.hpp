// Having a backend plan statements, and never run them: what a fresh backend reads of the catalogs for a first plan is
// then there when its client speaks. Pure: statements in, bytes out.
#pragma once

#include "protocol/recent_statements.hpp"
#include "proxy/carried_state.hpp"

namespace turnout::proxy {

/// A batch in a transaction, one that rolls it back, and one that gives back all session advisory locks: a function may
/// be called by the planner, and a lock that it takes outlives the transaction. Whatever fails, the backend is idle at
/// the end, and neither its unnamed statement nor its portals nor its statements of other names have changed. It takes
/// no longer than a statement_timeout of 100 ms allows. A statement with a name must exist there.
Replay plan_statement(const protocol::UsedStatement& statement);

}  // namespace turnout::proxy
