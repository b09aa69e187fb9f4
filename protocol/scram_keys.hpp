/// \file
/// The computations of SCRAM-SHA-256 (RFC 5802, section 3), shared by the verifier, the server's and the client's half.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "protocol/scram.hpp"
#include "protocol/secret.hpp"

namespace turnout::protocol {

/// SHA-256 of some bytes.
[[nodiscard]] ScramKey sha256(std::string_view bytes);
/// HMAC-SHA-256.
[[nodiscard]] ScramKey hmac(std::string_view key, std::string_view text);
/// The bytes of a key as a view of it.
[[nodiscard]] std::string_view view(const ScramKey& key) noexcept;
/// `a` XOR `b`, both of `scram_key_size` bytes.
[[nodiscard]] ScramKey exclusive_or(std::string_view a, const ScramKey& b) noexcept;
/// SaltedPassword: PBKDF2 with HMAC-SHA-256.
[[nodiscard]] SecretBytes salted_password(std::string_view password, std::string_view salt, std::uint32_t iterations);
/// ClientKey of a SaltedPassword.
[[nodiscard]] SecretBytes client_key_of_salted(const SecretBytes& salted);
/// ServerKey of a SaltedPassword.
[[nodiscard]] ScramKey server_key_of_salted(const SecretBytes& salted);

/// Splits `name=value` off the front of a SCRAM message and steps behind the comma that follows. The value, or null
/// data if the next attribute is another one.
[[nodiscard]] std::string_view take_attribute(std::string_view& message, char name) noexcept;
/// Whether a nonce consists of printable ASCII without commas, and of at least one character.
[[nodiscard]] bool is_nonce(std::string_view text) noexcept;

}  // namespace turnout::protocol
