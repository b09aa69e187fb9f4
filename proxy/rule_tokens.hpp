// The words of pg_hba.conf and pg_ident.conf, taken apart as PostgreSQL does it (hba.c, from 16 on): comments,
// continuation lines, quotes, lists, and other files that are included.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::proxy {

/// One thing that is wrong with a rule file, and where.
struct RuleProblem {
    std::string file;
    unsigned line = 0;  ///< from 1; 0: the file as a whole
    std::string message;

    /// "pg_hba.conf:12: invalid connection type \"hosts\"".
    std::string text() const;
};

/// A rule file that cannot be used, with everything that is wrong with it; what() has one line for each problem.
class RuleFileError : public std::runtime_error {
  public:
    explicit RuleFileError(const std::vector<RuleProblem>& problems);
};

/// A word. Quotes take away its special meaning: `all` matches everyone, `"all"` a role of that name.
struct RuleToken {
    std::string text;
    bool quoted = false;

    bool is_keyword(std::string_view word) const { return !quoted && text == word; }
};

/// A field: words that were joined by commas.
using RuleField = std::vector<RuleToken>;

/// A line that is not empty, continuation lines joined to it.
struct RuleLine {
    std::string file;
    unsigned line = 0;  ///< of its beginning
    std::vector<RuleField> fields;
};

/// Takes a file's text apart; `file` is its path, in messages and for what it includes: `@file` in a field, and lines
/// `include`, `include_if_exists` and `include_dir`. What cannot be included is added to `problems`.
std::vector<RuleLine> split_rules(std::string_view text, const std::filesystem::path& file,
                                  std::vector<RuleProblem>& problems);

/// Reads the file and takes it apart. Throws RuleFileError if it cannot be read.
std::vector<RuleLine> read_rules(const std::filesystem::path& file, std::vector<RuleProblem>& problems);

}  // namespace turnout::proxy
