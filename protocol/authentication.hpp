/// \file
/// The Authentication* family, which shares one type byte.
#pragma once

#include "protocol/reader.hpp"

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::protocol {

/// The number that tells Authentication* messages apart.
enum class AuthenticationKind : std::int32_t {
    ok = 0,
    kerberos_v5 = 2,
    cleartext_password = 3,
    md5_password = 5,
    gss = 7,
    gss_continue = 8,
    sspi = 9,
    sasl = 10,
    sasl_continue = 11,
    sasl_final = 12,
};

/// Any Authentication* message. Only the fields of its kind are filled.
struct Authentication {
    AuthenticationKind kind = AuthenticationKind::ok;
    std::array<char, 4> salt{};                ///< md5_password
    std::vector<std::string_view> mechanisms;  ///< sasl
    std::string_view data;                     ///< sasl_continue, sasl_final, gss_continue
};

/// Reads the body of an Authentication* message. An unknown number is not an error here: `kind` holds it.
[[nodiscard]] WireError parse(std::string_view body, Authentication& out);

void append_authentication_ok(std::string& out);
void append_authentication_cleartext(std::string& out);
void append_authentication_md5(std::string& out, const std::array<char, 4>& salt);
void append_authentication_sasl(std::string& out, std::initializer_list<std::string_view> mechanisms);
void append_authentication_sasl_continue(std::string& out, std::string_view data);
void append_authentication_sasl_final(std::string& out, std::string_view data);

}  // namespace turnout::protocol
