#include "proxy/hba_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace turnout::proxy {

using protocol::ReplicationKind;

namespace {

bool is_member(const std::vector<std::string>& member_of, std::string_view role) {
    return std::find(member_of.begin(), member_of.end(), role) != member_of.end();
}

bool database_fits(const NamePattern& pattern, const HbaClient& client) {
    const RuleToken& token = pattern.token();
    // A connection for physical replication has no database: only its own keyword fits it, and `all` does not.
    if (client.replication == ReplicationKind::physical) return token.is_keyword("replication");
    if (token.is_keyword("all")) return true;
    if (token.is_keyword("sameuser")) return client.database == client.user;
    if (token.is_keyword("samerole") || token.is_keyword("samegroup"))
        return is_member(client.member_of, client.database);
    if (token.is_keyword("replication")) return false;
    return pattern.matches(client.database);
}

bool connection_fits(const HbaRule& rule, const HbaClient& client) {
    const bool unix_socket = client.address.family == AF_UNIX;
    switch (rule.connection) {
        case HbaConnection::local: return unix_socket;
        case HbaConnection::host:
        case HbaConnection::hostnogssenc: return !unix_socket;
        case HbaConnection::hostssl: return !unix_socket && client.tls;
        case HbaConnection::hostnossl: return !unix_socket && !client.tls;
        case HbaConnection::hostgssenc: return false;
    }
    return false;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// The case of names does not count.
bool host_name_fits(std::string_view pattern, std::string_view name) {
    if (name.empty() || name.size() < pattern.size()) return false;
    if (pattern.starts_with('.')) name.remove_prefix(name.size() - pattern.size());
    return std::equal(pattern.begin(), pattern.end(), name.begin(), name.end(),
                      [](char left, char right) { return lower(left) == lower(right); });
}

bool address_fits(const HbaRule& rule, const HbaClient& client, std::vector<Interface> (*interfaces)()) {
    if (rule.connection == HbaConnection::local) return true;
    const NetAddress& address = client.address;
    switch (rule.reach) {
        case HbaRule::Reach::host_name: return host_name_fits(rule.host_name, client.host_name);
        case HbaRule::Reach::all: return address.family != AF_UNSPEC;
        case HbaRule::Reach::range: return same_network(address, rule.address, rule.mask);
        case HbaRule::Reach::same_host:
        case HbaRule::Reach::same_net: break;
    }
    const std::vector<Interface> own = interfaces();
    return std::any_of(own.begin(), own.end(), [&](const Interface& one) {
        return rule.reach == HbaRule::Reach::same_host ? one.address == address
                                                       : same_network(address, one.address, one.mask);
    });
}

}  // namespace

namespace {

/// All but the address.
bool rest_fits(const HbaRule& rule, const HbaClient& client) {
    return connection_fits(rule, client) &&
           std::any_of(rule.databases.begin(), rule.databases.end(),
                       [&](const NamePattern& pattern) { return database_fits(pattern, client); }) &&
           std::any_of(rule.users.begin(), rule.users.end(),
                       [&](const NamePattern& pattern) { return role_fits(pattern, client.user, client.member_of); });
}

}  // namespace

bool role_fits(const NamePattern& pattern, std::string_view user, const std::vector<std::string>& member_of) {
    const RuleToken& token = pattern.token();
    if (!token.quoted && token.text.starts_with('+'))
        return is_member(member_of, std::string_view(token.text).substr(1));
    return token.is_keyword("all") || pattern.matches(user);
}

const HbaRule* HbaRules::match(const HbaClient& client, std::vector<Interface> (*interfaces)()) const {
    const auto found = std::find_if(rules_.begin(), rules_.end(), [&](const HbaRule& rule) {
        return rest_fits(rule, client) && address_fits(rule, client, interfaces);
    });
    return found == rules_.end() ? nullptr : &*found;
}

bool HbaRules::wants_host_name(const HbaClient& client, std::vector<Interface> (*interfaces)()) const {
    const auto first = std::find_if(rules_.begin(), rules_.end(), [&](const HbaRule& rule) {
        return rest_fits(rule, client) &&
               (rule.reach == HbaRule::Reach::host_name || address_fits(rule, client, interfaces));
    });
    return first != rules_.end() && first->connection != HbaConnection::local &&
           first->reach == HbaRule::Reach::host_name;
}

std::string refusal_by_rules(const HbaClient& client, const HbaRule* rule) {
    const std::string host = to_string(client.address);
    const char* encryption = client.tls ? "SSL encryption" : "no encryption";
    if (client.replication == ReplicationKind::physical) {
        return fmt::format("{} host \"{}\", user \"{}\", {}",
                           rule != nullptr ? "pg_hba.conf rejects replication connection for"
                                           : "no pg_hba.conf entry for replication connection from",
                           host, client.user, encryption);
    }
    return fmt::format("{} host \"{}\", user \"{}\", database \"{}\", {}",
                       rule != nullptr ? "pg_hba.conf rejects connection for" : "no pg_hba.conf entry for", host,
                       client.user, client.database, encryption);
}

}  // namespace turnout::proxy
