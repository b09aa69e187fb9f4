#include "control/console_rights.hpp"

#include <pwd.h>
#include <algorithm>
#include <array>

namespace turnout::control {

namespace {

bool lists(const std::vector<std::string>& users, std::string_view user) {
    return std::find(users.begin(), users.end(), user) != users.end();
}

}  // namespace

std::optional<Rights> rights(const AdminUsers& users, bool owner, std::string_view system_user, std::string_view user) {
    if (!owner && (system_user.empty() || system_user != user)) return std::nullopt;
    if (const auto listed = rights_of_client(users, user)) return listed;
    return owner ? std::optional(Rights::admin) : std::nullopt;
}

std::optional<Rights> rights_of_client(const AdminUsers& users, std::string_view user) {
    if (lists(users.admins, user)) return Rights::admin;
    if (lists(users.stats, user)) return Rights::stats;
    return std::nullopt;
}

std::string system_user(std::uint32_t uid) {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 16384> buffer{};
    if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return {};
    return found->pw_name;
}

}  // namespace turnout::control
