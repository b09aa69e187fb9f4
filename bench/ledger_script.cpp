#include "bench/ledger_script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace turnout::bench {

namespace {

struct Text {
    std::string_view name;
    std::string_view sql;
    int parameters;
};

constexpr std::array<Text, static_cast<std::size_t>(Statement::count)> kTexts{{
    {"ledger_begin", "BEGIN", 0},
    {"ledger_commit", "COMMIT", 0},
    {"ledger_rollback", "ROLLBACK", 0},
    {"ledger_insert", "INSERT INTO ledger_entries (writer, entry) VALUES ($1, $2) RETURNING id, ticket", 2},
    {"ledger_insert_silent", "INSERT INTO ledger_entries (writer, entry) VALUES ($1, $2)", 2},
    {"ledger_revise", "UPDATE ledger_entries SET revision = revision + 1 WHERE writer = $1 AND entry = $2", 2},
    {"ledger_remove", "DELETE FROM ledger_entries WHERE writer = $1 AND entry = $2", 2},
    {"ledger_bump", "UPDATE ledger_counters SET n = n + 1 WHERE writer = $1", 1},
    {"ledger_balance", "UPDATE ledger_balances SET n = n + $2 WHERE id = $1", 2},
    {"ledger_account", "UPDATE pgbench_accounts SET abalance = abalance + $2 WHERE aid = $1", 2},
    {"ledger_read_entry", "SELECT revision FROM ledger_entries WHERE writer = $1 AND entry = $2", 2},
    {"ledger_read_counter", "SELECT n FROM ledger_counters WHERE writer = $1", 1},
    {"ledger_draw", "SELECT nextval('ledger_tickets')", 0},
}};

const Text& text_of(Statement statement) { return kTexts[static_cast<std::size_t>(statement)]; }

std::string literal(const Call& call) {
    const Text& text = text_of(call.statement);
    std::string sql;
    for (std::size_t i = 0; i < text.sql.size(); ++i) {
        if (text.sql[i] == '$')
            sql += fmt::to_string(call.arguments[static_cast<std::size_t>(text.sql[++i] - '1')]);
        else
            sql.push_back(text.sql[i]);
    }
    return sql;
}

/// The arguments as libpq wants them; lives as long as the call's use.
class Arguments {
  public:
    explicit Arguments(const Call& call) : count_(text_of(call.statement).parameters) {
        for (std::size_t i = 0; i < texts_.size(); ++i) {
            texts_[i] = fmt::to_string(call.arguments[i]);
            pointers_[i] = texts_[i].c_str();
        }
    }
    int count() const { return count_; }
    const char* const* pointers() const { return pointers_.data(); }

  private:
    int count_;
    std::array<std::string, 2> texts_;
    std::array<const char*, 2> pointers_{};
};

std::string error_text(const PGresult* result, const PGconn* connection) {
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (primary != nullptr) return fmt::format("{}: {}", state == nullptr ? "-----" : state, primary);
    std::string message = PQerrorMessage(connection);
    while (!message.empty() && message.back() == '\n') message.pop_back();
    return message;
}

bool fatal(const PGresult* result) {
    const char* severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity != nullptr && std::string_view(severity) != "ERROR";
}

std::int64_t to_number(const char* text) { return text == nullptr || *text == '\0' ? 0 : std::stoll(text); }

}  // namespace

std::string_view name(Mode mode) {
    switch (mode) {
        case Mode::simple: return "simple";
        case Mode::extended: return "extended";
        case Mode::prepared: return "prepared";
        case Mode::pipelined: return "pipelined";
    }
    return "";
}

std::vector<std::vector<Reply>> Speaker::say(const std::vector<Script>& scripts) {
    if (mode_ == Mode::pipelined) return say_pipelined(scripts);
    std::vector<std::vector<Reply>> replies;
    for (const Script& script : scripts) replies.push_back(script.joined ? say_joined(script) : say_one_by_one(script));
    return replies;
}

std::vector<Reply> Speaker::say_one_by_one(const Script& script) {
    std::vector<Reply> replies(script.calls.size());
    for (std::size_t i = 0; i < script.calls.size(); ++i) {
        replies[i] = say_call(script.calls[i]);
        if (replies[i].kind != Reply::Kind::done) break;
    }
    leave_failed_transaction();
    return replies;
}

Reply Speaker::say_call(const Call& call) {
    const Text& text = text_of(call.statement);
    const Arguments arguments(call);
    Reply reply;
    if (mode_ == Mode::prepared && !prepare(call.statement, reply)) return reply;
    log_.sent(Clock::now());
    Result result;
    if (mode_ == Mode::simple)
        result.reset(PQexec(connection_, literal(call).c_str()));
    else if (mode_ == Mode::extended)
        result.reset(PQexecParams(connection_, std::string(text.sql).c_str(), arguments.count(), nullptr,
                                  arguments.pointers(), nullptr, nullptr, 0));
    else
        result.reset(PQexecPrepared(connection_, std::string(text.name).c_str(), arguments.count(),
                                    arguments.pointers(), nullptr, nullptr, 0));
    log_.answered(Clock::now());
    return read(call, result.get());
}

