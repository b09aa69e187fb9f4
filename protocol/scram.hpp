/// \file
/// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) as PostgreSQL speaks them: both sides as machines without
/// I/O, clock or randomness. The server side recovers the ClientKey from the client's proof; with it the client side
/// logs in elsewhere as that client, as long as the verifier there is the same.
#pragma once

#include "protocol/secret.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace turnout::protocol {

inline constexpr std::string_view scram_sha_256 = "SCRAM-SHA-256";
inline constexpr std::string_view scram_sha_256_plus = "SCRAM-SHA-256-PLUS";
/// Length of every key in SCRAM-SHA-256, in bytes.
inline constexpr std::size_t scram_key_size = 32;
/// Longest SCRAM message taken from a peer, in bytes.
inline constexpr std::size_t max_scram_message = 4096;
/// Most iterations taken from a stored verifier.
inline constexpr std::uint32_t max_scram_iterations = 10'000'000;
/// Most iterations that a server may ask a client with a password for: they are computed on a thread that serves
/// others, so a hostile server must not buy more than some tenths of a second of it. PostgreSQL's default is 4096. A
/// client with a ClientKey computes nothing.
inline constexpr std::uint32_t max_scram_client_iterations = 600'000;

using ScramKey = std::array<std::uint8_t, scram_key_size>;

/// What a server keeps of a password: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, base64.
struct ScramVerifier {
    std::uint32_t iterations = 0;
    std::string salt;  ///< raw bytes
    ScramKey stored_key{};
    ScramKey server_key{};

    friend bool operator==(const ScramVerifier&, const ScramVerifier&) = default;
};

/// Reads pg_authid.rolpassword; nothing if it is not a well-formed SCRAM-SHA-256 verifier.
[[nodiscard]] std::optional<ScramVerifier> parse_scram_verifier(std::string_view text);
/// The text form that parse_scram_verifier() reads.
[[nodiscard]] std::string to_string(const ScramVerifier& verifier);
/// Computes the verifier of a password. The password is taken as it is: SASLprep changes nothing in ASCII, and for
/// other text PostgreSQL's own clients have applied it.
[[nodiscard]] ScramVerifier make_scram_verifier(std::string_view password, std::string_view salt,
                                                std::uint32_t iterations);
/// A verifier that no password matches, for a user who does not exist: the salt depends on the name and on a secret of
/// the process, so that asking twice tells nothing.
[[nodiscard]] ScramVerifier mock_scram_verifier(std::string_view user, std::string_view secret,
                                                std::uint32_t iterations = 4096);

/// What a SCRAM machine wants done.
struct ScramStep {
    enum class Action : std::uint8_t {
        send,    ///< send `message` (SASLContinue / SASLResponse) and wait for the peer's next
        done,    ///< the exchange has succeeded; a server sends `message` in SASLFinal
        failed,  ///< it has not; `sqlstate` and `error` say why
    };
    Action action = Action::failed;
    std::string message;
    std::string_view sqlstate = {};  ///< 28P01 wrong password, 08P01 malformed, 28000 otherwise
    std::string error;               ///< for the log, and for the client unless sqlstate is 28P01; holds no secret
};

/// The server's half. Feed client-first, then client-final.
class ScramServer {
  public:
    /// What the connection offers for channel binding.
    struct Binding {
        bool offered = false;   ///< SCRAM-SHA-256-PLUS was in our list of mechanisms
        std::string data = {};  ///< tls-server-end-point: the hash of our certificate
    };

    /// `nonce` is our part of the nonce: at least 18 random bytes in base64, or any printable text without commas.
    /// `user_exists` false makes the exchange a mock: it looks the same and always fails.
    ScramServer(ScramVerifier verifier, bool user_exists, std::string nonce, Binding binding);

    /// client-first, from SASLInitialResponse. The user name in it is ignored, as PostgreSQL does.
    [[nodiscard]] ScramStep on_client_first(std::string_view mechanism, std::string_view message);
    /// client-final, from SASLResponse.
    [[nodiscard]] ScramStep on_client_final(std::string_view message);
    /// The ClientKey, after `done`; can be taken once.
    [[nodiscard]] SecretBytes take_client_key() noexcept { return std::move(client_key_); }

  private:
    enum class Phase : std::uint8_t { client_first, client_final, over };
    [[nodiscard]] ScramStep fail(std::string_view sqlstate, std::string error);
    [[nodiscard]] std::optional<ScramStep> read_gs2_header(std::string_view& message, bool plus);
    [[nodiscard]] bool verify_proof(std::string_view proof, std::string_view auth_message);

    ScramVerifier verifier_;
    Binding binding_;
    std::string nonce_;  // ours, then the whole one
    std::string gs2_header_;
    std::string client_first_bare_;
    std::string server_first_;
    SecretBytes client_key_;
    Phase phase_ = Phase::client_first;
    bool user_exists_;
    bool bound_ = false;
};

/// The client's half. Feed server-first, then server-final.
class ScramClient {
  public:
    /// What the connection knows of channel binding.
    enum class Binding : std::uint8_t {
        none,         ///< no TLS: "n"
        not_offered,  ///< TLS, but the server did not offer PLUS: "y"
        bind,         ///< use SCRAM-SHA-256-PLUS with the data given
    };

    /// Logs in with a password (wiped when done).
    ScramClient(SecretBytes password, std::string nonce, Binding binding, std::string binding_data = {});
    /// Logs in with a ClientKey. The server must show the verifier's own salt and iterations, else the exchange fails
    /// before any proof is sent: another verifier means another password.
    ScramClient(SecretBytes client_key, ScramVerifier verifier, std::string nonce, Binding binding,
                std::string binding_data = {});

    /// The mechanism to name in SASLInitialResponse.
    [[nodiscard]] std::string_view mechanism() const noexcept;
    /// client-first, to be sent in SASLInitialResponse.
    [[nodiscard]] std::string client_first();
    /// server-first, from SASLContinue: gives client-final, for SASLResponse.
    [[nodiscard]] ScramStep on_server_first(std::string_view message);
    /// server-final, from SASLFinal: `done` if the server has proved that it knows the verifier.
    [[nodiscard]] ScramStep on_server_final(std::string_view message);

  private:
    enum class Phase : std::uint8_t { client_first, server_first, server_final, over };
    [[nodiscard]] ScramStep fail(std::string_view sqlstate, std::string error);
    [[nodiscard]] bool prepare_keys(std::string_view salt, std::uint32_t iterations);
    [[nodiscard]] std::string gs2_header() const;

    SecretBytes password_;
    SecretBytes client_key_;
    std::optional<ScramVerifier> verifier_;
    ScramKey server_key_{};
    ScramKey stored_key_{};
    std::string nonce_;
    std::string binding_data_;
    std::string auth_message_;
    Binding binding_;
    Phase phase_ = Phase::client_first;
};

}  // namespace turnout::protocol
