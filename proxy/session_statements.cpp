// A session's prepared statements on another server: made again there, with the same types as the client knows them.
//
// A statement is *known* once the server on which the client made it has described it; that is asked for at a safe
// point, before it is needed elsewhere. On the new server it is made from its Parse, described too, and ended again if
// the types differ: who uses it then gets 26000 (invalid_sql_statement_name), on which drivers prepare it anew, instead
// of values that it would read as another type.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

#include "proxy/session.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {

/// Adds the names of those types to `out`. Returns what went wrong.
Task<std::string> Session::ask_type_names(Backend& backend, const std::set<std::uint32_t>& types, TypeNames& out) {
    if (types.empty()) co_return std::string();
    const std::string question = type_name_question(types);
    Exchange exchange(worker_.context());
    std::string failure = co_await ask(backend, question, exchange);
    if (failure.empty()) failure = read_type_names(exchange, out);
    if (!exchange.lost && exchange.status != 'I') co_await roll_back_question(backend);
    co_return failure;
}

/// Has those statements described that came since the last time, on the session's own backend, at a safe point. Returns
/// what went wrong.
Task<std::string> Session::learn_statements() {
    const auto& live = ledger_.statements().live();
    for (auto known = known_statements_.begin(); known != known_statements_.end();) {
        const auto statement = live.find(known->first);
        const bool stands = statement != live.end() && statement->second.born == known->second.born;
        known = stands ? std::next(known) : known_statements_.erase(known);
    }
    std::vector<std::string> names;
    std::set<std::uint32_t> unstable;
    for (const auto& [name, statement] : live) {
        if (!statement.keepable || known_statements_.contains(name)) continue;
        names.push_back(name);
        add_types_in_parse(statement.parse, unstable);
    }
    if (names.empty()) co_return std::string();
    auto backend = current_;
    const Replay questions = describe_statements(names);
    Exchange described(worker_.context());
    described.ready_expected = questions.ready;
    asking_ = true;
    set_busy(true);
    std::string failure = co_await ask(*backend, questions.bytes, described);
    auto descriptions = read_descriptions(described);
    if (!described.lost && backend->stream->open()) failure.clear();  // one that cannot be described cannot be used
    if (descriptions.size() != names.size()) descriptions.assign(names.size(), std::nullopt);  // more than is kept
    for (const auto& description : descriptions) {
        if (description) add_types(*description, unstable);
    }
    TypeNames type_names;
    if (failure.empty()) failure = co_await ask_type_names(*backend, unstable, type_names);
    asking_ = false;
    if (failure.empty()) keep_descriptions(names, descriptions, type_names, backend->side);
    set_busy(false);
    wake();
    if (failure.empty()) co_return failure;
    co_return fmt::format("the types of its prepared statements: {}", failure);
}

/// What the session's own server said of its statements.
void Session::keep_descriptions(const std::vector<std::string>& names,
                                const std::vector<std::optional<StatementTypes>>& descriptions,
                                const TypeNames& type_names, Side side) {
    for (std::size_t i = 0; i < names.size(); ++i) {
        const protocol::LiveStatement* statement = ledger_.statements().find(names[i]);
        if (statement == nullptr) continue;
        std::set<std::uint32_t> in_parse;
        add_types_in_parse(statement->parse, in_parse);
        KnownStatement known{statement->born, side, {}, {}};
        if (descriptions[i]) known.types = types_by_name(*descriptions[i], type_names);
        for (const std::uint32_t type : in_parse) {
            const auto name = type_names.find(type);
            if (name != type_names.end()) known.of_parse.insert(*name);
        }
        known_statements_[names[i]] = std::move(known);
    }
}

