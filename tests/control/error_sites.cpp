#include "tests/control/error_sites.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>

namespace turnout::house {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPutIn = "…";
constexpr std::string_view kOperator = "control/kubernetes/";
constexpr std::string_view kStatus = "control/kubernetes/reconciler";
constexpr std::string_view kProblem = "push_back({";  // a SpecProblem: its field, and what is wrong

/// How a function that raises errors takes its arguments; -1: not at all.
struct Call {
    std::string_view name;
    int sqlstate, message, hint;
    std::string_view its_sqlstate{};  ///< what it always gives
    std::string_view its_hint{};      ///< what it gives where no other is given
    int otherwise = -1;               ///< another message, which it gives in another case
    std::string_view place{};         ///< ErrorSite::place
    int reason = -1;
    std::string_view in{};  ///< only in the files whose names begin so
};

constexpr std::array kCalls{
    Call{"refuse", 0, 1, 3},
    Call{"refuse_login", 0, 1, 2},
    Call{"end", 0, 1, 2},
    Call{"send_fatal", 0, 1, 2},
    Call{"make_error", 1, 2, 4},
    Call{"BadStartup", 0, 1, 2},
    Call{"violation", -1, 0, -1, "08P01"},
    Call{"refused_step", 0, 1, 2},
    Call{"refusal", 0, 1, 2},
    Call{"refuse_fatally", 0, 1, 2},
    Call{"fail", 0, 1, 2},
    Call{"fail_extended", 0, 1, 2},
    Call{"syntax_error", -1, 0, 1, "42601", "SHOW HELP lists the commands."},
    Call{"CommandError", 0, 1, 2},
    Call{"SyncRefused", -1, 0, -1, "55000"},
    Call{"VerifyRefused", -1, 0, -1, "55P03"},
    Call{"reading.refuse", -1, 1, -1},
    Call{"ConninfoError", -1, 0, -1},
    Call{"AuthFileError", -1, 0, -1},
    Call{"refuse_line", -1, 2, -1},
    Call{"RuleProblem", -1, 2, -1},
    Call{"Refused", -1, 0, -1},
    Call{"take_names", -1, 0, -1},
    Call{"take_one", -1, 0, -1, "", "", 1},
    Call{"runtime_error", -1, 0, -1},
    Call{"invalid_argument", -1, 0, -1},
    Call{"complain", -1, 0, 1},
    Call{"complain_to", -1, 1, 2},
    Call{"conclude", 0, 1, 2},
    Call{"miss", -1, 0, -1, "55P03", "It is tried again until the deadline."},
    Call{"finding", -1, 3, 4},
    Call{"http_error", -1, 1, -1},
    Call{"AccessError", -1, 0, -1},
    Call{"ApiUnreachable", -1, 0, -1, "", "It is tried again."},
    Call{.name = "spdlog::warn", .sqlstate = -1, .message = 0, .hint = -1, .place = "log"},
    Call{.name = "spdlog::error", .sqlstate = -1, .message = 0, .hint = -1, .place = "log"},
    Call{.name = "spdlog::critical", .sqlstate = -1, .message = 0, .hint = -1, .place = "log"},
    Call{.name = "ready", .sqlstate = -1, .message = 2, .hint = -1, .place = "condition", .reason = 1, .in = kStatus},
    Call{.name = "set", .sqlstate = -1, .message = 3, .hint = -1, .place = "condition", .reason = 2, .in = kStatus},
    Call{.name = "note", .sqlstate = -1, .message = 2, .hint = -1, .place = "event", .reason = 1, .in = kOperator},
    Call{.name = "problem", .sqlstate = -1, .message = 1, .hint = -1, .place = "condition", .in = kOperator},
    Call{.name = kProblem, .sqlstate = -1, .message = 1, .hint = -1, .place = "condition", .in = kOperator},
};

/// control/answer.hpp's names.
const std::map<std::string_view, std::string_view>& named_states() {
    static const std::map<std::string_view, std::string_view> states{
        {"syntax_error", "42601"}, {"invalid_value", "22023"}, {"refused", "55000"},
        {"running", "55006"},      {"cancelled", "57014"},     {"given_up", "55P03"},
        {"unreachable", "08001"},  {"needs_person", "58000"},  {"internal", "XX000"}};
    return states;
}

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Behind a literal that begins at `at` (a quote).
std::size_t behind_literal(std::string_view text, std::size_t at) {
    const char quote = text[at];
    if (quote == '"' && at > 0 && text[at - 1] == 'R') {
        const std::size_t paren = text.find('(', at);
        const std::string end = ")" + std::string(text.substr(at + 1, paren - at - 1)) + "\"";
        return std::min(text.find(end, paren), text.size() - end.size()) + end.size();
    }
    for (++at; at < text.size() && text[at] != quote; ++at)
        if (text[at] == '\\') ++at;
    return at + 1;
}

/// Comments become spaces.
std::string without_comments(std::string_view text) {
    std::string out(text);
    for (std::size_t i = 0; i + 1 < out.size();) {
        const bool digits = out[i] == '\'' && i > 0 && is_name(out[i - 1]);  // 1'000
        if ((out[i] == '"' || out[i] == '\'') && !digits) {
            i = behind_literal(out, i);
        } else if (out[i] == '/' && out[i + 1] == '/') {
            for (; i < out.size() && out[i] != '\n'; ++i) out[i] = ' ';
        } else {
            ++i;
        }
    }
    return out;
}

std::string unescaped(std::string_view literal) {
    std::string out;
    for (std::size_t i = 0; i < literal.size(); ++i) {
        if (literal[i] != '\\' || i + 1 == literal.size()) {
            out += literal[i];
        } else if (const char next = literal[++i]; next == 'n') {
            out += ' ';
        } else {
            out += next;
        }
    }
    return out;
}

/// The arguments of a call whose bracket opens at `open`; behind it.
std::vector<std::string> arguments(std::string_view text, std::size_t open) {
    std::vector<std::string> found;
    int depth = 0;
    std::size_t begin = open + 1;
    for (std::size_t i = open; i < text.size();) {
        const char c = text[i];
        if (c == '"' || (c == '\'' && !is_name(text[i - 1]))) {
            i = behind_literal(text, i);
            continue;
        }
        if (c == '(' || c == '{' || c == '[') ++depth;
        if (c == ')' || c == '}' || c == ']') --depth;
        if ((c == ',' && depth == 1) || depth == 0) {
            found.emplace_back(text.substr(begin, i - begin));
            begin = i + 1;
        }
        if (depth == 0) break;
        ++i;
    }
    return found;
}

/// {} and {:…} of a format.
std::string with_gaps(std::string_view format) {
    std::string out;
    for (std::size_t i = 0; i < format.size(); ++i) {
        if (format[i] == '{' && format.substr(i, 2) != "{{") {
            out += kPutIn;
            i = std::min(format.find('}', i), format.size());
        } else {
            out += format[i];
            if (format.substr(i, 2) == "{{" || format.substr(i, 2) == "}}") ++i;
        }
    }
    return out;
}

/// What an expression says: its literals, with gaps for the rest.
std::string words_of(std::string_view expression) {
    constexpr std::string_view string = "std::string(\"";  // no gap: it only says that the literal is one
    expression.remove_prefix(std::min(expression.find_first_not_of(" \n"), expression.size()));
    if (expression.starts_with(string)) expression.remove_prefix(string.size() - 1);
    if (const std::size_t format = expression.find("fmt::format("); format != std::string_view::npos) {
        const auto inner = arguments(expression, format + std::string_view("fmt::format").size());
        return inner.empty() ? std::string() : with_gaps(words_of(inner.front()));
    }
    std::string out;
    bool gap = false;
    for (std::size_t i = 0; i < expression.size();) {
        if (expression[i] == '"') {
            const std::size_t end = behind_literal(expression, i);
            if (gap) out += kPutIn;
            out += unescaped(expression.substr(i + 1, end - i - 2));
            gap = false;
            i = end;
        } else {
            // What stands behind the colon of a condition comes in the place of what stands before it.
            const bool otherwise = expression[i] == ':' && expression.substr(i, 2) != "::" && expression[i - 1] != ':';
            gap = gap || otherwise || is_name(expression[i]);
            ++i;
        }
    }
    if (gap && !out.empty()) out += kPutIn;
    return out;
}

std::string state_of(std::string_view expression) {
    const std::string literal = words_of(expression);
    if (literal.size() == 5) return literal;
    std::size_t colon = expression.rfind("sqlstate::");
    if (colon == std::string_view::npos) colon = expression.rfind("SwitchOutcome::");  // named as its state is
    if (colon == std::string_view::npos) return {};
    std::string_view name = expression.substr(expression.find("::", colon) + 2);
    name = name.substr(0, std::find_if_not(name.begin(), name.end(), is_name) - name.begin());
    const auto found = named_states().find(name);
    return found == named_states().end() ? std::string() : std::string(found->second);
}

/// A bracket that opens an argument: its call.
std::string_view call_around(std::string_view before) {
    before = before.substr(0, before.find_last_not_of(" \n") + 1);
    for (const std::string_view list : {"problems.push_back(", "secrets.push_back("})
        if (before.ends_with(list)) return kProblem;
    return {};
}

const Call* call_at(std::string_view text, std::size_t open) {
    std::size_t begin = open;
    while (begin > 0 && (is_name(text[begin - 1]) || text[begin - 1] == '.')) --begin;
    std::string_view name = text.substr(begin, open - begin);
    const bool of_reading = name == "reading.refuse" || name == "refuse.refuse";
    if (!of_reading) name = name.substr(name.rfind('.') + 1);
    if (constexpr std::string_view log = "spdlog::"; text.substr(0, begin).ends_with(log))
        name = text.substr(begin - log.size(), log.size() + name.size());
    if (name.empty() && text[open] == '{') name = call_around(text.substr(0, open));
    const auto found =
        std::find_if(kCalls.begin(), kCalls.end(), [name](const Call& call) { return call.name == name; });
    return found == kCalls.end() ? nullptr : &*found;
}

}  // namespace

