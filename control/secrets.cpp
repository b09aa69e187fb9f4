#include "control/secrets.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace turnout::control {
namespace {

constexpr std::string_view kMask = "***";

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
bool space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

/// The end of the value that begins at `at`: a conninfo's quoted or bare value, or a URI's up to `&`.
std::size_t value_end(std::string_view text, std::size_t at) {
    if (at < text.size() && text[at] == '\'') {
        for (++at; at < text.size(); ++at) {
            if (text[at] == '\\') {
                ++at;
            } else if (text[at] == '\'') {
                return at + 1;
            }
        }
        return text.size();
    }
    while (at < text.size() && !space(text[at]) && text[at] != '&' && text[at] != '"') {
        if (text[at] == '\\') ++at;
        ++at;
    }
    return std::min(at, text.size());
}

/// If `password` and an equals sign stand at `at`: where the value begins, else npos.
std::size_t password_value(std::string_view text, std::size_t at) {
    constexpr std::string_view kName = "password";
    if (text.size() - at < kName.size()) return std::string_view::npos;
    for (std::size_t i = 0; i < kName.size(); ++i)
        if (lower(text[at + i]) != kName[i]) return std::string_view::npos;
    at += kName.size();
    while (at < text.size() && space(text[at])) ++at;
    if (at == text.size() || text[at] != '=') return std::string_view::npos;
    for (++at; at < text.size() && space(text[at]);) ++at;
    return at;
}

/// If a URI's `://` stands at `at` and its authority has a password: the place after the colon and that of the `@`.
bool uri_password(std::string_view text, std::size_t at, std::size_t& begin, std::size_t& end) {
    if (text.substr(at, 3) != "://") return false;
    const std::string_view rest = text.substr(at + 3);
    const std::string_view authority = rest.substr(0, std::min(rest.find_first_of("/? \t\r\n\"'"), rest.size()));
    const std::size_t at_sign = authority.rfind('@');
    const std::size_t colon = authority.find(':');
    if (at_sign == std::string_view::npos || colon == std::string_view::npos || colon > at_sign) return false;
    begin = at + 3 + colon + 1;
    end = at + 3 + at_sign;
    return true;
}

}  // namespace

std::string hide_passwords(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        std::size_t begin = 0;
        std::size_t end = 0;
        if (const std::size_t value = password_value(text, at); value != std::string_view::npos) {
            begin = value;
            end = value_end(text, value);
        } else if (!uri_password(text, at, begin, end)) {
            result += text[at++];
            continue;
        }
        result.append(text.substr(at, begin - at)).append(kMask);
        at = end;
    }
    return result;
}

}  // namespace turnout::control
