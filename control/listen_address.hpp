#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace turnout::control {

struct HostAndPort {
    std::string host;  ///< without the brackets of IPv6
    std::uint16_t port = 0;
};

/// Takes "host:port" or "[v6]:port" apart; port 0 means any free one. Nothing if it is not of that form.
std::optional<HostAndPort> parse_host_and_port(std::string_view text);

/// What is wrong with an address to listen on, as a sentence, or nothing. `unix_allowed`: "unix:/directory" is right
/// too.
std::optional<std::string> listen_address_problem(std::string_view text, bool unix_allowed);

}  // namespace turnout::control
