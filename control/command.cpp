#include "control/command.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <utility>

#include "control/duration.hpp"
#include "control/nearest_word.hpp"

namespace turnout::control {
namespace {

struct Token {
    enum class Kind { word, string, semicolon, other, end } kind = Kind::end;
    std::string text;  ///< of a word: in upper case; of a string: without its quotes

    bool is(std::string_view word) const { return kind == Kind::word && text == word; }
};

bool part_of_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-' || c == '+';
}

std::string upper(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return result;
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

/// Takes a text apart, a token at a time.
class Tokens {
  public:
    explicit Tokens(std::string_view text) : rest_(text) { advance(); }

    const Token& now() const { return now_; }
    Token take() {
        Token token = std::move(now_);
        advance();
        return token;
    }
    bool take_if(std::string_view word) {
        if (!now_.is(word)) return false;
        advance();
        return true;
    }
    /// The token's own letters: values are case-sensitive where words are not.
    const std::string& as_written() const { return written_; }

  private:
    void skip_blank() {
        for (;;) {
            while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0)
                rest_.remove_prefix(1);
            if (rest_.starts_with("--")) {
                rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
            } else if (rest_.starts_with("/*")) {
                const std::size_t end = rest_.find("*/", 2);
                rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 2);
            } else {
                return;
            }
        }
    }

    void advance() {
        skip_blank();
        if (rest_.empty()) {
            now_ = {Token::Kind::end, {}};
            return;
        }
        const char first = rest_.front();
        if (first == '\'' || first == '"') {
            take_quoted(first);
        } else if (part_of_word(first)) {
            const auto end = std::find_if_not(rest_.begin(), rest_.end(), part_of_word);
            written_.assign(rest_.begin(), end);
            now_ = {Token::Kind::word, upper(written_)};
            rest_.remove_prefix(written_.size());
        } else {
            written_.assign(1, first);
            now_ = {first == ';' ? Token::Kind::semicolon : Token::Kind::other, written_};
            rest_.remove_prefix(1);
        }
    }

    void take_quoted(char quote) {
        written_.clear();
        std::size_t i = 1;
        for (; i < rest_.size(); ++i) {
            if (rest_[i] != quote) {
                written_ += rest_[i];
            } else if (i + 1 < rest_.size() && rest_[i + 1] == quote) {
                written_ += rest_[i++];
            } else {
                break;
            }
        }
        const bool closed = i < rest_.size();
        now_ = {closed ? Token::Kind::string : Token::Kind::other, closed ? written_ : "an unterminated string"};
        rest_.remove_prefix(std::min(i + 1, rest_.size()));
    }

    std::string_view rest_;
    std::string written_;
    Token now_;
};

CommandError syntax_error(std::string message, std::string hint = "SHOW HELP lists the commands.") {
    return {std::string(sqlstate::syntax_error), std::move(message), std::move(hint)};
}

CommandError unknown(std::string_view what, const Token& token, std::vector<std::string_view> known) {
    if (token.kind == Token::Kind::end || token.kind == Token::Kind::semicolon)
        return syntax_error(std::string("a ").append(what).append(" is missing"));
    std::string message = std::string("unknown ").append(what).append(" '").append(token.text).append("'");
    if (const auto nearest = nearest_word(token.text, known)) message += "; did you mean " + *nearest + "?";
    return syntax_error(std::move(message));
}

bool ends(const Token& token) { return token.kind == Token::Kind::end || token.kind == Token::Kind::semicolon; }

std::string allowed_values(const OptionDescription& option) {
    if (option.kind == OptionKind::duration) return std::string(kDurationHint) + ", above 0";
    if (option.kind == OptionKind::limits) return std::string(kWatchLimitsHint);
    std::string text = "it may be";
    for (std::size_t i = 0; i < option.words.size(); ++i)
        text.append(i == 0 ? " '" : i + 1 == option.words.size() ? " or '" : ", '").append(option.words[i]).append("'");
    return text;
}

boost::system::result<void, CommandError> parse_option(Tokens& tokens, const VerbDescription& verb, Command& command) {
    std::vector<std::string_view> known;
    for (const OptionDescription* option : verb.options) {
        known.push_back(option->word);
        if (!tokens.now().is(option->word)) continue;
        tokens.take();
        if (option->kind == OptionKind::flag) {
            option->set(command.options, {});
            return {};
        }
        if (tokens.now().kind == Token::Kind::other && tokens.now().text == "=") tokens.take();
        const bool given = tokens.now().kind == Token::Kind::word || tokens.now().kind == Token::Kind::string;
        const std::string value = given ? lower(tokens.as_written()) : std::string();
        if (given) tokens.take();
        if (given && option->set(command.options, value)) return {};
        return CommandError{std::string(sqlstate::invalid_value),
                            std::string(option->word) + (given ? " cannot be '" + value + "'" : " has no value"),
                            allowed_values(*option)};
    }
    if (known.empty()) return syntax_error(std::string(verb.words) + " takes no '" + tokens.now().text + "'");
    return unknown("option", tokens.now(), known);
}