std::vector<ErrorSite> errors_of(const std::string& file, std::string_view source) {
    const std::string text = without_comments(source);
    std::vector<ErrorSite> sites;
    for (std::size_t at = text.find_first_of("({"); at != std::string::npos; at = text.find_first_of("({", at + 1)) {
        const Call* call = call_at(text, at);
        if (call == nullptr || !file.starts_with(call->in)) continue;
        const auto given = arguments(text, at);
        const auto argument = [&](int which) {
            return which < 0 || static_cast<std::size_t>(which) >= given.size()
                       ? std::string()
                       : given[static_cast<std::size_t>(which)];
        };
        const std::string hint = argument(call->hint);
        ErrorSite site{file, std::string(call->its_sqlstate), words_of(argument(call->message)), words_of(hint)};
        site.place = call->place;
        site.reason = words_of(argument(call->reason));
        if (site.remedy.empty()) site.remedy = std::any_of(hint.begin(), hint.end(), is_name) ? kPutIn : call->its_hint;
        if (call->name == "refuse_login") site.remedy = argument(2).ends_with("*why") ? kPutIn : "";
        if (call->sqlstate >= 0) site.sqlstate = state_of(argument(call->sqlstate));
        if (call->sqlstate >= 0 && site.sqlstate.empty()) continue;
        for (const int which : {call->otherwise, call->message}) {
            site.message = words_of(argument(which));
            if (site.place == "log") site.message = with_gaps(site.message);
            // A line of the log that only passes something on has no words.
            const char* const none = site.place.empty() ? " …" : " …:,()";
            if (site.message.find_first_not_of(none) != std::string::npos) sites.push_back(site);
        }
    }
    return sites;
}

