// The armed backend plans what its client has used lately, before the window: a fresh backend spends more than a
// millisecond on its first plan, and that of every session would fall into the first moment behind the window.
#include <set>

#include "proxy/planning.hpp"
#include "proxy/task_mark.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {

using protocol::UsedStatement;

/// Called before the batch is forgotten.
void Session::note_used() { used_.note(batch_.bytes(), ledger_.statements()); }

bool Session::can_be_warmed(control::Clock::time_point spoke_since) const {
    return armed_ && !task_ && !closing_ && !pinned() && asked_ >= spoke_since;
}

/// One that the client prepared after the arming is planned by its text. nullopt: it cannot be planned there, or not
/// with these values, because its types are numbered differently.
std::optional<UsedStatement> Session::as_planned_on(const Backend& backend, UsedStatement statement) const {
    if (!statement.name.empty()) {
        const protocol::LiveStatement* live = ledger_.statements().find(statement.name);
        if (live == nullptr || !live->keepable) return std::nullopt;
        const auto made = backend.statement_types.find(statement.name);
        if (live->born <= backend.replayed_statements && made != backend.statement_types.end()) {
            const auto known = known_statements_.find(statement.name);
            const bool same = known == known_statements_.end() || known->second.types == made->second;
            return same && !made->second.empty() ? std::optional(std::move(statement)) : std::nullopt;
        }
        statement.name.clear();
        statement.parse = protocol::parse_behind_name(live->parse);
    }
    std::set<std::uint32_t> unstable;
    add_types_in_parse(statement.parse, unstable);
    return unstable.empty() ? std::optional(std::move(statement)) : std::nullopt;
}

/// Never fails: what cannot be planned costs its first use what it costs anyway.
Task<void> Session::warm() {
    if (!armed_ || task_ || closing_) co_return;
    const auto self = shared_from_this();
    const bool lost = co_await plan_on_armed();
    if (lost && !closing_) worker_.arm_later(self);
}

/// Until the gate closes: whoever moves then waits for the end of this. True: the backend is lost.
Task<bool> Session::plan_on_armed() {
    auto armed = armed_;
    note_used();
    if (armed->planned >= used_.all().size()) co_return false;
    const TaskMark mark(task_, *this);
    const auto nobody_waits = [&] {
        const Gate::View gate = worker_.shared().gate.view();
        return gate.state == Gate::State::open && gate.side != armed->side;
    };
    while (armed->planned < used_.all().size() && nobody_waits()) {
        const auto statement = as_planned_on(*armed, used_.all()[armed->planned++]);
        if (!statement) continue;
        const Replay plan = plan_statement(*statement);
        Exchange exchange(worker_.context());
        exchange.ready_expected = plan.ready;
        co_await ask(*armed, plan.bytes, exchange);
        armed->holdings.locks.clear();
        if (!exchange.lost && exchange.status != 'I') armed->stream->close();
        if (closing_ || !armed->stream->open()) co_return true;
    }
    co_return false;
}

}  // namespace turnout::proxy
