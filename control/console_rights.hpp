// Who may do what on the admin socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::control {

enum class Rights {
    stats,  ///< SHOW
    admin,  ///< everything
};

/// [admin] admin_users and stats_users.
struct AdminUsers {
    std::vector<std::string> admins;
    std::vector<std::string> stats;

    /// Nobody but the socket's owner (and root) may come.
    bool only_owner() const { return admins.empty() && stats.empty(); }
};

/// What a peer may do, or nothing if it may not come in. The owner of the socket (and root) may do everything, under
/// any name but one that is listed in stats_users only; everybody else has to come under the name that the system
/// knows, `system_user`, as with PostgreSQL's method peer, and has to be listed.
std::optional<Rights> rights(const AdminUsers& users, bool owner, std::string_view system_user, std::string_view user);

/// What a client of the proxy may do that has proved to be the role `user`: what the lists say, and nothing if they do
/// not name it.
std::optional<Rights> rights_of_client(const AdminUsers& users, std::string_view user);

/// The system's name of a user; empty if it has none.
std::string system_user(std::uint32_t uid);

}  // namespace turnout::control