bool Speaker::prepare(Statement statement, Reply& failure) {
    bool& done = prepared_[static_cast<std::size_t>(statement)];
    if (done) return true;
    const Text& text = text_of(statement);
    log_.sent(Clock::now());
    const Result result{
        PQprepare(connection_, std::string(text.name).c_str(), std::string(text.sql).c_str(), 0, nullptr)};
    log_.answered(Clock::now());
    done = PQresultStatus(result.get()) == PGRES_COMMAND_OK;
    if (done) return true;
    failure.kind = alive() && !fatal(result.get()) ? Reply::Kind::refused : Reply::Kind::lost;
    failure.error = error_text(result.get(), connection_);
    return false;
}

std::vector<Reply> Speaker::say_joined(const Script& script) {
    std::string sql;
    for (const Call& call : script.calls) sql += literal(call) + "; ";
    std::vector<Reply> replies(script.calls.size());
    for (Reply& reply : replies) reply.sent = true;
    log_.sent(Clock::now());
    std::size_t next = 0;
    if (PQsendQuery(connection_, sql.c_str()) == 1) {
        while (Result result{PQgetResult(connection_)})
            if (next < replies.size()) replies[next] = read(script.calls[next], result.get()), ++next;
    }
    log_.answered(Clock::now());
    if (!alive() && (next == 0 || replies[next - 1].kind == Reply::Kind::done) && next < replies.size())
        replies[next] = read(script.calls[next], nullptr);
    return replies;
}

std::vector<std::vector<Reply>> Speaker::say_pipelined(const std::vector<Script>& scripts) {
    std::vector<std::vector<Reply>> replies;
    for (const Script& script : scripts) {
        replies.emplace_back(script.calls.size());
        for (std::size_t i = 0; i < script.calls.size(); ++i)
            if (!prepare(script.calls[i].statement, replies.back()[i])) return replies;
    }
    PQenterPipelineMode(connection_);
    log_.sent(Clock::now());
    for (const Script& script : scripts) {
        for (const Call& call : script.calls) {
            const Arguments arguments(call);
            PQsendQueryPrepared(connection_, std::string(text_of(call.statement).name).c_str(), arguments.count(),
                                arguments.pointers(), nullptr, nullptr, 0);
        }
        PQpipelineSync(connection_);
    }
    for (std::size_t s = 0; s < scripts.size(); ++s) {
        for (std::size_t i = 0; i < scripts[s].calls.size(); ++i) {
            const Result result{PQgetResult(connection_)};
            replies[s][i] = read(scripts[s].calls[i], result.get());
            if (result && alive()) Result{PQgetResult(connection_)}.reset();  // the NULL that ends each answer
        }
        read_sync(scripts[s].calls.back(), replies[s].back());
    }
    log_.answered(Clock::now());
    PQexitPipelineMode(connection_);
    leave_failed_transaction();
    return replies;
}

void Speaker::read_sync(const Call& last, Reply& reply) {
    // The extended protocol commits an autocommit statement at Sync, after its CommandComplete: until ReadyForQuery has
    // come its end is not known. One error may come first.
    for (int i = 0; i < 3; ++i) {
        const Result result{PQgetResult(connection_)};
        if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) return;
        if (result || !alive()) reply = read(last, result.get());
        if (!alive()) return;
    }
}

Reply Speaker::read(const Call& call, const PGresult* result) const {
    Reply reply;
    reply.sent = true;
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_PIPELINE_ABORTED && alive()) return reply;
    if (result == nullptr || (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)) {
        reply.kind = result != nullptr && alive() && !fatal(result) ? Reply::Kind::refused : Reply::Kind::lost;
        reply.error = error_text(result, connection_);
        return reply;
    }
    reply.kind = Reply::Kind::done;
    // libpq's function takes a mutable result and does not change it.
    auto* mutable_result = const_cast<PGresult*>(result);
    reply.affected = to_number(PQcmdTuples(mutable_result));
    if (status == PGRES_TUPLES_OK && PQntuples(result) > 0) {
        reply.row.emplace();
        for (int column = 0; column < std::min(PQnfields(result), 2); ++column)
            (*reply.row)[static_cast<std::size_t>(column)] = to_number(PQgetvalue(result, 0, column));
    }
    reply.rolled_back =
        call.statement == Statement::commit && std::string_view(PQcmdStatus(mutable_result)) == "ROLLBACK";
    return reply;
}

void Speaker::leave_failed_transaction() {
    if (PQtransactionStatus(connection_) != PQTRANS_INERROR) return;
    log_.sent(Clock::now());
    const Result result{PQexec(connection_, "ROLLBACK")};
    log_.answered(Clock::now());
}

Outcome outcome_of(const Script& script, const std::vector<Reply>& replies) {
    assert(!script.calls.empty() && script.calls.size() == replies.size());
    if (script.calls.back().statement == Statement::rollback) return Outcome::refused;
    const Reply& last = replies.back();
    if (last.kind == Reply::Kind::done) return last.rolled_back ? Outcome::refused : Outcome::acknowledged;
    // An ErrorResponse to any part means that the whole was rolled back.
    bool lost = false;
    for (const Reply& reply : replies) {
        if (reply.kind == Reply::Kind::refused) return Outcome::refused;
        lost = lost || reply.kind == Reply::Kind::lost;
    }
    // What was never sent cannot have been committed; what was sent and not answered may have been.
    return lost && last.sent ? Outcome::unknown : Outcome::refused;
}

}  // namespace turnout::bench
