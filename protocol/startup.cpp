#include "protocol/startup.hpp"

#include "protocol/message.hpp"
#include "protocol/writer.hpp"

namespace turnout::protocol {

namespace {

constexpr std::uint32_t cancel_code = 80'877'102;
constexpr std::uint32_t ssl_code = 80'877'103;
constexpr std::uint32_t gssenc_code = 80'877'104;
constexpr std::string_view option_prefix = "_pq_.";
constexpr std::size_t length_size = 4;

/// Any prefix of true, false, yes and no, of on and off those that tell them apart, 1 and 0; in any case (bool.c).
std::optional<bool> parse_bool(std::string_view text) noexcept {
    const auto abbreviates = [text](std::string_view word, std::size_t least) {
        if (text.size() < least || text.size() > word.size()) return false;
        for (std::size_t i = 0; i < text.size(); ++i) {
            const char lower = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + ('a' - 'A')) : text[i];
            if (lower != word[i]) return false;
        }
        return true;
    };
    if (abbreviates("true", 1) || abbreviates("yes", 1) || abbreviates("on", 2) || text == "1") return true;
    if (abbreviates("false", 1) || abbreviates("no", 1) || abbreviates("off", 2) || text == "0") return false;
    return std::nullopt;
}

BadStartup violation(std::string message) { return {"08P01", std::move(message)}; }

std::uint32_t version_number(ProtocolVersion version) noexcept {
    return (static_cast<std::uint32_t>(version.major) << 16U) | version.minor;
}

FirstPacket read_cancel(Reader& reader) {
    CancelRequest cancel;
    cancel.pid = reader.int32();
    cancel.secret = reader.rest();
    if (cancel.secret.size() < min_cancel_secret || cancel.secret.size() > max_cancel_secret) {
        return violation("invalid length of the key in a cancel request");
    }
    return cancel;
}

FirstPacket read_startup(Reader& reader, std::uint32_t code) {
    StartupMessage startup;
    startup.version = {static_cast<std::uint16_t>(code >> 16U), static_cast<std::uint16_t>(code)};
    if (startup.version.major != 3) {
        return BadStartup{"0A000", "unsupported frontend protocol " + std::to_string(startup.version.major) + "." +
                                       std::to_string(startup.version.minor) + ": server supports 3.0 to 3.2"};
    }
    for (;;) {
        const std::string_view name = reader.string();
        if (name.empty()) break;
        const std::string_view value = reader.string();
        if (!reader.ok()) break;
        (name.starts_with(option_prefix) ? startup.protocol_options : startup.parameters).push_back({name, value});
    }
    if (reader.finish()) return violation("invalid startup packet layout: expected terminator as last byte");
    if (startup.user().empty()) return BadStartup{"28000", "no PostgreSQL user name specified in startup packet"};
    return startup;
}

FirstPacket read_packet(Reader& reader, std::uint32_t length) {
    const std::uint32_t code = reader.uint32();
    if (code == cancel_code) return read_cancel(reader);
    if (code == ssl_code || code == gssenc_code) {
        if (length != 2 * length_size) return violation("invalid length of an encryption request");
        return code == ssl_code ? FirstPacket{SSLRequest{}} : FirstPacket{GSSENCRequest{}};
    }
    return read_startup(reader, code);
}

void append_request(std::string& out, std::uint32_t code) { Writer{out}.begin_untyped().uint32(code).end(); }

}  // namespace

std::optional<std::string_view> StartupMessage::find(std::string_view name) const noexcept {
    for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
        if (parameter->name == name) return parameter->value;
    }
    return std::nullopt;
}

std::string_view StartupMessage::user() const noexcept { return find("user").value_or(std::string_view{}); }

std::string_view StartupMessage::database() const noexcept {
    const std::string_view name = find("database").value_or(std::string_view{});
    return name.empty() ? user() : name;
}

std::optional<ReplicationKind> StartupMessage::replication() const noexcept {
    const std::string_view value = find("replication").value_or("false");
    if (value == "database") return ReplicationKind::database;
    const std::optional<bool> on = parse_bool(value);
    if (!on) return std::nullopt;
    return *on ? ReplicationKind::physical : ReplicationKind::none;
}

Classified classify_first_packet(std::string_view bytes) {
    constexpr char tls_handshake = 0x16;
    if (!bytes.empty() && bytes.front() == tls_handshake) return {DirectTLS{}, 0};
    if (bytes.size() < length_size) {
        // A length of at most 10,000 begins with a zero byte; anything else will never become a packet.
        if (!bytes.empty() && bytes.front() != '\0') return {violation("invalid length of startup packet"), 0};
        return {NeedsMore{length_size - bytes.size()}, 0};
    }
    Reader reader{bytes};
    const std::uint32_t length = reader.uint32();
    if (length < 2 * length_size || length > max_startup_length) {
        return {violation("invalid length of startup packet"), 0};
    }
    if (bytes.size() < length) return {NeedsMore{length - bytes.size()}, 0};
    Reader body{bytes.substr(length_size, length - length_size)};
    FirstPacket packet = read_packet(body, length);
    const bool bad = std::holds_alternative<BadStartup>(packet);
    return {std::move(packet), bad ? 0 : length};
}

Negotiation negotiate(const StartupMessage& startup) {
    Negotiation negotiation;
    negotiation.version = {3, static_cast<std::uint16_t>(startup.version.minor >= 2 ? 2 : 0)};
    for (const StartupMessage::Parameter& option : startup.protocol_options) {
        negotiation.unrecognised.push_back(option.name);
    }
    negotiation.send = negotiation.version != startup.version || !negotiation.unrecognised.empty();
    return negotiation;
}

void append(std::string& out, const Negotiation& negotiation) {
    append(out, NegotiateProtocolVersion{static_cast<std::int32_t>(version_number(negotiation.version)),
                                         negotiation.unrecognised});
}

void append(std::string& out, const StartupMessage& startup) {
    Writer writer{out};
    writer.begin_untyped().uint32(version_number(startup.version));
    for (const auto* list : {&startup.parameters, &startup.protocol_options}) {
        for (const StartupMessage::Parameter& parameter : *list) writer.string(parameter.name).string(parameter.value);
    }
    writer.byte('\0').end();
}

void append(std::string& out, const CancelRequest& cancel) {
    Writer{out}.begin_untyped().uint32(cancel_code).int32(cancel.pid).bytes(cancel.secret).end();
}

void append(std::string& out, SSLRequest) { append_request(out, ssl_code); }

void append(std::string& out, GSSENCRequest) { append_request(out, gssenc_code); }

}  // namespace turnout::protocol
