#include "control/listen_address.hpp"

#include <charconv>

namespace turnout::control {

std::optional<HostAndPort> parse_host_and_port(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const std::string_view port = text.substr(colon + 1);
    if (host.front() == '[') {
        if (host.size() < 3 || host.back() != ']') return std::nullopt;
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return std::nullopt;
    }
    HostAndPort result{std::string(host), 0};
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), result.port);
    if (error != std::errc{} || end != port.data() + port.size()) return std::nullopt;
    return result;
}

std::optional<std::string> listen_address_problem(std::string_view text, bool unix_allowed) {
    const std::string quoted = std::string("'").append(text).append("'");
    if (unix_allowed && text.starts_with("unix:"))
        return text.size() > 5 && text[5] == '/'
                   ? std::nullopt
                   : std::optional(quoted + " must have a directory's absolute path after \"unix:\"");
    if (parse_host_and_port(text)) return std::nullopt;
    return quoted + " is no address: write \"host:port\", \"[v6]:port\"" +
           (unix_allowed ? " or \"unix:/directory\"" : "");
}

}  // namespace turnout::control
