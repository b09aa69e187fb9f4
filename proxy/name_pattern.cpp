#include "proxy/name_pattern.hpp"

#include <fmt/format.h>

#include <boost/regex.hpp>
#include <stdexcept>

namespace turnout::proxy {

struct NamePattern::Expression {
    boost::regex regex;
};

NamePattern::NamePattern(RuleToken token) : token_(std::move(token)) {
    if (!token_.text.starts_with('/')) return;
    try {
        expression_ = std::make_shared<const Expression>(Expression{boost::regex(token_.text.substr(1))});
    } catch (const boost::regex_error& error) {
        throw std::invalid_argument(
            fmt::format("invalid regular expression \"{}\": {}", token_.text.substr(1), error.what()));
    }
}

bool NamePattern::matches(std::string_view name) const {
    return is_expression() ? search(name).has_value() : name == token_.text;
}

std::optional<NamePattern::Found> NamePattern::search(std::string_view name) const {
    boost::cmatch match;
    try {
        if (!boost::regex_search(name.data(), name.data() + name.size(), match, expression_->regex))
            return std::nullopt;
    } catch (const std::runtime_error&) {
        // The expression is too expensive for this name: it lets nobody in.
        return std::nullopt;
    }
    Found found;
    if (match.size() > 1 && match[1].matched) found.group = match[1].str();
    return found;
}

}  // namespace turnout::proxy
