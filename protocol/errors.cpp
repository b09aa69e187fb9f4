#include "protocol/errors.hpp"

#include <algorithm>

#include "protocol/writer.hpp"

namespace turnout::protocol {

namespace {

bool is_sqlstate(std::string_view text) noexcept {
    return text.size() == 5 && std::all_of(text.begin(), text.end(),
                                           [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
}

std::string_view severity_name(Severity severity) noexcept {
    switch (severity) {
        case Severity::error: return "ERROR";
        case Severity::fatal: return "FATAL";
        case Severity::warning: return "WARNING";
        case Severity::notice: return "NOTICE";
        case Severity::info: return "INFO";
    }
    return "ERROR";
}

}  // namespace

std::string_view ErrorFields::find(ErrorField field) const noexcept {
    for (const Field& candidate : fields) {
        if (candidate.code == static_cast<char>(field)) return candidate.value;
    }
    return {};
}

std::string_view ErrorFields::sqlstate() const noexcept {
    const std::string_view state = find(ErrorField::sqlstate);
    return is_sqlstate(state) ? state : std::string_view{};
}

bool ErrorFields::fatal() const noexcept {
    std::string_view severity = find(ErrorField::severity_not_localised);
    if (severity.empty()) severity = find(ErrorField::severity);
    return severity == "FATAL" || severity == "PANIC";
}

WireError parse(std::string_view body, ErrorFields& out) {
    Reader reader{body};
    out.fields.clear();
    for (;;) {
        const char code = reader.byte();
        if (code == '\0') return reader.finish();
        const std::string_view value = reader.string();
        if (reader.ok()) out.fields.push_back({code, value});
    }
}

std::string_view sqlstate_of(std::string_view body) noexcept {
    Reader reader{body};
    for (;;) {
        const char code = reader.byte();
        if (code == '\0') return {};
        const std::string_view value = reader.string();
        if (code == static_cast<char>(ErrorField::sqlstate)) return is_sqlstate(value) ? value : std::string_view{};
    }
}

void append(std::string& out, BackendType type, const ErrorFields& message) {
    Writer writer{out};
    writer.begin(type);
    for (const ErrorFields::Field& field : message.fields) writer.byte(field.code).string(field.value);
    writer.byte('\0').end();
}

void append(std::string& out, const ErrorReport& report) {
    const std::string_view severity = severity_name(report.severity);
    const bool error = report.severity == Severity::error || report.severity == Severity::fatal;
    Writer writer{out};
    writer.begin(error ? BackendType::error_response : BackendType::notice_response);
    const auto field = [&writer](ErrorField code, std::string_view value) {
        if (!value.empty()) writer.byte(static_cast<char>(code)).string(value);
    };
    field(ErrorField::severity, severity);
    field(ErrorField::severity_not_localised, severity);
    field(ErrorField::sqlstate, report.sqlstate);
    field(ErrorField::message, report.message);
    field(ErrorField::detail, report.detail);
    field(ErrorField::hint, report.hint);
    writer.byte('\0').end();
}

std::string make_error(Severity severity, std::string_view sqlstate, std::string_view message, std::string_view detail,
                       std::string_view hint) {
    std::string out;
    append(out, ErrorReport{severity, sqlstate, message, detail, hint});
    return out;
}

}  // namespace turnout::protocol
