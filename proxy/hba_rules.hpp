// Which client may use which method from where: a file in pg_hba.conf's format, read as PostgreSQL reads it (manual,
// "The pg_hba.conf File"; hba.c of 16 and later). The first rule that fits decides; if none fits, nobody comes in.
//
// Left out, and refused with a sentence when written: the methods that need a service of the server's (gss, sspi,
// ident, pam, ldap, radius, bsd, oauth).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/startup.hpp"
#include "proxy/name_pattern.hpp"
#include "proxy/net_address.hpp"
#include "proxy/rule_tokens.hpp"

namespace turnout::proxy {

/// `md5` asks a role that has a SCRAM verifier for SCRAM.
enum class HbaMethod { trust, reject, password, md5, scram, peer, cert };
enum class HbaConnection { local, host, hostssl, hostnossl, hostgssenc, hostnogssenc };
enum class ClientCert { off, verify_ca, verify_full };

struct HbaRule {
    enum class Reach { all, same_host, same_net, range, host_name };

    std::string file;
    unsigned line = 0;
    HbaConnection connection = HbaConnection::local;
    std::vector<NamePattern> databases;
    std::vector<NamePattern> users;
    Reach reach = Reach::all;
    NetAddress address;  ///< with reach == range
    NetAddress mask;
    std::string host_name;  ///< with reach == host_name; one that begins with a dot fits every name that ends so
    HbaMethod method = HbaMethod::reject;
    std::string map;  ///< of pg_ident.conf; empty: the names must be equal
    ClientCert client_cert = ClientCert::off;
    bool by_distinguished_name = false;  ///< clientname=DN: not the CN alone
};

/// Who wants in. Views live as long as the caller's.
struct HbaClient {
    NetAddress address;
    bool tls = false;
    protocol::ReplicationKind replication = protocol::ReplicationKind::none;
    std::string_view database;
    std::string_view user;
    /// The roles that `user` is a member of, itself among them; empty if it does not exist.
    const std::vector<std::string>& member_of;
    /// What its address is called, if the name leads back to the address. Asked for by wants_host_name(); empty: none.
    std::string_view host_name{};
};

/// Immutable; used by all workers.
class HbaRules {
  public:
    /// `text` is the file's. Throws RuleFileError with all that is wrong.
    static HbaRules parse(std::string_view text, const std::filesystem::path& file);
    /// Throws RuleFileError, also when the file cannot be read.
    static HbaRules load(const std::filesystem::path& file);

    /// The first rule that fits, or null. `interfaces` are asked for only where a rule says samehost or samenet.
    const HbaRule* match(const HbaClient& client, std::vector<Interface> (*interfaces)() = own_interfaces) const;
    /// Whether match() would come to a rule with a host name: the client's has to be looked up then.
    bool wants_host_name(const HbaClient& client, std::vector<Interface> (*interfaces)() = own_interfaces) const;
    const std::vector<HbaRule>& rules() const { return rules_; }

  private:
    static HbaRules from(const std::vector<RuleLine>& lines, std::vector<RuleProblem>& problems,
                         const std::filesystem::path& file);
    std::vector<HbaRule> rules_;
};

/// True if the token, from a rule's list of users, fits: `all`, `+group`, an expression or the name.
bool role_fits(const NamePattern& pattern, std::string_view user, const std::vector<std::string>& member_of);

/// What PostgreSQL tells a client whom no rule lets in, or one that says `reject` (SQLSTATE 28000).
std::string refusal_by_rules(const HbaClient& client, const HbaRule* rule);

}  // namespace turnout::proxy
