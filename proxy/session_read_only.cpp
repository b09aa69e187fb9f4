// Transactions that finish on the side that was left (the policy `read_only`), where nothing of theirs may be written
// any more, however its client tries.
//
// Before the window: who has read and written nothing, and holds nothing that somebody on the new side could take,
// steps aside. In the window, behind the drain: SET TRANSACTION READ ONLY, which a transaction with a snapshot cannot
// revert and one without a savepoint cannot roll back to. From the opening on the session is left behind:
//
//   - one command goes at a time, and nothing goes before its answer: `COMMIT; INSERT` would begin a transaction that
//     writes. What could reach beyond the transaction (AND CHAIN, LISTEN, an advisory lock, PREPARE TRANSACTION, a
//     cursor WITH HOLD) is refused unheard;
//   - after each command the transaction is looked at: one that has a transaction id or a lock by now (functions can do
//     what texts do not say, and a read-only transaction may do more than read) is rolled back before it can commit;
//   - a refusal is 40001, and so is what the server says of a write, 25006: the transaction can be run again, on the
//     new side, where the session is by then.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "protocol/errors.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/sql_words.hpp"
#include "proxy/session.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {

using protocol::BackendType;
using protocol::Change;
using protocol::FrontendType;
using protocol::TransactionStatus;

namespace {

/// What reaches beyond a transaction that only reads, or into the session for good.
constexpr Change kBeyond =
    Change::chain | Change::prepared_transaction | Change::listen | Change::advisory_lock | Change::opaque;

std::string left_behind_error() {
    return protocol::make_error(
        protocol::Severity::error, "40001",
        "the transaction cannot go on like this because the database is being switched to another server",
        "It was left to finish on the server that is left, where it may only read, one command at a time.",
        "Run the transaction again.");
}

/// Commands that end a transaction by their tags; ROLLBACK may be ROLLBACK TO a savepoint.
bool may_end_transaction(std::string_view tag) {
    return tag.starts_with("COMMIT") || tag.starts_with("ROLLBACK") || tag.starts_with("PREPARE TRANSACTION");
}

/// Whether a portal of this text gives rows and nothing else.
bool only_reads(std::string_view text) {
    const std::string word = protocol::first_word(text);
    return word == "select" || word == "with" || word == "values" || word == "table" || word == "show" ||
           word == "fetch" || word == "declare" || word == "explain";
}

}  // namespace

// --------------------------------------------------------------------------------------------------- before the window

/// What can be told without asking.
bool Session::may_become_read_only() const {
    return snapshot_ && !savepoint_ && !notifies_ && !owes_failure_ && !pinned() && !may_be_pinned();
}

/// At a closed gate, at rest in a transaction; `looking_` is set. It is asked from inside: it has its snapshot already,
/// which nothing else that asks inside could leave alone.
Task<void> Session::ask_whether_read_only() {
    const auto self = shared_from_this();
    const std::string question = transaction_question();
    Exchange answer(worker_.context());
    TransactionFacts facts;
    std::string failure = co_await ask(*current_, question, answer);
    if (failure.empty()) failure = read_transaction_facts(answer, facts);
    looking_ = false;
    if (closing_ || answer.lost) co_return;
    if (answer.status == 'E') {
        transaction_broken();
        step_aside();
    } else if (failure.empty() && !facts.wrote && !facts.locked && worker_.makes_read_only() &&
               std::all_of(facts.portals.begin(), facts.portals.end(), only_reads)) {
        state_.holdings = {std::move(facts.channels), {}};
        std::sort(state_.holdings.channels.begin(), state_.holdings.channels.end());
        aside_ = Aside::read_only;
        set_busy(false);
    }
    wake();
}

/// A question of ours has failed inside of the client's transaction (a time-out of its own has struck).
void Session::transaction_broken() {
    ledger_.replies().reset(TransactionStatus::failed);
    owes_failure_ = true;
}

/// In the window, when all sessions are at rest. Returns what went wrong.
Task<std::string> Session::make_read_only() {
    const std::string batch = read_only_batch();
    Exchange exchange(worker_.context());
    asking_ = true;
    std::string failure = co_await ask(*current_, batch, exchange);
    asking_ = false;
    made_read_only_ = failure.empty() && exchange.status == 'T';
    if (made_read_only_) co_return std::string();
    if (exchange.lost || exchange.status != 'E') co_return "its transaction could not be made read-only: " + failure;
    transaction_broken();
    aside_ = Aside::failed;
    co_return std::string();
}