std::vector<ErrorSite> all_errors(const fs::path& root) {
    std::vector<fs::path> files;
    for (const char* folder : {"protocol", "proxy", "control", "program"})
        for (const auto& entry : fs::recursive_directory_iterator(root / folder))
            if (entry.path().extension() == ".cpp") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    std::vector<ErrorSite> all;
    for (const fs::path& file : files) {
        std::ifstream stream(file);
        const std::string text{std::istreambuf_iterator<char>(stream), {}};
        const auto here = errors_of(fs::relative(file, root).string(), text);
        all.insert(all.end(), here.begin(), here.end());
    }
    return all;
}

std::string literals_of(std::string_view source) {
    const std::string text = without_comments(source);
    std::string out;
    std::optional<std::size_t> end_of_last;
    for (std::size_t i = 0; i < text.size();) {
        if (text[i] == '\'' && i > 0 && !is_name(text[i - 1])) {
            i = behind_literal(text, i);
            continue;
        }
        if (text[i] != '"') {
            ++i;
            continue;
        }
        const std::size_t end = behind_literal(text, i);
        const bool joined = end_of_last && text.find_first_not_of(" \n", *end_of_last) == i;
        if (!joined) out += '\n';
        out += unescaped(std::string_view(text).substr(i + 1, end - i - 2));
        end_of_last = end;
        i = end;
    }
    return out;
}

}  // namespace turnout::house
