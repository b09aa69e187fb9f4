#include <algorithm>
#include <cstdint>

#include "protocol/sql_words.hpp"

namespace turnout::protocol {

namespace {

bool is_blank(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
char lower_case(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool begins_word(char c) noexcept {
    const char l = lower_case(c);
    return (l >= 'a' && l <= 'z') || c == '_' || static_cast<std::uint8_t>(c) >= 0x80;
}
bool continues_word(char c) noexcept { return begins_word(c) || is_digit(c) || c == '$'; }

}  // namespace

void SqlLexer::skip_blanks() noexcept {
    while (at_ < text_.size()) {
        if (is_blank(text_[at_])) {
            ++at_;
        } else if (text_.substr(at_, 2) == "--") {
            at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
        } else if (text_.substr(at_, 2) == "/*") {
            std::size_t depth = 0;
            do {
                const std::string_view two = text_.substr(at_, 2);
                if (two == "/*") ++depth;
                if (two == "*/") --depth;
                at_ += two == "/*" || two == "*/" ? 2 : 1;
            } while (depth > 0 && at_ < text_.size());
        } else {
            return;
        }
    }
}

SqlToken SqlLexer::quoted(char quote, bool backslashes, SqlToken token) noexcept {
    const std::size_t inside = ++at_;
    std::size_t end = text_.size();
    while (at_ < text_.size()) {
        const char c = text_[at_];
        if (c == '\\' && backslashes) {
            escaped_ = true;
            at_ += 2;
        } else if (c == quote && text_.substr(at_ + 1, 1) == std::string_view{&quote, 1}) {
            at_ += 2;
        } else if (c == quote) {
            end = at_++;
            break;
        } else {
            ++at_;
        }
    }
    at_ = std::min(at_, text_.size());
    content_ = text_.substr(inside, end - inside);
    return token;
}

SqlToken SqlLexer::dollar() noexcept {
    std::size_t tag_end = at_ + 1;
    if (tag_end < text_.size() && is_digit(text_[tag_end])) {
        while (tag_end < text_.size() && is_digit(text_[tag_end])) ++tag_end;
        content_ = text_.substr(at_ + 1, tag_end - at_ - 1);
        at_ = tag_end;
        return SqlToken::parameter;
    }
    while (tag_end < text_.size() && text_[tag_end] != '$' && continues_word(text_[tag_end])) ++tag_end;
    if (tag_end >= text_.size() || text_[tag_end] != '$') {
        ++at_;
        return SqlToken::symbol;
    }
    const std::string_view tag = text_.substr(at_, tag_end + 1 - at_);
    const std::size_t inside = at_ + tag.size();
    const std::size_t end = std::min(text_.find(tag, inside), text_.size());
    content_ = text_.substr(inside, end - inside);
    at_ = std::min(end + tag.size(), text_.size());
    return SqlToken::string;
}

SqlToken SqlLexer::word() noexcept {
    const char first = lower_case(text_[at_]);
    const std::string_view ahead = text_.substr(at_ + 1, 2);
    if (ahead.starts_with('\'') && (first == 'e' || first == 'b' || first == 'x' || first == 'n')) {
        ++at_;
        return quoted('\'', first == 'e' || !conforming_, SqlToken::string);
    }
    if (first == 'u' && (ahead == "&'" || ahead == "&\"")) {
        at_ += 2;
        escaped_ = true;
        return ahead[1] == '"' ? quoted('"', false, SqlToken::identifier) : quoted('\'', false, SqlToken::string);
    }
    while (at_ < text_.size() && continues_word(text_[at_])) ++at_;
    return SqlToken::word;
}

SqlToken SqlLexer::number() noexcept {
    while (at_ < text_.size() && (is_digit(text_[at_]) || text_[at_] == '.')) ++at_;
    return SqlToken::number;
}

SqlToken SqlLexer::next() noexcept {
    skip_blanks();
    begin_ = at_;
    content_ = {};
    escaped_ = false;
    if (at_ >= text_.size()) return token_ = SqlToken::end;
    const char c = text_[at_];
    if (c == '\'') {
        token_ = quoted('\'', !conforming_, SqlToken::string);
    } else if (c == '"') {
        token_ = quoted('"', false, SqlToken::identifier);
    } else if (c == '$') {
        token_ = dollar();
    } else if (is_digit(c)) {
        token_ = number();
    } else if (begins_word(c)) {
        token_ = word();
    } else {
        ++at_;
        token_ = c == ';' ? SqlToken::semicolon : SqlToken::symbol;
    }
    if (content_.data() == nullptr) content_ = raw();
    return token_;
}

bool SqlLexer::is(std::string_view lower) const noexcept {
    if (token_ != SqlToken::word && token_ != SqlToken::identifier) return false;
    return content_.size() == lower.size() && std::equal(content_.begin(), content_.end(), lower.begin(),
                                                         [](char a, char b) { return lower_case(a) == b; });
}

std::string SqlLexer::lower() const {
    std::string out;
    out.reserve(content_.size());
    for (std::size_t i = 0; i < content_.size(); ++i) {
        const char c = content_[i];
        out.push_back(token_ == SqlToken::word ? lower_case(c) : c);
        const bool quote = (token_ == SqlToken::identifier && c == '"') || (token_ == SqlToken::string && c == '\'');
        if (quote && content_.substr(i + 1, 1) == std::string_view{&c, 1}) ++i;
    }
    return out;
}

}  // namespace turnout::protocol
