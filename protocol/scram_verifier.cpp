#include <charconv>

#include "protocol/base64.hpp"
#include "protocol/scram.hpp"
#include "protocol/scram_keys.hpp"

namespace turnout::protocol {

namespace {

constexpr std::string_view verifier_prefix = "SCRAM-SHA-256$";

/// Takes what stands before `separator` off the front; nothing if there is no separator.
std::optional<std::string_view> take_until(std::string_view& text, char separator) noexcept {
    const std::size_t at = text.find(separator);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view taken = text.substr(0, at);
    text.remove_prefix(at + 1);
    return taken;
}

bool read_key(std::string_view text, ScramKey& out) {
    const std::optional<std::string> bytes = from_base64(text);
    if (!bytes || bytes->size() != out.size()) return false;
    std::copy(bytes->begin(), bytes->end(), out.begin());
    return true;
}

}  // namespace

std::optional<ScramVerifier> parse_scram_verifier(std::string_view text) {
    if (!text.starts_with(verifier_prefix)) return std::nullopt;
    text.remove_prefix(verifier_prefix.size());
    const auto iterations = take_until(text, ':');
    const auto salt = take_until(text, '$');
    const auto stored_key = take_until(text, ':');
    if (!iterations || !salt || !stored_key) return std::nullopt;

    ScramVerifier verifier;
    const char* end = iterations->data() + iterations->size();
    const auto [stop, error] = std::from_chars(iterations->data(), end, verifier.iterations);
    if (error != std::errc{} || stop != end) return std::nullopt;
    if (verifier.iterations == 0 || verifier.iterations > max_scram_iterations) return std::nullopt;

    std::optional<std::string> salt_bytes = from_base64(*salt);
    if (!salt_bytes || salt_bytes->empty()) return std::nullopt;
    verifier.salt = std::move(*salt_bytes);
    if (!read_key(*stored_key, verifier.stored_key) || !read_key(text, verifier.server_key)) return std::nullopt;
    return verifier;
}

std::string to_string(const ScramVerifier& verifier) {
    std::string text{verifier_prefix};
    text += std::to_string(verifier.iterations) + ':' + to_base64(verifier.salt) + '$';
    return text + to_base64(view(verifier.stored_key)) + ':' + to_base64(view(verifier.server_key));
}

ScramVerifier make_scram_verifier(std::string_view password, std::string_view salt, std::uint32_t iterations) {
    const SecretBytes salted = salted_password(password, salt, iterations);
    const SecretBytes client_key = client_key_of_salted(salted);
    return {iterations, std::string{salt}, sha256(client_key.reveal()), server_key_of_salted(salted)};
}

ScramVerifier mock_scram_verifier(std::string_view user, std::string_view secret, std::uint32_t iterations) {
    constexpr std::size_t salt_size = 16;  // PostgreSQL's own
    const ScramKey salt = hmac(secret, user);
    return {iterations, std::string{view(salt).substr(0, salt_size)}, {}, {}};
}

}  // namespace turnout::protocol
