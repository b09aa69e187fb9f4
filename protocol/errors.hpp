/// \file
/// ErrorResponse and NoticeResponse: ordered fields, each a code byte and a text.
#pragma once

#include "protocol/message.hpp"
#include "protocol/reader.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace turnout::protocol {

/// Codes of the fields that turnout itself reads or writes. Others are carried as they are.
enum class ErrorField : char {
    severity = 'S',                ///< may be translated
    severity_not_localised = 'V',  ///< always ERROR, FATAL, PANIC, WARNING, NOTICE, DEBUG, INFO or LOG
    sqlstate = 'C',
    message = 'M',
    detail = 'D',
    hint = 'H',
};

/// The fields of an ErrorResponse or a NoticeResponse, in their order. Views into the body.
struct ErrorFields {
    struct Field {
        char code = 0;
        std::string_view value;
    };
    std::vector<Field> fields;

    /// First value of a field, or an empty view: a hostile server may leave any of them out.
    [[nodiscard]] std::string_view find(ErrorField field) const noexcept;
    /// Five characters, or an empty view if the server sent none or nonsense.
    [[nodiscard]] std::string_view sqlstate() const noexcept;
    /// Whether the server ends the session with it: the severity is FATAL or PANIC.
    [[nodiscard]] bool fatal() const noexcept;
};

/// Reads the body of an ErrorResponse or a NoticeResponse.
[[nodiscard]] WireError parse(std::string_view body, ErrorFields& out);

/// SQLSTATE of an ErrorResponse's body without reading all of it, or an empty view. Allocates nothing; `body` may be
/// cut.
[[nodiscard]] std::string_view sqlstate_of(std::string_view body) noexcept;

/// The whole message again, `type` being error_response or notice_response.
void append(std::string& out, BackendType type, const ErrorFields& message);

/// How grave an error or a notice is.
enum class Severity { error, fatal, warning, notice, info };

/// An error or a notice of our own. `message` and what follows it are written for the person who reads the client's
/// log: what was wrong, then what to do. Empty detail and hint are left out.
struct ErrorReport {
    Severity severity = Severity::error;
    std::string_view sqlstate;
    std::string_view message;
    std::string_view detail = {};
    std::string_view hint = {};
};

/// Appends an ErrorResponse (error, fatal) or a NoticeResponse (warning, notice, info).
void append(std::string& out, const ErrorReport& report);

/// The same as a string of its own.
[[nodiscard]] std::string make_error(Severity severity, std::string_view sqlstate, std::string_view message,
                                     std::string_view detail = {}, std::string_view hint = {});

}  // namespace turnout::protocol
