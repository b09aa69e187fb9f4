// How a client proves who it is: a machine without I/O. begin() and on_message() say what to send and whether the
// client is granted, refused, or has to answer.
//
//   trust:            begin -> granted
//   password:         begin -> ask(cleartext) -> granted | refused
//   md5:              begin -> ask(md5)       -> granted | refused
//   scram (and md5    begin -> ask(SASL) -> client-first -> ask(continue) -> client-final -> granted | refused
//   with a SCRAM role)
//
// A role that does not exist, or has no verifier of the kind that is wanted, is led through the whole of a mock
// exchange, so that a stranger learns nothing (PostgreSQL: auth-scram.c, mock_scram_secret).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "control/data_plane.hpp"
#include "proxy/credentials.hpp"

namespace turnout::proxy {

/// Random bytes and facts about the connection, given from outside so that the machine stays pure.
struct AuthenticationInput {
    control::AuthMethod method = control::AuthMethod::scram;
    control::RoleFacts role;
    std::string user;
    std::string nonce;           ///< base64 of at least 18 random bytes
    std::array<char, 4> salt{};  ///< for md5
    std::string mock_secret;     ///< a secret of the process
    bool tls = false;
    std::string channel_binding;  ///< tls-server-end-point of our certificate; empty: cannot be offered
};

class ClientAuthentication {
  public:
    struct Step {
        enum class Kind { ask, granted, refused };
        Kind kind = Kind::refused;
        std::string send;      ///< to the client first, whatever kind (not AuthenticationOk)
        std::string sqlstate;  ///< refused
        std::string message;   ///< refused: for the client
        std::string log;       ///< refused: the reason, for the log only
    };

    explicit ClientAuthentication(AuthenticationInput input) : in_(std::move(input)) {}

    Step begin();
    /// The body of a 'p' message.
    Step on_message(std::string_view body);
    /// After `granted`.
    Credentials take_credentials() { return std::move(credentials_); }

  private:
    enum class Phase { new_, password, md5, sasl_first, sasl_final, over };
    Step refuse(std::string log);
    Step malformed(const char* what);
    Step grant();
    Step begin_scram();
    Step on_password(std::string_view body);
    Step on_md5(std::string_view body);
    Step on_sasl_first(std::string_view body);
    Step on_sasl_final(std::string_view body);

    AuthenticationInput in_;
    Phase phase_ = Phase::new_;
    std::optional<protocol::ScramServer> scram_;
    Credentials credentials_;
};

}  // namespace turnout::proxy
