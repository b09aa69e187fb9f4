/// \file
/// Passwords in the clear (over TLS) against what is stored of them.
#pragma once

#include "protocol/secret.hpp"

#include <optional>
#include <string_view>

namespace turnout::protocol {

/// What is stored for a role.
enum class StoredPassword { none, scram, md5, plain };

/// Which scheme pg_authid.rolpassword, or an auth file's second column, has. Text that is neither a SCRAM verifier nor
/// an md5 one is a plain password; empty text, and what looks like a verifier but is broken, is none.
[[nodiscard]] StoredPassword kind_of_password(std::string_view stored) noexcept;

/// Whether `password` is the one that `stored` was made of; constant time in the secrets. An empty password never
/// fits, as in PostgreSQL. A password that is not ASCII must come as SASLprep leaves it (nearly all do).
[[nodiscard]] bool check_password(std::string_view user, std::string_view password, std::string_view stored);

/// The ClientKey that this password gives with the salt and iterations of `stored`; nothing unless `stored` is a SCRAM
/// verifier that the password fits. With it a session that gave its password in the clear can be carried like any
/// other.
[[nodiscard]] std::optional<SecretBytes> client_key_of(std::string_view password, std::string_view stored);

}  // namespace turnout::protocol
