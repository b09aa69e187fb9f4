/// \file
/// The messages of an established session that a client sends: plain aggregates named as in PostgreSQL's manual, with
/// free parse() and append() functions. parse() takes a body (no type, no length) and fills views into it; it gives an
/// error for truncated, unterminated or trailing bytes. append() adds the whole message to a buffer.
/// Vectors in the aggregates are cleared and refilled by parse(), so a reused aggregate does not allocate.
#pragma once

#include "protocol/reader.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::protocol {

/// Query: one string with any number of SQL commands.
struct Query {
    std::string_view text;
};

/// Parse: makes a prepared statement; an empty name is the unnamed one.
struct Parse {
    std::string_view statement;
    std::string_view query;
    std::vector<std::uint32_t> parameter_types;  ///< OIDs; 0 lets the server infer the type
};

/// Bind: makes a portal of a prepared statement.
struct Bind {
    std::string_view portal;
    std::string_view statement;
    std::vector<std::int16_t> parameter_formats;  ///< none: all text; one: for all; else one each (0 text, 1 binary)
    std::vector<std::optional<std::string_view>> parameters;  ///< nullopt is NULL
    std::vector<std::int16_t> result_formats;

    /// Format of parameter `index` (from 0), by the rules of `parameter_formats`.
    [[nodiscard]] std::int16_t format_of(std::size_t index) const noexcept;
};

/// What Describe and Close are about.
enum class Target : char { statement = 'S', portal = 'P' };

/// Describe a statement or a portal.
struct Describe {
    Target target = Target::statement;
    std::string_view name;
};

/// Close a statement or a portal.
struct Close {
    Target target = Target::statement;
    std::string_view name;
};

/// Execute a portal; `max_rows` 0 means all.
struct Execute {
    std::string_view portal;
    std::int32_t max_rows = 0;
};

/// FunctionCall, the old fast path (large objects through JDBC).
struct FunctionCall {
    std::uint32_t function = 0;  ///< OID
    std::vector<std::int16_t> argument_formats;
    std::vector<std::optional<std::string_view>> arguments;
    std::int16_t result_format = 0;
};

/// CopyFail: the client gives a COPY up.
struct CopyFail {
    std::string_view message;
};

/// PasswordMessage: a password in the clear, or the answer to an MD5 salt. Its append() puts a secret into the buffer:
/// wipe it (see secret.hpp) when it is sent.
struct PasswordMessage {
    std::string_view password;
};

/// SASLInitialResponse: the mechanism chosen and its first message, if it has one.
struct SASLInitialResponse {
    std::string_view mechanism;
    std::optional<std::string_view> data;
};

/// SASLResponse: a later message of the mechanism.
struct SASLResponse {
    std::string_view data;
};

[[nodiscard]] WireError parse(std::string_view body, Query& out);
[[nodiscard]] WireError parse(std::string_view body, Parse& out);
[[nodiscard]] WireError parse(std::string_view body, Bind& out);
[[nodiscard]] WireError parse(std::string_view body, Describe& out);
[[nodiscard]] WireError parse(std::string_view body, Close& out);
[[nodiscard]] WireError parse(std::string_view body, Execute& out);
[[nodiscard]] WireError parse(std::string_view body, FunctionCall& out);
[[nodiscard]] WireError parse(std::string_view body, CopyFail& out);
[[nodiscard]] WireError parse(std::string_view body, PasswordMessage& out);
[[nodiscard]] WireError parse(std::string_view body, SASLInitialResponse& out);
[[nodiscard]] WireError parse(std::string_view body, SASLResponse& out);

void append(std::string& out, const Query& message);
void append(std::string& out, const Parse& message);
void append(std::string& out, const Bind& message);
void append(std::string& out, const Describe& message);
void append(std::string& out, const Close& message);
void append(std::string& out, const Execute& message);
void append(std::string& out, const FunctionCall& message);
void append(std::string& out, const CopyFail& message);
void append(std::string& out, const PasswordMessage& message);
void append(std::string& out, const SASLInitialResponse& message);
void append(std::string& out, const SASLResponse& message);

/// Messages without a body.
void append_sync(std::string& out);
void append_flush(std::string& out);
void append_terminate(std::string& out);
void append_copy_done(std::string& out);

}  // namespace turnout::protocol
