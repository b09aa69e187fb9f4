// What a session may log in with, on either side, for as long as it lives. As good as a login: never logged, never
// copied by accident, wiped when the session ends.
#pragma once

#include <optional>
#include <string>

#include "protocol/scram.hpp"
#include "protocol/secret.hpp"

namespace turnout::proxy {

struct Credentials {
    std::string user;
    /// Recovered from the client's own proof; logs in wherever `verifier` is the role's.
    protocol::SecretBytes client_key;
    std::optional<protocol::ScramVerifier> verifier;
    /// "md5…" of pg_authid: enough to answer AuthenticationMD5Password.
    protocol::SecretBytes md5_verifier;
    /// Only where the client gave it in the clear or the auth file holds it.
    protocol::SecretBytes password;
};

}  // namespace turnout::proxy
