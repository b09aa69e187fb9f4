#include "protocol/md5.hpp"

#include <openssl/evp.h>

#include <algorithm>

#include "protocol/secret.hpp"

namespace turnout::protocol {

namespace {

constexpr std::string_view prefix = "md5";
constexpr std::size_t digest_size = 16;

/// "md5" and the hexadecimal digest of two texts, one after the other.
std::optional<std::string> prefixed_md5(std::string_view first, std::string_view second) {
    SecretBytes text{first.size() + second.size()};
    std::copy(first.begin(), first.end(), text.bytes().begin());
    std::copy(second.begin(), second.end(), text.bytes().begin() + static_cast<std::ptrdiff_t>(first.size()));
    unsigned char digest[digest_size];
    unsigned size = 0;
    if (EVP_Digest(text.bytes().data(), text.size(), digest, &size, EVP_md5(), nullptr) != 1) return std::nullopt;
    std::string out{prefix};
    for (const unsigned char byte : digest) {
        constexpr std::string_view digits = "0123456789abcdef";
        out.push_back(digits[byte >> 4U]);
        out.push_back(digits[byte & 15U]);
    }
    return out;
}

}  // namespace

bool is_md5_verifier(std::string_view text) noexcept {
    if (!text.starts_with(prefix) || text.size() != prefix.size() + 2 * digest_size) return false;
    text.remove_prefix(prefix.size());
    return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<std::string> make_md5_verifier(std::string_view user, std::string_view password) {
    return prefixed_md5(password, user);
}

std::optional<std::string> md5_response(std::string_view verifier, const std::array<char, 4>& salt) {
    if (!is_md5_verifier(verifier)) return std::nullopt;
    return prefixed_md5(verifier.substr(prefix.size()), {salt.data(), salt.size()});
}

bool check_md5_response(std::string_view verifier, const std::array<char, 4>& salt, std::string_view response) {
    const std::optional<std::string> expected = md5_response(verifier, salt);
    return expected && equal_in_constant_time(*expected, response);
}

}  // namespace turnout::protocol
