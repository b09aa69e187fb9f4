// A server connection that carries, will carry or has carried a session.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "control/data_plane.hpp"
#include "protocol/framing.hpp"
#include "proxy/backend_login.hpp"
#include "proxy/connector.hpp"
#include "proxy/credentials.hpp"
#include "proxy/exchange.hpp"
#include "proxy/shared.hpp"
#include "proxy/stream.hpp"

namespace turnout::proxy {

/// A session advisory lock as pg_locks tells it: one row for each key and mode, however often it was taken.
struct AdvisoryLock {
    std::uint32_t classid = 0;
    std::uint32_t objid = 0;
    bool two_keys = false;  ///< (int, int) instead of (bigint)
    bool shared = false;

    auto operator<=>(const AdvisoryLock&) const = default;
};

/// What must stand on a backend before the gate opens to it. Sorted, so that two readings can be compared.
struct Holdings {
    std::vector<std::string> channels;  ///< LISTEN
    std::vector<AdvisoryLock> locks;

    bool empty() const { return channels.empty() && locks.empty(); }
    bool operator==(const Holdings&) const = default;
};

/// Plain data with a stream; its session decides what is done with it. Used by its worker's thread only.
struct Backend {
    Backend(Side on, std::unique_ptr<Stream> connected, Peer where)
        : side(on), stream(std::move(connected)), peer(std::move(where)) {}

    Side side;
    std::unique_ptr<Stream> stream;
    Peer peer;
    std::int32_t pid = 0;
    std::string key;
    Parameters parameters;  ///< reported settings as they are now
    std::string notices;    ///< whole messages that came during the login
    protocol::FrameScanner scanner{protocol::Stream::backend};
    bool said_fatal = false;                ///< the server has told the client why it ends the session
    std::string stash;                      ///< the beginning of a message that is not complete yet
    Exchange* exchange = nullptr;           ///< not null: replies go there instead of to the client
    std::uint64_t replayed_state = 0;       ///< version of the session's state that was replayed here; 0: none
    std::uint64_t replayed_statements = 0;  ///< the statement book's epoch that was replayed here
    std::map<std::string, std::string, std::less<>> statement_types;  ///< of statements that were made here, by name
    Holdings holdings;                                                ///< what was brought here
    std::size_t planned = 0;         ///< so many of the session's used statements were planned here
    std::string kept_notifications;  ///< whole messages that came between the gate's opening and the move
};

/// Replaces a value, or adds it. False: there would be more of them than any server reports.
bool set_parameter(Parameters& parameters, std::string_view name, std::string_view value);

struct LoginFailure {
    std::string refusal;  ///< the server's own ErrorResponse, or empty
    std::string reason;   ///< for the log, and for the client where the server said nothing
};
using BackendResult = std::variant<std::shared_ptr<Backend>, LoginFailure>;

/// Connects to a side and logs in with the session's startup parameters (user and database among them).
Task<BackendResult> open_backend(boost::asio::io_context& context, Side side, std::shared_ptr<const Runtime> runtime,
                                 Parameters startup, const Credentials& credentials);

/// Sends a cancel request for what runs on a backend with this key and waits until the server has closed the
/// connection: only then can it no longer hit a later statement.
Task<void> send_cancel(boost::asio::io_context& context, Side side, std::shared_ptr<const Runtime> runtime, Peer peer,
                       bool encrypted, std::int32_t pid, std::string key);

}  // namespace turnout::proxy
