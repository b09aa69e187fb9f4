// Logging in to a server on a client's behalf: a machine without I/O. The driver sends the StartupMessage, then feeds
// every message of the server until `done` or `failed`.
//
//   StartupMessage -> Authentication* … AuthenticationOk -> ParameterStatus*, BackendKeyData -> ReadyForQuery: done
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/data_plane.hpp"
#include "protocol/message.hpp"
#include "protocol/scram.hpp"
#include "proxy/credentials.hpp"
#include "proxy/parameters.hpp"

namespace turnout::proxy {

/// What the server told during the login.
struct LoggedIn {
    std::int32_t pid = 0;
    std::string key;        ///< empty: this server cannot be asked to cancel
    Parameters parameters;  ///< reported settings, in the server's order
    std::string notices;    ///< whole NoticeResponse messages, for the client
};

class BackendLogin {
  public:
    /// Most bytes of notices and settings that are held for the client: more is no login.
    static constexpr std::size_t most_held = 256 * 1024;

    struct Step {
        enum class Kind { wait, done, failed };
        Kind kind = Kind::wait;
        std::string send;     ///< to the server now
        std::string refusal;  ///< failed by the server: its ErrorResponse, whole, to be passed on as it is
        std::string reason;   ///< failed otherwise: a sentence
    };

    /// `credentials` must outlive the login. `binding`: tls-server-end-point of the server's certificate, empty without
    /// TLS. `wanted`: the side's channel_binding.
    BackendLogin(const Credentials& credentials, std::string nonce, bool tls, std::string binding,
                 control::ChannelBinding wanted = control::ChannelBinding::prefer)
        : credentials_(credentials),
          nonce_(std::move(nonce)),
          tls_(tls),
          binding_(std::move(binding)),
          wanted_(wanted) {}

    Step on_message(protocol::BackendType type, std::string_view body);
    LoggedIn take_result() { return std::move(result_); }

  private:
    Step on_authentication(std::string_view body);
    Step begin_scram(const std::vector<std::string_view>& mechanisms);
    static Step fail(std::string reason);
    static Step send_password(std::string_view password);
    bool too_much(std::size_t more);

    const Credentials& credentials_;
    std::string nonce_;
    bool tls_;
    std::string binding_;
    control::ChannelBinding wanted_;
    bool bound_ = false;
    std::optional<protocol::ScramClient> scram_;
    bool server_proved_ = false;
    bool authenticated_ = false;
    std::size_t held_ = 0;  ///< bytes of result_
    LoggedIn result_;
};

}  // namespace turnout::proxy
