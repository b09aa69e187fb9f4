/// \file
/// The messages that a server sends, both to read them (proxy as client) and to write them (admin console, refusals,
/// login). Conventions as in frontend_messages.hpp. Errors and notices are in errors.hpp, Authentication* in
/// authentication.hpp.
#pragma once

#include "protocol/message.hpp"
#include "protocol/reader.hpp"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::protocol {

/// ReadyForQuery.
struct ReadyForQuery {
    TransactionStatus status = TransactionStatus::idle;
};

/// ParameterStatus: a reported setting and its value now.
struct ParameterStatus {
    std::string_view name;
    std::string_view value;
};

/// BackendKeyData: with it a client may cancel. The secret has 4 bytes in protocol 3.0, 4 to 256 in 3.2.
struct BackendKeyData {
    std::int32_t pid = 0;
    std::string_view secret;
};

/// CommandComplete.
struct CommandComplete {
    std::string_view tag;
};

/// NotificationResponse.
struct NotificationResponse {
    std::int32_t pid = 0;
    std::string_view channel;
    std::string_view payload;
};

/// One column of a RowDescription.
struct FieldDescription {
    std::string_view name;
    std::uint32_t table = 0;  ///< OID, 0 if the column is not a table's
    std::int16_t column = 0;  ///< attribute number, 0 if the column is not a table's
    std::uint32_t type = 25;  ///< OID; 25 is text
    std::int16_t type_size = -1;
    std::int32_t type_modifier = -1;
    std::int16_t format = 0;
};

/// RowDescription.
struct RowDescription {
    std::vector<FieldDescription> fields;
};

/// DataRow; nullopt is NULL.
struct DataRow {
    std::vector<std::optional<std::string_view>> values;
};

/// ParameterDescription: the types of a statement's parameters, as OIDs.
struct ParameterDescription {
    std::vector<std::uint32_t> types;
};

/// CopyInResponse, CopyOutResponse and CopyBothResponse have one form.
struct CopyResponse {
    char format = 0;  ///< 0 text, 1 binary
    std::vector<std::int16_t> column_formats;
};

/// NegotiateProtocolVersion.
struct NegotiateProtocolVersion {
    std::int32_t version = 0;                    ///< newest version supported, (major << 16) | minor
    std::vector<std::string_view> unrecognised;  ///< names of `_pq_.` options that are not supported
};

[[nodiscard]] WireError parse(std::string_view body, ReadyForQuery& out);
[[nodiscard]] WireError parse(std::string_view body, ParameterStatus& out);
[[nodiscard]] WireError parse(std::string_view body, BackendKeyData& out);
[[nodiscard]] WireError parse(std::string_view body, CommandComplete& out);
[[nodiscard]] WireError parse(std::string_view body, NotificationResponse& out);
[[nodiscard]] WireError parse(std::string_view body, RowDescription& out);
[[nodiscard]] WireError parse(std::string_view body, DataRow& out);
[[nodiscard]] WireError parse(std::string_view body, ParameterDescription& out);
[[nodiscard]] WireError parse(std::string_view body, CopyResponse& out);
[[nodiscard]] WireError parse(std::string_view body, NegotiateProtocolVersion& out);

void append(std::string& out, const ReadyForQuery& message);
void append(std::string& out, const ParameterStatus& message);
void append(std::string& out, const BackendKeyData& message);
void append(std::string& out, const CommandComplete& message);
void append(std::string& out, const NotificationResponse& message);
void append(std::string& out, const RowDescription& message);
void append(std::string& out, const DataRow& message);
void append(std::string& out, const ParameterDescription& message);
void append(std::string& out, const NegotiateProtocolVersion& message);
/// `type` is copy_in_response, copy_out_response or copy_both_response.
void append(std::string& out, BackendType type, const CopyResponse& message);

/// A message without a body: ParseComplete, BindComplete, CloseComplete, NoData, EmptyQueryResponse, PortalSuspended,
/// CopyDone.
void append_empty(std::string& out, BackendType type);
/// A RowDescription of text columns with these names.
void append_text_columns(std::string& out, std::initializer_list<std::string_view> names);

}  // namespace turnout::protocol
