// Listening sockets that the service manager has opened beforehand: systemd's socket activation, by the protocol of
// sd_listen_fds(3). They outlive a restart, so that no client is refused meanwhile.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

namespace turnout::proxy {

/// Takes over what LISTEN_PID and LISTEN_FDS name, if they mean this process. Once, before there are threads: the
/// variables go, so that no program that is started believes they are its own. What is no listening stream socket, and
/// one that takes IPv4 and IPv6 alike (whose clients' addresses no rule for IPv4 would fit), is closed and named.
std::vector<std::string> adopt_inherited_sockets();

/// The one that listens exactly there, non-blocking; it is the caller's from now on. Nothing: there is none.
std::optional<int> take_inherited_socket(const sockaddr* address);

/// Closes those that nobody has taken; their addresses.
std::vector<std::string> drop_inherited_sockets();

}  // namespace turnout::proxy
