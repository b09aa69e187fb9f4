// Self-signed certificates for servers that tests start.
#pragma once

#include <filesystem>
#include <string>

namespace turnout::support {

/// Writes a new P-256 key and a certificate signed by itself, valid for a day, for `localhost` and 127.0.0.1; the same
/// file is the root to verify it by. Its subject is `CN=common_name`. Both are made with the permissions that
/// PostgreSQL asks for (the key: owner only). Throws std::runtime_error.
void write_certificate(const std::filesystem::path& certificate, const std::filesystem::path& key,
                       const std::string& common_name = "localhost");

enum class Revoked { nothing, itself };

/// Writes the list of what the authority with this certificate and key has revoked, valid for a day: nothing, or the
/// authority itself. Throws std::runtime_error.
void write_revocation_list(const std::filesystem::path& list, const std::filesystem::path& certificate,
                           const std::filesystem::path& key, Revoked revoked);

/// What the list of this authority must be called in a directory of lists: the hash of its name, as OpenSSL finds it.
std::string revocation_list_name(const std::filesystem::path& certificate);

}  // namespace turnout::support
