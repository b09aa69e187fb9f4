#include "proxy/net_address.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace turnout::proxy {
namespace {

/// Nothing for families other than IPv4 and IPv6.
std::optional<NetAddress> from_sockaddr(const sockaddr* address) {
    NetAddress result;
    if (address == nullptr) return std::nullopt;
    if (address->sa_family == AF_INET) {
        result.family = AF_INET;
        std::memcpy(result.bytes.data(), &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, 4);
        return result;
    }
    if (address->sa_family != AF_INET6) return std::nullopt;
    const in6_addr& in = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&in);
    result.family = mapped ? AF_INET : AF_INET6;
    std::memcpy(result.bytes.data(), in.s6_addr + (mapped ? 12 : 0), result.size());
    return result;
}

}  // namespace

std::string to_string(const NetAddress& address) {
    if (address.family == AF_UNIX) return "[local]";
    char text[INET6_ADDRSTRLEN] = "???";
    if (address.size() > 0) ::inet_ntop(address.family, address.bytes.data(), text, sizeof text);
    return text;
}

std::optional<NetAddress> parse_net_address(std::string_view text) {
    const std::string numeric(text.substr(0, text.find('%')));
    for (const int family : {AF_INET, AF_INET6}) {
        NetAddress address;
        address.family = family;
        if (::inet_pton(family, numeric.c_str(), address.bytes.data()) == 1) return address;
    }
    return std::nullopt;
}

std::optional<NetAddress> prefix_mask(int family, unsigned bits) {
    NetAddress mask;
    mask.family = family;
    if (bits > 8 * mask.size()) return std::nullopt;
    for (std::uint8_t& byte : mask.bytes) {
        const unsigned here = std::min(bits, 8U);
        byte = static_cast<std::uint8_t>(0xFF00U >> here);
        bits -= here;
    }
    return mask;
}

bool same_network(const NetAddress& left, const NetAddress& right, const NetAddress& mask) {
    if (left.family != right.family || left.family != mask.family) return false;
    for (std::size_t i = 0; i < left.size(); ++i) {
        if (((left.bytes[i] ^ right.bytes[i]) & mask.bytes[i]) != 0) return false;
    }
    return true;
}

NetAddress peer_address(int socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    NetAddress unknown;
    unknown.family = AF_UNSPEC;
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return unknown;
    if (address.ss_family == AF_UNIX) return {};
    return from_sockaddr(reinterpret_cast<const sockaddr*>(&address)).value_or(unknown);
}

std::vector<Interface> own_interfaces() {
    ifaddrs* first = nullptr;
    std::vector<Interface> interfaces;
    if (::getifaddrs(&first) != 0) return interfaces;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(first, ::freeifaddrs);
    for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
        const auto address = from_sockaddr(entry->ifa_addr);
        const auto mask = from_sockaddr(entry->ifa_netmask);
        if (address && mask) interfaces.push_back({*address, *mask});
    }
    return interfaces;
}

}  // namespace turnout::proxy