/// Makes the statements on a backend that live now. One whose types are not known and are numbered differently there
/// waits for the move. Returns what went wrong.
Task<std::string> Session::replay_statements(Backend& backend) {
    protocol::StatementBook& book = ledger_.statements();
    const protocol::StatementDifference difference = book.since(backend.replayed_statements);
    std::vector<std::string> names, bodies;
    std::set<std::string> types_there;
    for (const std::string_view body : difference.parse) {
        const std::string_view statement = body.substr(0, body.find('\0'));
        std::set<std::uint32_t> unstable;
        add_types_in_parse(body, unstable);
        const auto known = known_statements_.find(statement);
        if (!unstable.empty() && known == known_statements_.end()) {
            if (current_->stream->open()) co_return std::string();
            continue;  // the server that could have told its types is lost: it is missed
        }
        names.emplace_back(statement);
        bodies.emplace_back(body);
        if (known == known_statements_.end() || known->second.side == backend.side) continue;
        for (const auto& [oid, name] : known->second.of_parse) types_there.insert(name);
    }
    const Replay endings = close_statements(difference.close);
    backend.replayed_statements = book.remember();
    if (endings.ready > 0) {
        Exchange ended(worker_.context());
        const std::string failure = co_await ask(backend, endings.bytes, ended);
        if (!failure.empty()) co_return failure;
    }
    if (names.empty()) co_return std::string();
    TypeOids oids;
    if (!types_there.empty()) {
        const std::string question = type_oid_question(types_there);
        Exchange exchange(worker_.context());
        std::string failure = co_await ask(backend, question, exchange);
        if (failure.empty()) failure = read_type_oids(exchange, oids);
        if (!failure.empty()) co_return fmt::format("the types of its prepared statements: {}", failure);
        for (std::size_t i = 0; i < names.size(); ++i) {
            const auto known = known_statements_.find(names[i]);
            if (known == known_statements_.end() || known->second.side == backend.side) continue;
            bodies[i] = translate_parse(bodies[i], known->second.of_parse, oids);
        }
    }
    const Replay statements = make_statements(names, bodies);
    Exchange made(worker_.context());
    made.ready_expected = statements.ready;
    const std::string refused = co_await ask(backend, statements.bytes, made);
    if (made.lost) co_return refused;
    // One that cannot be made there is missed when the client uses it, and only then.
    if (!refused.empty())
        spdlog::warn("session {} of user \"{}\": a prepared statement could not be made on {}: {}", id_, user_,
                     name(backend.side), refused);
    const auto descriptions = read_descriptions(made);
    std::set<std::uint32_t> unstable;
    for (const auto& description : descriptions) {
        if (description) add_types(*description, unstable);
    }
    TypeNames type_names;
    const std::string failure = co_await ask_type_names(backend, unstable, type_names);
    if (!failure.empty()) co_return fmt::format("the types of its prepared statements: {}", failure);
    for (std::size_t i = 0; i < std::min(names.size(), descriptions.size()); ++i) {
        std::string& types = backend.statement_types[names[i]];
        types = descriptions[i] ? types_by_name(*descriptions[i], type_names) : std::string();
    }
    co_return std::string();
}

/// Ends those statements on a backend that take or give other types there than where they were made. Returns what went
/// wrong.
Task<std::string> Session::drop_statements_that_differ(Backend& backend) {
    std::vector<std::string_view> differing;
    for (const auto& [statement, types] : backend.statement_types) {
        const auto known = known_statements_.find(statement);
        if (known == known_statements_.end() || known->second.types == types) continue;
        if (types.empty() || known->second.types.empty()) continue;  // it cannot be used there at all
        differing.push_back(known->first);
        spdlog::warn("session {} of user \"{}\": prepared statement \"{}\" has other types on {} ({}) than before ({})",
                     id_, user_, statement, name(backend.side), types, known->second.types);
    }
    if (differing.empty()) co_return std::string();
    const Replay endings = close_statements(differing);
    Exchange ended(worker_.context());
    co_return co_await ask(backend, endings.bytes, ended);
}

}  // namespace turnout::proxy
