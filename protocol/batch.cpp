#include "protocol/batch.hpp"

#include <algorithm>
#include <array>

#include "protocol/framing.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/sql_words.hpp"

namespace turnout::protocol {

namespace {

constexpr std::size_t usual_size = 1024;

constexpr std::array<std::string_view, 8> harmless{"select", "insert", "update", "delete",
                                                   "merge",  "values", "table",  "with"};

OneCommand read_text(std::string_view text) {
    const SqlReading reading = what_it_may_change(text);
    if (reading.commands != 1) return {};
    return {std::string(text), reading.first_word};
}

/// The statement's text in the body of a Parse.
std::string_view text_in_parse(std::string_view body) noexcept {
    const std::size_t name = body.find('\0');
    if (name == std::string_view::npos) return {};
    body.remove_prefix(name + 1);
    return body.substr(0, body.find('\0'));
}

}  // namespace

void Batch::clear() noexcept {
    if (bytes_.capacity() > usual_size) std::string().swap(bytes_);
    bytes_.clear();
    whole_ = true;
}

void Batch::add(std::string_view message) {
    if (!whole_) return;
    if (bytes_.size() + message.size() > limit) {
        whole_ = false;
        std::string().swap(bytes_);
        return;
    }
    bytes_ += message;
}

OneCommand read_one_command(std::string_view bytes, const StatementBook& book) {
    // Steps of an extended batch, in their order; each may be taken once.
    enum class Step : std::uint8_t { nothing, parsed, bound, executed, complete };
    FrameScanner scanner(Stream::frontend);
    Step step = Step::nothing;
    std::string_view text;
    while (!bytes.empty()) {
        const Frame frame = scanner.next(bytes);
        if (frame.state != FrameState::whole || step == Step::complete) return {};
        bytes.remove_prefix(frame.size);
        Bind bind;
        switch (static_cast<FrontendType>(frame.type)) {
            case FrontendType::query:
                if (step != Step::nothing) return {};
                text = frame.body.substr(0, frame.body.find('\0'));
                step = Step::complete;
                break;
            case FrontendType::parse:
                // A named statement is there when it is made again.
                if (step != Step::nothing || !frame.body.starts_with('\0')) return {};
                text = text_in_parse(frame.body);
                step = Step::parsed;
                break;
            case FrontendType::bind:
                if (step > Step::parsed || parse(frame.body, bind) || !bind.portal.empty()) return {};
                if (step == Step::parsed && !bind.statement.empty()) return {};
                if (step == Step::nothing) {
                    const LiveStatement* statement = book.find(bind.statement);
                    if (statement == nullptr || !statement->keepable) return {};
                    text = text_in_parse(statement->parse);
                }
                step = Step::bound;
                break;
            case FrontendType::execute: {
                Execute execute;
                if (step != Step::bound || parse(frame.body, execute) || execute.max_rows != 0) return {};
                step = Step::executed;
                break;
            }
            case FrontendType::sync:
                if (step != Step::executed) return {};
                step = Step::complete;
                break;
            case FrontendType::describe:
            case FrontendType::flush: break;
            case FrontendType::close:
                if (frame.body != std::string_view("P\0", 2)) return {};
                break;
            default: return {};
        }
    }
    return step == Step::complete ? read_text(text) : OneCommand{};
}

bool leaves_nothing_when_cancelled(const OneCommand& command) noexcept {
    return !command.text.empty() && std::find(harmless.begin(), harmless.end(), command.first_word) != harmless.end();
}

bool only_waits_for_a_lock(std::string_view text) {
    SqlLexer lexer(text);
    const auto symbol = [&](char c) { return lexer.raw().size() == 1 && lexer.raw().front() == c; };
    if (lexer.next() != SqlToken::word || !lexer.is("select")) return false;
    SqlToken token = lexer.next();
    if (lexer.is("pg_catalog")) {
        if (lexer.next() != SqlToken::symbol || !symbol('.')) return false;
        token = lexer.next();
    }
    if (token != SqlToken::word || (!lexer.is("pg_advisory_lock") && !lexer.is("pg_advisory_lock_shared")))
        return false;
    if (lexer.next() != SqlToken::symbol || !symbol('(')) return false;
    for (token = lexer.next(); !(token == SqlToken::symbol && symbol(')')); token = lexer.next()) {
        const bool cast = token == SqlToken::word;  // $1::bigint
        const bool sign = token == SqlToken::symbol && (symbol(',') || symbol('-') || symbol(':'));
        if (token != SqlToken::number && token != SqlToken::parameter && !cast && !sign) return false;
    }
    token = lexer.next();
    if (token == SqlToken::semicolon) token = lexer.next();
    return token == SqlToken::end;
}

}  // namespace turnout::protocol
