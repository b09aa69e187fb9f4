#include "proxy/rule_tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

namespace turnout::proxy {
namespace {

namespace fs = std::filesystem;

constexpr int kDeepest = 10;  // files that include each other (conffiles.h)

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::optional<std::string> read_file(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    std::error_code ignored;
    if (!stream.is_open() || stream.bad() || fs::is_directory(file, ignored)) return std::nullopt;
    return text;
}

std::string cannot_open(const fs::path& file) {
    std::error_code ignored;
    const char* reason = fs::is_directory(file, ignored) ? "Is a directory" : std::strerror(errno);
    return fmt::format("could not open file \"{}\": {}", file.string(), reason);
}

/// What a backslash at its end continues is one line.
struct LogicalLine {
    std::string text;
    unsigned number = 0;
};

std::vector<LogicalLine> logical_lines(std::string_view text) {
    std::vector<LogicalLine> lines;
    bool continues = false;
    for (unsigned number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        while (line.ends_with('\r')) line.remove_suffix(1);
        if (!continues) lines.push_back({{}, number});
        continues = line.ends_with('\\');
        if (continues) line.remove_suffix(1);
        lines.back().text += line;
    }
    return lines;
}

/// One file's tokens; reads what it includes, depth first.
class Splitter {
  public:
    explicit Splitter(std::vector<RuleProblem>& problems) : problems_(problems) {}

    void split(std::string_view text, const fs::path& file, int depth, std::vector<RuleLine>& out) {
        for (const LogicalLine& logical : logical_lines(text)) {
            RuleLine line{file.string(), logical.number, {}};
            std::string_view rest = logical.text;
            while (!rest.empty() && !failed_) {
                RuleField field = next_field(rest, line, depth);
                if (!field.empty()) line.fields.push_back(std::move(field));
            }
            const bool usable = !std::exchange(failed_, false);
            if (usable && !line.fields.empty() && !include(line, depth, out)) out.push_back(std::move(line));
        }
    }

  private:
    void fail(RuleProblem problem) {
        problems_.push_back(std::move(problem));
        failed_ = true;
    }

    static fs::path beside(const RuleLine& line, const std::string& name) {
        const fs::path path(name);
        return path.is_absolute() ? path : fs::path(line.file).parent_path() / path;
    }

    /// The next word and whether a comma follows it; nothing at the end of the line or at a comment.
    static std::optional<RuleToken> next_token(std::string_view& rest, bool& comma) {
        RuleToken token;
        comma = false;
        while (!rest.empty() && (is_blank(rest.front()) || rest.front() == ',')) rest.remove_prefix(1);
        bool in_quote = false, was_quote = false, saw_quote = false;
        while (!rest.empty() && (!is_blank(rest.front()) || in_quote)) {
            const char c = rest.front();
            if (c == '#' && !in_quote) {
                rest = {};
                break;
            }
            rest.remove_prefix(1);
            if (c == ',' && !in_quote) {
                comma = true;
                break;
            }
            if (c != '"' || was_quote) token.text += c;
            was_quote = in_quote && c == '"' && !was_quote;
            if (c != '"') continue;
            in_quote = !in_quote;
            saw_quote = true;
            if (token.text.empty()) token.quoted = true;
        }
        if (!saw_quote && token.text.empty()) return std::nullopt;
        return token;
    }

    RuleField next_field(std::string_view& rest, const RuleLine& line, int depth) {
        RuleField field;
        bool comma = true;
        while (comma && !failed_) {
            auto token = next_token(rest, comma);
            if (!token) break;
            if (!token->quoted && token->text.size() > 1 && token->text.front() == '@') {
                take_words_of(beside(line, token->text.substr(1)), line, depth + 1, field);
            } else {
                field.push_back(std::move(*token));
            }
        }
        return field;
    }

    std::optional<std::string> open(const fs::path& file, const RuleLine& line, int depth) {
        if (depth > kDeepest) {
            fail(RuleProblem{line.file, line.line,
                             fmt::format("could not open file \"{}\": maximum nesting depth exceeded", file.string())});
            return std::nullopt;
        }
        auto text = read_file(file);
        if (!text) fail({line.file, line.line, cannot_open(file)});
        return text;
    }

    /// `@file`: all its words, whatever lines they are on.
    void take_words_of(const fs::path& file, const RuleLine& line, int depth, RuleField& field) {
        const auto text = open(file, line, depth);
        if (!text) return;
        std::vector<RuleLine> lines;
        split(*text, file, depth, lines);
        for (RuleLine& inner : lines) {
            for (RuleField& words : inner.fields) std::move(words.begin(), words.end(), std::back_inserter(field));
        }
    }

    void take_lines_of(const fs::path& file, const RuleLine& line, int depth, std::vector<RuleLine>& out) {
        if (const auto text = open(file, line, depth)) split(*text, file, depth, out);
        failed_ = false;
    }

    /// True if the line is an include, which has then been done.
    bool include(const RuleLine& line, int depth, std::vector<RuleLine>& out) {
        if (line.fields.size() != 2) return false;
        const std::string& word = line.fields[0].front().text;
        const fs::path path = beside(line, line.fields[1].front().text);
        std::error_code ignored;
        if (word == "include") {
            take_lines_of(path, line, depth + 1, out);
        } else if (word == "include_if_exists") {
            if (fs::exists(path, ignored)) take_lines_of(path, line, depth + 1, out);
        } else if (word == "include_dir") {
            include_directory(path, line, depth + 1, out);
        } else {
            return false;
        }
        return true;
    }

    void include_directory(const fs::path& directory, const RuleLine& line, int depth, std::vector<RuleLine>& out) {
        std::error_code error;
        std::vector<fs::path> files;
        for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
            const fs::path& file = entry->path();
            if (file.extension() == ".conf" && file.filename().native().front() != '.' && !entry->is_directory())
                files.push_back(file);
        }
        if (error) {
            const std::string reason = error.message();
            problems_.push_back(RuleProblem{
                line.file, line.line, fmt::format("could not open directory \"{}\": {}", directory.string(), reason)});
            return;
        }
        std::sort(files.begin(), files.end());
        for (const fs::path& file : files) take_lines_of(file, line, depth, out);
    }

    std::vector<RuleProblem>& problems_;
    bool failed_ = false;  ///< the present line cannot be used
};

}  // namespace

std::string RuleProblem::text() const {
    return line > 0 ? fmt::format("{}:{}: {}", file, line, message) : fmt::format("{}: {}", file, message);
}

RuleFileError::RuleFileError(const std::vector<RuleProblem>& problems)
    : std::runtime_error([&problems] {
          std::string text;
          for (const RuleProblem& problem : problems) text += (text.empty() ? "" : "\n") + problem.text();
          return text;
      }()) {}

std::vector<RuleLine> split_rules(std::string_view text, const fs::path& file, std::vector<RuleProblem>& problems) {
    std::vector<RuleLine> lines;
    Splitter(problems).split(text, file, 0, lines);
    return lines;
}

std::vector<RuleLine> read_rules(const fs::path& file, std::vector<RuleProblem>& problems) {
    const auto text = read_file(file);
    if (!text) throw RuleFileError({{file.string(), 0, cannot_open(file)}});
    return split_rules(*text, file, problems);
}

}  // namespace turnout::proxy