boost::system::result<void, CommandError> parse_form(Tokens& tokens, Command& command) {
    if (tokens.take_if("JSON")) {
        command.form = Form::json;
    } else if (tokens.take_if("TEXT")) {
        command.form = Form::text;
    } else {
        return unknown("form", tokens.now(), {"JSON", "TEXT"});
    }
    return {};
}

boost::system::result<void, CommandError> parse_topic(Tokens& tokens, Command& command) {
    std::vector<std::string_view> known;
    for (const TopicDescription& topic : topic_descriptions()) {
        known.push_back(topic.word);
        if (!tokens.now().is(topic.word)) continue;
        tokens.take();
        command.topic = topic.topic;
        return {};
    }
    return unknown("topic of SHOW", tokens.now(), known);
}

boost::system::result<void, CommandError> parse_side(Tokens& tokens, Command& command) {
    for (const Side side : {Side::blue, Side::green}) {
        if (lower(tokens.now().text) != name(side)) continue;
        tokens.take();
        command.side = side;
        return {};
    }
    return syntax_error("FORCE ACTIVE needs the side to be served: blue or green", "FORCE ACTIVE green;");
}

/// Databases and session ids are written as they are, in quotes or without.
boost::system::result<void, CommandError> parse_operand(Tokens& tokens, const VerbDescription& verb, Command& command) {
    const bool given = tokens.now().kind == Token::Kind::word || tokens.now().kind == Token::Kind::string;
    if (given && !tokens.now().is("AS")) {
        command.operand = tokens.as_written();
        tokens.take();
    } else if (verb.operand != Operand::database_or_all) {
        return syntax_error(
            std::string(verb.words) + " needs " +
                (verb.operand == Operand::session ? "the id of a session" : "a database"),
            verb.operand == Operand::session ? "SHOW SESSIONS names them." : "SHOW DATABASES names them.");
    }
    return {};
}

/// SET key = value, SET key TO value. What drivers set is not looked into.
void parse_setting(Tokens& tokens, Command& command) {
    command.operand = lower(tokens.as_written());
    tokens.take();
    if (tokens.now().kind == Token::Kind::other && tokens.now().text == "=")
        tokens.take();
    else
        tokens.take_if("TO");
    if (!ends(tokens.now())) command.value = tokens.as_written();
    while (!ends(tokens.now())) tokens.take();
}

const VerbDescription* take_verb(Tokens& tokens) {
    for (const VerbDescription& verb : verb_descriptions()) {
        const std::size_t space = verb.words.find(' ');
        if (!tokens.take_if(verb.words.substr(0, space))) continue;
        if (space == std::string_view::npos || tokens.take_if(verb.words.substr(space + 1))) return &verb;
        return nullptr;
    }
    return nullptr;
}

boost::system::result<Command, CommandError> parse_command(Tokens& tokens) {
    std::vector<std::string_view> known;
    for (const VerbDescription& verb : verb_descriptions()) known.push_back(verb.words);
    const VerbDescription* verb = take_verb(tokens);
    if (verb == nullptr) return unknown("command", tokens.now(), known);
    Command command;
    command.verb = verb->verb;
    if (command.verb == Verb::set) {
        parse_setting(tokens, command);
        return command;
    }
    boost::system::result<void, CommandError> operand;
    switch (verb->operand) {
        case Operand::topic: operand = parse_topic(tokens, command); break;
        case Operand::side: operand = parse_side(tokens, command); break;
        case Operand::database:
        case Operand::database_or_all:
        case Operand::session: operand = parse_operand(tokens, *verb, command); break;
        case Operand::none:
        case Operand::setting: break;
    }
    if (!operand) return operand.error();
    while (!ends(tokens.now())) {
        auto result = tokens.take_if("AS") ? parse_form(tokens, command) : parse_option(tokens, *verb, command);
        if (!result) return result.error();
    }
    return command;
}

}  // namespace

ParsedCommands parse_commands(std::string_view text) {
    std::vector<Command> commands;
    for (Tokens tokens(text); tokens.now().kind != Token::Kind::end;) {
        if (tokens.now().kind == Token::Kind::semicolon) {
            tokens.take();
            continue;
        }
        auto command = parse_command(tokens);
        if (!command) return command.error();
        commands.push_back(*command);
    }
    return commands;
}

}  // namespace turnout::control