/// The gate has opened to the other side.
void Session::stay_behind() {
    if (aside_ != Aside::read_only || !made_read_only_ || closing_) return;
    aside_ = Aside::none;
    stays_behind_ = counted_behind_ = true;
    executing_ = Executing::none;
    // What it listens to is heard on the new side from the opening on. Without that, nothing is to be kept there: to
    // the next switch it would be a session that bypasses the proxy.
    if (state_.holdings.channels.empty()) disarm();
    ++worker_.tally().left_behind;
    worker_.shared().left_behind.fetch_add(1);
    set_busy(true);
}

/// It has come after, or gone.
void Session::no_longer_behind() {
    if (!std::exchange(counted_behind_, false)) return;
    if (worker_.shared().left_behind.fetch_sub(1) == 1) worker_.shared().nobody_left_behind();
}

// --------------------------------------------------------------------------------------------------------- left behind

/// Whether a message may go to the side that was left. It begins when everything before it has been answered.
bool Session::may_go_behind(const protocol::Frame& frame) {
    const bool whole = frame.state == protocol::FrameState::whole;
    switch (static_cast<FrontendType>(frame.type)) {
        case FrontendType::query: {
            if (!whole || ledger_.replies().batch_open()) return false;
            executing_ = Executing::runs;
            return may_run_behind(frame.body.substr(0, frame.body.find('\0')));
        }
        case FrontendType::parse: {
            const std::size_t name = frame.body.find('\0');
            if (!whole || name == std::string_view::npos) return false;
            const std::string_view text = frame.body.substr(name + 1);
            return may_run_behind(text.substr(0, text.find('\0')));
        }
        case FrontendType::bind: {
            protocol::Bind bind;
            if (!whole || protocol::parse(frame.body, bind)) return false;
            const protocol::LiveStatement* statement = ledger_.statements().find(bind.statement);
            // One that does not live yet was judged when its Parse went by.
            if (statement == nullptr) return true;
            const std::string_view body = statement->parse;
            const std::size_t name = body.find('\0');
            if (!statement->keepable || name == std::string_view::npos) return false;
            const std::string_view text = body.substr(name + 1);
            return may_run_behind(text.substr(0, text.find('\0')));
        }
        case FrontendType::function_call:
        case FrontendType::execute: {
            const bool next = executing_ == Executing::none || executing_ == Executing::answered;
            executing_ = Executing::runs;
            return next;
        }
        default: return true;  // they run nothing
    }
}

/// One command, that does not reach beyond its transaction as far as its text tells.
bool Session::may_run_behind(std::string_view text) {
    const bool conforming = current_->parameters.find("standard_conforming_strings").value_or("on") == "on";
    const protocol::SqlReading reading =
        protocol::what_it_may_change(text, {.whole = true, .standard_conforming_strings = conforming});
    if (reading.commands > 1 || has(reading.changes, kBeyond)) return false;
    if (reading.first_word == "notify") return false;
    bool to = false;
    protocol::SqlLexer lexer(text, conforming);
    for (auto token = lexer.next(); token != protocol::SqlToken::end; token = lexer.next()) {
        if (lexer.is("hold") || lexer.is("pg_notify")) return false;
        to = to || lexer.is("to");
    }
    to_savepoint_ = reading.first_word == "rollback" && to;
    return true;
}

/// The message is not forwarded: its transaction ends with 40001.
void Session::refuse_behind(const protocol::Frame& frame) {
    const auto type = static_cast<FrontendType>(frame.type);
    looking_ = true;
    drop_message_ = !frame.finished;
    refused_ = type == FrontendType::query || type == FrontendType::function_call ? Refused::alone : Refused::in_batch;
    if (!ledger_.replies().batch_open()) {
        boost::asio::co_spawn(
            worker_.context(), [self = shared_from_this()] { return self->come_after(); }, boost::asio::detached);
        return;
    }
    // What was forwarded of the batch is answered first, up to a Sync of our own, whose ReadyForQuery is not passed on.
    std::string sync;
    protocol::append_sync(sync);
    ledger_.on_frontend(FrontendType::sync, {});
    swallow_ready_ = true;
    send_to_server(sync);
    if (to_server_.empty()) return;
    boost::asio::co_spawn(
        worker_.context(), [self = shared_from_this()] { return self->flush_server(); }, boost::asio::detached);
}

