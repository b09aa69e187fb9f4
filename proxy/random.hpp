// Random bytes from OpenSSL's generator, for nonces, salts and cancel keys. Thread-safe.
#pragma once

#include <cstddef>
#include <string>

namespace turnout::proxy {

/// Raw bytes. Throws std::runtime_error if the generator has no entropy: nothing may go on without.
std::string random_bytes(std::size_t count);
/// A SCRAM nonce: base64 of 18 random bytes (RFC 5802, 5.1: printable, without a comma).
std::string random_nonce();

}  // namespace turnout::proxy
