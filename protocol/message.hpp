/// \file
/// The alphabet of the PostgreSQL wire: message types by the manual's names, sizes, transaction status.
/// Source of the rules: PostgreSQL manual, "Frontend/Backend Protocol", versions 3.0 and 3.2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace turnout::protocol {

/// Types of the messages that a client sends after its StartupMessage. `password` is the byte shared by
/// PasswordMessage, SASLInitialResponse, SASLResponse and GSSResponse; the state of the login tells them apart.
enum class FrontendType : char {
    bind = 'B',
    close = 'C',
    copy_data = 'd',
    copy_done = 'c',
    copy_fail = 'f',
    describe = 'D',
    execute = 'E',
    flush = 'H',
    function_call = 'F',
    parse = 'P',
    password = 'p',
    query = 'Q',
    sync = 'S',
    terminate = 'X',
};

/// Types of the messages that a server sends.
enum class BackendType : char {
    authentication = 'R',
    backend_key_data = 'K',
    bind_complete = '2',
    close_complete = '3',
    command_complete = 'C',
    copy_both_response = 'W',
    copy_data = 'd',
    copy_done = 'c',
    copy_in_response = 'G',
    copy_out_response = 'H',
    data_row = 'D',
    empty_query_response = 'I',
    error_response = 'E',
    function_call_response = 'V',
    negotiate_protocol_version = 'v',
    no_data = 'n',
    notice_response = 'N',
    notification_response = 'A',
    parameter_description = 't',
    parameter_status = 'S',
    parse_complete = '1',
    portal_suspended = 's',
    ready_for_query = 'Z',
    row_description = 'T',
};

/// What ReadyForQuery says about the transaction.
enum class TransactionStatus : char {
    idle = 'I',            ///< no transaction block
    in_transaction = 'T',  ///< in a transaction block
    failed = 'E',          ///< in a failed transaction block; everything but ROLLBACK is refused
};

/// Bytes before a body: the type and the 32-bit length.
inline constexpr std::size_t header_size = 5;
/// Largest value of a message's length field (it counts itself, not the type byte): PostgreSQL's allocation limit.
inline constexpr std::uint32_t max_message_length = (1U << 30U) - 1U;
/// Largest first packet of a connection, length field included (PostgreSQL's MAX_STARTUP_PACKET_LENGTH).
inline constexpr std::uint32_t max_startup_length = 10'000;
/// Longest secret of a cancel key in protocol 3.2, in bytes; protocol 3.0 has exactly `min_cancel_secret`.
inline constexpr std::size_t max_cancel_secret = 256;
/// Length of a cancel key's secret in protocol 3.0, the shortest allowed in 3.2, in bytes.
inline constexpr std::size_t min_cancel_secret = 4;

/// One message from a client. `body` excludes type and length; it views the bytes it was read from.
struct FrontendMessage {
    FrontendType type;
    std::string_view body;
};

/// One message from a server. `body` excludes type and length; it views the bytes it was read from.
struct BackendMessage {
    BackendType type;
    std::string_view body;
};

/// Whether a byte is a type that a client may send in an established session (`p` belongs to the login only).
[[nodiscard]] constexpr bool is_session_type(char byte) noexcept {
    switch (static_cast<FrontendType>(byte)) {
        case FrontendType::bind:
        case FrontendType::close:
        case FrontendType::copy_data:
        case FrontendType::copy_done:
        case FrontendType::copy_fail:
        case FrontendType::describe:
        case FrontendType::execute:
        case FrontendType::flush:
        case FrontendType::function_call:
        case FrontendType::parse:
        case FrontendType::query:
        case FrontendType::sync:
        case FrontendType::terminate: return true;
        case FrontendType::password: break;
    }
    return false;
}

/// Whether a server may send this message at any time, unasked, also to an idle session.
[[nodiscard]] constexpr bool is_asynchronous(BackendType type) noexcept {
    return type == BackendType::notice_response || type == BackendType::parameter_status ||
           type == BackendType::notification_response;
}

}  // namespace turnout::protocol
