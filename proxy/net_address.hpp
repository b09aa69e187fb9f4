// Addresses as pg_hba.conf compares them: numbers and masks, no ports.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::proxy {

/// An IPv4 or IPv6 address, AF_UNIX for a client on a Unix socket, or AF_UNSPEC: not known, matches nothing.
struct NetAddress {
    int family = AF_UNIX;
    std::array<std::uint8_t, 16> bytes{};  ///< network order; the first four for IPv4

    std::size_t size() const { return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0; }
    friend bool operator==(const NetAddress&, const NetAddress&) = default;
};

/// "10.0.0.1", "::1", "[local]", "???".
std::string to_string(const NetAddress& address);

/// A numeric address, without brackets or port; a zone ("fe80::1%eth0") is left out of account. Nothing: no address.
std::optional<NetAddress> parse_net_address(std::string_view text);

/// The mask with so many leading ones; nothing if the family has no room for them.
std::optional<NetAddress> prefix_mask(int family, unsigned bits);

/// True if both are of one family and agree where the mask has ones.
bool same_network(const NetAddress& left, const NetAddress& right, const NetAddress& mask);

/// The other end of a connected socket. An IPv4 client of an IPv6 socket is an IPv4 client.
NetAddress peer_address(int socket);

/// One of this machine's own addresses.
struct Interface {
    NetAddress address;
    NetAddress mask;
};
/// As they are now.
std::vector<Interface> own_interfaces();

}  // namespace turnout::proxy
