#include "protocol/passwords.hpp"

#include "protocol/md5.hpp"
#include "protocol/scram.hpp"
#include "protocol/scram_keys.hpp"

namespace turnout::protocol {

StoredPassword kind_of_password(std::string_view stored) noexcept {
    if (stored.empty()) return StoredPassword::none;
    if (is_md5_verifier(stored)) return StoredPassword::md5;
    if (parse_scram_verifier(stored)) return StoredPassword::scram;
    // What looks like a verifier and is broken is nobody's password: who has read it must not get in with it.
    constexpr std::size_t md5_size = 35;
    const bool broken =
        stored.starts_with("SCRAM-SHA-256$") || (stored.starts_with("md5") && stored.size() == md5_size);
    return broken ? StoredPassword::none : StoredPassword::plain;
}

bool check_password(std::string_view user, std::string_view password, std::string_view stored) {
    if (password.empty()) return false;
    switch (kind_of_password(stored)) {
        case StoredPassword::none: return false;
        case StoredPassword::scram: return client_key_of(password, stored).has_value();
        case StoredPassword::md5: {
            const auto verifier = make_md5_verifier(user, password);
            return verifier && equal_in_constant_time(*verifier, stored);
        }
        case StoredPassword::plain:
            // Digests have one length, so the comparison does not tell how long the stored password is.
            return equal_in_constant_time(view(sha256(password)), view(sha256(stored)));
    }
    return false;
}

std::optional<SecretBytes> client_key_of(std::string_view password, std::string_view stored) {
    const std::optional<ScramVerifier> verifier = parse_scram_verifier(stored);
    if (!verifier || password.empty()) return std::nullopt;
    SecretBytes key = client_key_of_salted(salted_password(password, verifier->salt, verifier->iterations));
    if (!equal_in_constant_time(view(sha256(key.reveal())), view(verifier->stored_key))) return std::nullopt;
    return key;
}

}  // namespace turnout::protocol
