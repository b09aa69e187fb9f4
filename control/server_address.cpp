#include "control/server_address.hpp"

#include <libpq-fe.h>
#include <array>
#include <charconv>
#include <memory>
#include <string_view>
#include <utility>

#include "control/conninfo.hpp"

namespace turnout::control {
namespace {

/// libpq's environment variable for a parameter (PGPORT, PGSSLMODE, ...), or its compiled-in value; empty: none.
std::string from_environment(std::string_view keyword) {
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> defaults(PQconndefaults(), &PQconninfoFree);
    for (const PQconninfoOption* option = defaults.get(); option != nullptr && option->keyword != nullptr; ++option)
        if (option->keyword == keyword && option->val != nullptr) return option->val;
    return {};
}

std::vector<std::string> split(const std::string& list) {
    std::vector<std::string> parts;
    if (list.empty()) return parts;
    for (std::size_t begin = 0;;) {
        const std::size_t comma = list.find(',', begin);
        parts.push_back(list.substr(begin, comma - begin));
        if (comma == std::string::npos) return parts;
        begin = comma + 1;
    }
}

template <class Number>
Number number(const std::string& text, const char* what, Number least, Number most) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most)
        throw ConninfoError("'" + text + "' is no " + what + ": it must be a number from " + std::to_string(least) +
                            " to " + std::to_string(most));
    return value;
}

SslMode ssl_mode(const std::string& word) {
    constexpr std::array<std::pair<std::string_view, SslMode>, 6> kModes{{{"disable", SslMode::disable},
                                                                          {"allow", SslMode::allow},
                                                                          {"prefer", SslMode::prefer},
                                                                          {"require", SslMode::require},
                                                                          {"verify-ca", SslMode::verify_ca},
                                                                          {"verify-full", SslMode::verify_full}}};
    for (const auto& [name, mode] : kModes)
        if (name == word) return mode;
    throw ConninfoError("sslmode '" + word +
                        "' does not exist: use disable, allow, prefer, require, verify-ca or verify-full");
}

ChannelBinding channel_binding(const std::string& word) {
    if (word.empty() || word == "prefer") return ChannelBinding::prefer;
    if (word == "require") return ChannelBinding::require;
    if (word == "disable") return ChannelBinding::disable;
    throw ConninfoError("channel_binding '" + word + "' does not exist: use disable, prefer or require");
}

/// libpq's words; what is not given stays at our own default. `value` gives a keyword's value, or nothing.
template <class Value>
TcpSettings tcp_settings(const Value& value) {
    constexpr int kMost = 86400;
    TcpSettings tcp;
    const auto take = [&](const char* keyword, int most, auto set) {
        if (const std::string text = value(keyword); !text.empty()) set(number<int>(text, keyword, 0, most));
    };
    take("keepalives", 1, [&](int on) { tcp.keepalives = on != 0; });
    take("keepalives_idle", kMost, [&](int seconds) {
        if (seconds > 0) tcp.keepalives_idle = std::chrono::seconds(seconds);
    });
    take("keepalives_interval", kMost, [&](int seconds) {
        if (seconds > 0) tcp.keepalives_interval = std::chrono::seconds(seconds);
    });
    take("keepalives_count", 127, [&](int count) {
        if (count > 0) tcp.keepalives_count = static_cast<unsigned>(count);
    });
    take("tcp_user_timeout", kMost * 1000, [&](int milliseconds) { tcp.user_timeout = Milliseconds(milliseconds); });
    return tcp;
}

std::vector<Endpoint> endpoints(const std::string& host_list, const std::string& address_list,
                                const std::string& port_list) {
    const std::vector<std::string> hosts = split(host_list);
    const std::vector<std::string> addresses = split(address_list);
    const std::vector<std::string> ports = split(port_list);
    const std::size_t count = addresses.empty() ? hosts.size() : addresses.size();
    if (count == 0) throw ConninfoError("it names no host: write host=…");
    if (!hosts.empty() && hosts.size() != count)
        throw ConninfoError("it has " + std::to_string(hosts.size()) + " values for host and " + std::to_string(count) +
                            " for hostaddr: give as many of both");
    if (ports.size() > 1 && ports.size() != count)
        throw ConninfoError("it has " + std::to_string(ports.size()) + " ports for " + std::to_string(count) +
                            " hosts: give one for all, or one for each");
    std::vector<Endpoint> result(count);
    for (std::size_t i = 0; i < count; ++i) {
        if (!hosts.empty()) result[i].host = hosts[i];
        if (!addresses.empty()) result[i].hostaddr = addresses[i];
        if (result[i].host.empty() && result[i].hostaddr.empty())
            throw ConninfoError("one of its hosts is empty: write a name, an address, or a socket's directory");
        if (const std::string& port = ports.empty()       ? port_list
                                      : ports.size() == 1 ? ports[0]
                                                          : ports[i];
            !port.empty())
            result[i].port = number<std::uint16_t>(port, "port", 1, 65535);
    }
    return result;
}

}  // namespace

ServerAddress server_address(const std::string& url) {
    const Conninfo conninfo = Conninfo::parse(url);
    const auto value = [&conninfo](std::string_view keyword) {
        const std::string_view given = conninfo.get(keyword);
        return given.empty() ? from_environment(keyword) : std::string(given);
    };
    if (!conninfo.get("service").empty()) throw ConninfoError("'service' is not supported: write its settings here");

    ServerAddress address;
    // Not from the environment: a PGHOSTADDR must not redirect a host that is written down.
    address.endpoints =
        endpoints(std::string(conninfo.get("host")), std::string(conninfo.get("hostaddr")), value("port"));
    if (const std::string mode = value("sslmode"); !mode.empty()) address.ssl_mode = ssl_mode(mode);
    address.channel_binding = channel_binding(value("channel_binding"));
    address.tcp = tcp_settings(value);
    address.ssl_root_certificate = value("sslrootcert");
    address.ssl_certificate = value("sslcert");
    address.ssl_key = value("sslkey");
    address.ssl_crl = value("sslcrl");
    address.ssl_crl_directory = value("sslcrldir");
    if ((address.ssl_mode == SslMode::verify_ca || address.ssl_mode == SslMode::verify_full) &&
        address.ssl_root_certificate.empty())
        throw ConninfoError("sslmode=" + value("sslmode") + " needs sslrootcert");
    if (const std::string timeout = value("connect_timeout"); !timeout.empty()) {
        const int seconds = number<int>(timeout, "connect_timeout in seconds", -1, 86400);
        if (seconds > 0) address.connect_timeout = std::chrono::seconds(seconds);
    }
    return address;
}

bool has_password(const std::string& url) {
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(url.c_str(), nullptr),
                                                                               &PQconninfoFree);
    for (const PQconninfoOption* option = options.get(); option != nullptr && option->keyword != nullptr; ++option)
        if (std::string_view(option->keyword) == "password" && option->val != nullptr && *option->val != '\0')
            return true;
    return false;
}

}  // namespace turnout::control