/// A message of the server's to a session that is left behind, or was made read-only and is not. True: the client got
/// another one.
bool Session::take_read_only(const protocol::Frame& frame) {
    const auto type = static_cast<BackendType>(frame.type);
    switch (type) {
        case BackendType::error_response:
            if (executing_ == Executing::runs) executing_ = Executing::ended;
            told_failure_ = true;
            if (protocol::sqlstate_of(frame.body) != "25006") return false;
            send_to_client(left_behind_error());
            return true;
        case BackendType::command_complete:
            executing_ = may_end_transaction(frame.body) ? Executing::ended : Executing::answered;
            return false;
        case BackendType::portal_suspended:
        case BackendType::empty_query_response: executing_ = Executing::answered; return false;
        case BackendType::ready_for_query: return std::exchange(swallow_ready_, false);
        default: return false;
    }
}

/// ReadyForQuery has come while it is left behind. Nothing of the client's goes on before it is known what now.
void Session::at_rest_behind() {
    const bool chained = executing_ == Executing::ended && !to_savepoint_;
    executing_ = Executing::none;
    to_savepoint_ = false;
    told_failure_ = told_failure_ && refused_ != Refused::no;
    const TransactionStatus status = ledger_.replies().status();
    if (status == TransactionStatus::failed && savepoint_ && refused_ == Refused::no) return;  // it may roll back to it
    looking_ = true;
    const bool look = status == TransactionStatus::in_transaction && !chained && refused_ == Refused::no;
    boost::asio::co_spawn(
        worker_.context(),
        [self = shared_from_this(), look] { return look ? self->look_behind() : self->come_after(); },
        boost::asio::detached);
}

Task<void> Session::look_behind() {
    const auto self = shared_from_this();
    const std::string question = transaction_question();
    Exchange answer(worker_.context());
    TransactionFacts facts;
    std::string failure = co_await ask(*current_, question, answer);
    if (failure.empty()) failure = read_transaction_facts(answer, facts);
    if (closing_ || answer.lost) co_return;
    const bool good = failure.empty() && answer.status == 'T' && !facts.wrote && !facts.locked;
    // Another switch may have begun to end transactions meanwhile.
    if (good && !worker_.cancels()) {
        looking_ = false;
        wake();
        co_return;
    }
    locked_behind_ = failure.empty() ? facts.advisory : true;
    co_await come_after();
}

/// The transaction has ended, or is ended here; the session goes where all others are. `looking_` is set.
Task<void> Session::come_after() {
    const auto self = shared_from_this();
    auto backend = current_;
    const TransactionStatus status = ledger_.replies().status();
    std::string failure;
    if (status != TransactionStatus::idle) {
        failure = co_await leave_transaction(*backend);
        if (failure.empty() && std::exchange(locked_behind_, false)) {
            const std::string unlock = unlock_all_batch();
            Exchange unlocked(worker_.context());
            failure = co_await ask(*backend, unlock, unlocked);
        }
        if (failure.empty()) failure = co_await enter_transaction(*backend, Aside::failed);
        if (closing_ || !backend->stream->open()) co_return;
        if (!failure.empty())
            co_return end("57P01",
                          fmt::format("terminating connection because its transaction could not be ended: {}", failure),
                          "The database was switched to another server; connect again.");
        ledger_.replies().reset(TransactionStatus::failed);
        aside_ = Aside::failed;
        owes_failure_ = owes_failure_ || status == TransactionStatus::in_transaction;
    }
    if (refused_ != Refused::no) answer_refused();
    if (status == TransactionStatus::idle) transaction_over();
    savepoint_ = made_read_only_ = false;
    stays_behind_ = looking_ = false;
    set_phase(aside_ == Aside::none ? Phase::idle : Phase::in_transaction);
    set_busy(false);
    co_await move_in_background();
    no_longer_behind();
    wake();
}

/// The client hears of the refusal, behind everything that was answered before.
void Session::answer_refused() {
    std::string answer = told_failure_ ? std::string() : left_behind_error();
    told_failure_ = false;
    if (refused_ == Refused::alone) {
        protocol::append(answer, protocol::ReadyForQuery{ledger_.replies().status()});
    } else {
        skip_to_sync_ = true;
    }
    refused_ = Refused::no;
    owes_failure_ = false;
    send_to_client(answer);
    flush_client_later();
}

/// Another switch ends open transactions: this one, too. A statement that runs is cancelled by interrupt().
void Session::stop_staying_behind() {
    const protocol::ReplyLedger& replies = ledger_.replies();
    if (!stays_behind_ || looking_ || !replies.quiet() || replies.batch_open()) return;
    looking_ = true;
    boost::asio::co_spawn(
        worker_.context(), [self = shared_from_this()] { return self->come_after(); }, boost::asio::detached);
}

}  // namespace turnout::proxy
