#include "protocol/scram_keys.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <stdexcept>

namespace turnout::protocol {

namespace {

const unsigned char* bytes_of(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}

/// These computations fail only if OpenSSL itself cannot work; no login can go on then.
void require(bool worked) {
    if (!worked) throw std::runtime_error("OpenSSL could not compute SHA-256");
}

}  // namespace

std::string_view view(const ScramKey& key) noexcept { return {reinterpret_cast<const char*>(key.data()), key.size()}; }

ScramKey sha256(std::string_view bytes) {
    ScramKey out;
    unsigned size = 0;
    require(EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_sha256(), nullptr) == 1);
    return out;
}

ScramKey hmac(std::string_view key, std::string_view text) {
    ScramKey out;
    unsigned size = 0;
    require(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(text), text.size(), out.data(),
                 &size) != nullptr);
    return out;
}

ScramKey exclusive_or(std::string_view a, const ScramKey& b) noexcept {
    ScramKey out = b;
    for (std::size_t i = 0; i < out.size() && i < a.size(); ++i) {
        out[i] = static_cast<std::uint8_t>(out[i] ^ static_cast<std::uint8_t>(a[i]));
    }
    return out;
}

SecretBytes salted_password(std::string_view password, std::string_view salt, std::uint32_t iterations) {
    SecretBytes out{scram_key_size};
    require(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes_of(salt),
                              static_cast<int>(salt.size()), static_cast<int>(iterations), EVP_sha256(),
                              static_cast<int>(scram_key_size), out.bytes().data()) == 1);
    return out;
}

SecretBytes client_key_of_salted(const SecretBytes& salted) {
    ScramKey key = hmac(salted.reveal(), "Client Key");
    SecretBytes out{std::span<const std::uint8_t>{key}};
    OPENSSL_cleanse(key.data(), key.size());
    return out;
}

ScramKey server_key_of_salted(const SecretBytes& salted) { return hmac(salted.reveal(), "Server Key"); }

std::string_view take_attribute(std::string_view& message, char name) noexcept {
    if (message.size() < 2 || message[0] != name || message[1] != '=') return {};
    const std::size_t comma = message.find(',');
    const std::string_view value = message.substr(2, comma == std::string_view::npos ? comma : comma - 2);
    message.remove_prefix(comma == std::string_view::npos ? message.size() : comma + 1);
    return value;
}

bool is_nonce(std::string_view text) noexcept {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != ','; });
}

}  // namespace turnout::protocol
