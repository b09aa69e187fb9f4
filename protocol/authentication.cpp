#include "protocol/authentication.hpp"

#include <algorithm>

#include "protocol/writer.hpp"

namespace turnout::protocol {

namespace {

Writer& begin(Writer& writer, AuthenticationKind kind) {
    return writer.begin(BackendType::authentication).int32(static_cast<std::int32_t>(kind));
}

void append_kind(std::string& out, AuthenticationKind kind, std::string_view data = {}) {
    Writer writer{out};
    begin(writer, kind).bytes(data).end();
}

void read_mechanisms(Reader& reader, std::vector<std::string_view>& out) {
    for (;;) {
        const std::string_view mechanism = reader.string();
        if (mechanism.empty()) return;
        out.push_back(mechanism);
    }
}

}  // namespace

WireError parse(std::string_view body, Authentication& out) {
    Reader reader{body};
    out.kind = static_cast<AuthenticationKind>(reader.int32());
    out.salt = {};
    out.mechanisms.clear();
    out.data = {};
    switch (out.kind) {
        case AuthenticationKind::md5_password: {
            const std::string_view salt = reader.bytes(out.salt.size());
            std::copy(salt.begin(), salt.end(), out.salt.begin());
            break;
        }
        case AuthenticationKind::sasl: read_mechanisms(reader, out.mechanisms); break;
        case AuthenticationKind::ok:
        case AuthenticationKind::cleartext_password: break;
        default: out.data = reader.rest();
    }
    return reader.finish();
}

void append_authentication_ok(std::string& out) { append_kind(out, AuthenticationKind::ok); }

void append_authentication_cleartext(std::string& out) { append_kind(out, AuthenticationKind::cleartext_password); }

void append_authentication_md5(std::string& out, const std::array<char, 4>& salt) {
    append_kind(out, AuthenticationKind::md5_password, {salt.data(), salt.size()});
}

void append_authentication_sasl(std::string& out, std::initializer_list<std::string_view> mechanisms) {
    Writer writer{out};
    begin(writer, AuthenticationKind::sasl);
    for (const std::string_view mechanism : mechanisms) writer.string(mechanism);
    writer.byte('\0').end();
}

void append_authentication_sasl_continue(std::string& out, std::string_view data) {
    append_kind(out, AuthenticationKind::sasl_continue, data);
}

void append_authentication_sasl_final(std::string& out, std::string_view data) {
    append_kind(out, AuthenticationKind::sasl_final, data);
}

}  // namespace turnout::protocol
