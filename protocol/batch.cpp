#include "protocol/batch.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

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
    return {std::string(text), reading.first_word, {}};
}

std::optional<std::int64_t> decimal(std::string_view text) noexcept {
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, value);
    if (text.empty() || error != std::errc() || at != end) return std::nullopt;
    return value;
}

/// int2, int4 and int8 are sent in binary as two's complement, the most significant byte first.
std::optional<std::int64_t> binary(std::string_view bytes) noexcept {
    if (bytes.size() != 2 && bytes.size() != 4 && bytes.size() != 8) return std::nullopt;
    std::uint64_t value = (static_cast<std::uint8_t>(bytes.front()) & 0x80U) != 0 ? ~std::uint64_t{0} : 0;
    for (const char byte : bytes) value = value << 8U | static_cast<std::uint8_t>(byte);
    return static_cast<std::int64_t>(value);
}

std::vector<std::optional<std::int64_t>> read_integers(const Bind& bind) {
    std::vector<std::optional<std::int64_t>> integers;
    for (std::size_t n = 0; n < bind.parameters.size(); ++n) {
        const auto& formats = bind.parameter_formats;
        const std::size_t which = formats.size() == 1 ? 0 : n;
        const bool in_binary = which < formats.size() && formats[which] == 1;
        const auto& value = bind.parameters[n];
        integers.push_back(!value ? std::nullopt : in_binary ? binary(*value) : decimal(*value));
    }
    return integers;
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
    std::vector<std::optional<std::int64_t>> integers;
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
                integers = read_integers(bind);
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
    if (step != Step::complete) return {};
    OneCommand command = read_text(text);
    command.integers = std::move(integers);
    return command;
}

bool leaves_nothing_when_cancelled(const OneCommand& command) noexcept {
    return !command.text.empty() && std::find(harmless.begin(), harmless.end(), command.first_word) != harmless.end();
}

namespace {

/// Reads `n`, `-n` or `$n`, with or without a cast, and the symbol behind it.
class ArgumentReader {
  public:
    ArgumentReader(SqlLexer& lexer, const OneCommand& command) : lexer_(lexer), command_(command) {}

    bool symbol(char c) const { return token_ == SqlToken::symbol && lexer_.raw() == std::string_view(&c, 1); }

    std::optional<std::int64_t> next() {
        step();
        const bool negative = symbol('-');
        if (negative) step();
        std::optional<std::int64_t> value;
        if (token_ == SqlToken::number) {
            value = decimal(negative ? "-" + std::string(lexer_.raw()) : std::string(lexer_.raw()));
        } else if (token_ == SqlToken::parameter && !negative) {
            const std::optional<std::int64_t> number = decimal(lexer_.content());
            const std::size_t known = command_.integers.size();
            if (number && *number >= 1 && static_cast<std::size_t>(*number) <= known)
                value = command_.integers[static_cast<std::size_t>(*number) - 1];
        }
        step();
        if (!symbol(':')) return value;
        step();
        if (!symbol(':')) return std::nullopt;
        step();
        if (token_ != SqlToken::word) return std::nullopt;
        step();
        return value;
    }

  private:
    void step() { token_ = lexer_.next(); }

    SqlLexer& lexer_;
    const OneCommand& command_;
    SqlToken token_ = SqlToken::end;
};

bool is_int(std::int64_t value) noexcept {
    return value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max();
}

}  // namespace

std::optional<LockCall> lock_it_waits_for(const OneCommand& command) {
    SqlLexer lexer(command.text);
    const auto next_is = [&](char c) { return lexer.next() == SqlToken::symbol && lexer.raw().front() == c; };
    if (lexer.next() != SqlToken::word || !lexer.is("select")) return std::nullopt;
    SqlToken token = lexer.next();
    if (token == SqlToken::word && lexer.is("pg_catalog")) {
        if (!next_is('.')) return std::nullopt;
        token = lexer.next();
    }
    LockCall call;
    call.shared = lexer.is("pg_advisory_lock_shared");
    if (token != SqlToken::word || (!call.shared && !lexer.is("pg_advisory_lock"))) return std::nullopt;
    if (!next_is('(')) return std::nullopt;
    ArgumentReader arguments(lexer, command);
    do {
        const std::optional<std::int64_t> key = arguments.next();
        if (!key) return std::nullopt;
        call.keys.push_back(*key);
    } while (arguments.symbol(',') && call.keys.size() < 2);
    if (!arguments.symbol(')')) return std::nullopt;
    if (call.keys.size() == 2 && !(is_int(call.keys[0]) && is_int(call.keys[1]))) return std::nullopt;
    token = lexer.next();
    if (token == SqlToken::semicolon) token = lexer.next();
    if (token != SqlToken::end) return std::nullopt;
    return call;
}

}  // namespace turnout::protocol
