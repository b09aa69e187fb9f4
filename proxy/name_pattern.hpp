// A name in a rule file: a literal, or, behind a slash, a regular expression that is searched for in the name.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/rule_tokens.hpp"

namespace turnout::proxy {

/// PostgreSQL's own are Tcl's "advanced" ones; these are Boost.Regex's Perl syntax, which reads \d, \w, classes,
/// bounds and alternatives the same way. Immutable; may be used by several threads.
class NamePattern {
  public:
    /// Throws std::invalid_argument that says what is wrong with the expression.
    explicit NamePattern(RuleToken token);

    const RuleToken& token() const { return token_; }
    bool is_expression() const { return expression_ != nullptr; }
    /// The literal is equal to `name`, or the expression is found in it.
    bool matches(std::string_view name) const;
    /// For an expression: what its first group held, if it is found; nothing if it is not. The group may be missing.
    struct Found {
        std::optional<std::string> group;
    };
    std::optional<Found> search(std::string_view name) const;

  private:
    struct Expression;
    RuleToken token_;
    std::shared_ptr<const Expression> expression_;
};

}  // namespace turnout::proxy
