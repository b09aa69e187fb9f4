/// \file
/// PostgreSQL's md5 password scheme. It is weak and kept for old clients only.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace turnout::protocol {

/// Whether pg_authid.rolpassword is an md5 verifier: "md5" and 32 lower-case hexadecimal digits.
[[nodiscard]] bool is_md5_verifier(std::string_view text) noexcept;
/// "md5" and the hexadecimal digest of password and user name. Nothing if this OpenSSL refuses MD5 (FIPS).
[[nodiscard]] std::optional<std::string> make_md5_verifier(std::string_view user, std::string_view password);
/// What a client answers to AuthenticationMD5Password: it needs the verifier only. Nothing if `verifier` is none, or if
/// this OpenSSL refuses MD5.
[[nodiscard]] std::optional<std::string> md5_response(std::string_view verifier, const std::array<char, 4>& salt);
/// Whether a client's answer to `salt` fits the verifier; constant time.
[[nodiscard]] bool check_md5_response(std::string_view verifier, const std::array<char, 4>& salt,
                                      std::string_view response);

}  // namespace turnout::protocol
