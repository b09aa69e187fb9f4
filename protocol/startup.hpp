/// \file
/// The first packet of a connection, before anything is known about the peer.
#pragma once

#include "protocol/backend_messages.hpp"
#include "protocol/reader.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace turnout::protocol {

/// A protocol version.
struct ProtocolVersion {
    std::uint16_t major = 3;
    std::uint16_t minor = 0;

    friend auto operator<=>(const ProtocolVersion&, const ProtocolVersion&) = default;
};

/// SSLRequest: may we speak TLS?
struct SSLRequest {};
/// GSSENCRequest: may we speak GSSAPI encryption?
struct GSSENCRequest {};
/// The first byte of a TLS ClientHello: direct TLS. Nothing has been consumed.
struct DirectTLS {};

/// CancelRequest. The secret views the packet.
struct CancelRequest {
    std::int32_t pid = 0;
    std::string_view secret;
};

/// What a session is for: SQL, the walsender's commands without a database, or both.
enum class ReplicationKind : std::uint8_t { none, physical, database };

/// StartupMessage. Names and values view the packet.
struct StartupMessage {
    struct Parameter {
        std::string_view name;
        std::string_view value;
    };
    ProtocolVersion version;
    std::vector<Parameter> parameters;        ///< in the client's order, `_pq_.` options apart; duplicates are kept
    std::vector<Parameter> protocol_options;  ///< those whose names begin with `_pq_.`

    /// The last value of a parameter (as PostgreSQL takes it), or nothing.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;
    /// `user`; never empty in a message that classify_first_packet() gave.
    [[nodiscard]] std::string_view user() const noexcept;
    /// `database`, which defaults to the user's name.
    [[nodiscard]] std::string_view database() const noexcept;
    /// `replication`: a Boolean in any of PostgreSQL's spellings, or "database". Nothing: the value is neither.
    [[nodiscard]] std::optional<ReplicationKind> replication() const noexcept;
};

/// Not all of the packet is there yet: at least `bytes` more are needed.
struct NeedsMore {
    std::size_t bytes = 0;
};

/// The packet cannot be served. Send an ErrorResponse with severity FATAL and close.
struct BadStartup {
    std::string_view sqlstate;
    std::string message;
};

/// What the first packet is.
using FirstPacket =
    std::variant<NeedsMore, DirectTLS, SSLRequest, GSSENCRequest, CancelRequest, StartupMessage, BadStartup>;

/// The result of reading a first packet.
struct Classified {
    FirstPacket packet;
    std::size_t size = 0;  ///< bytes of the packet: 0 for NeedsMore, DirectTLS and BadStartup
};

/// Reads the first packet from the bytes a client has sent so far. Never asks for more than `max_startup_length` bytes.
/// The caller ends the connection if bytes lie behind an SSLRequest or a GSSENCRequest (`size` < bytes.size()), and
/// allows each of the two once.
[[nodiscard]] Classified classify_first_packet(std::string_view bytes);

/// What to tell the client about versions and options before the login goes on.
struct Negotiation {
    ProtocolVersion version;                     ///< the one the session speaks: 3.0 or 3.2
    bool send = false;                           ///< whether NegotiateProtocolVersion must be sent
    std::vector<std::string_view> unrecognised;  ///< `_pq_.` names; views of the StartupMessage's packet
};

/// We speak 3.0 and 3.2 and know no `_pq_.` option. A client that asks for a minor version we lack is answered with the
/// newest one we have that is not above it (3.1, which never existed, gets 3.0; 3.9999 gets 3.2).
[[nodiscard]] Negotiation negotiate(const StartupMessage& startup);
/// The message for negotiate()'s answer.
void append(std::string& out, const Negotiation& negotiation);

/// A StartupMessage; `_pq_.` options follow the parameters.
void append(std::string& out, const StartupMessage& startup);
void append(std::string& out, const CancelRequest& cancel);
void append(std::string& out, SSLRequest request);
void append(std::string& out, GSSENCRequest request);

}  // namespace turnout::protocol
