// pg_hba.conf and pg_ident.conf: whatever stands there is rules or problems with a place, and rules can be asked.
#include <algorithm>
#include <string>
#include <vector>

#include "proxy/hba_rules.hpp"
#include "proxy/ident_maps.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace turnout;

/// Other files are none of this target's business.
bool includes(std::string_view text) {
    return text.find('@') != std::string_view::npos || text.find("include") != std::string_view::npos;
}

void ask(const proxy::HbaRules& rules) {
    const std::vector<std::string> member_of{"alice", "staff"};
    for (const char* from : {"", "127.0.0.1", "2001:db8::1"}) {
        const auto address = *from == '\0' ? proxy::NetAddress{} : proxy::parse_net_address(from).value();
        for (const bool tls : {false, true}) {
            proxy::HbaClient client{address, tls, protocol::ReplicationKind::none, "app", "alice", member_of};
            const auto no_interfaces = [] { return std::vector<proxy::Interface>(); };
            const proxy::HbaRule* unnamed = rules.match(client, no_interfaces);
            if (!rules.wants_host_name(client, no_interfaces)) client.host_name = "db.example.com";
            const proxy::HbaRule* rule = rules.match(client, no_interfaces);
            // A name that is not asked for decides nothing.
            fuzz::must(rule == unnamed);
            fuzz::must(rule == nullptr || rule->client_cert == proxy::ClientCert::off || tls);
            fuzz::must(!proxy::refusal_by_rules(client, rule).empty());
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (includes(text)) return 0;
    try {
        ask(proxy::HbaRules::parse(text, "hba"));
    } catch (const proxy::RuleFileError& error) {
        fuzz::must(std::string_view(error.what()).starts_with("hba:"));
    }
    try {
        (void)proxy::IdentMaps::parse(text, "hba").allows("m", "alice", "alice", {"alice"});
    } catch (const proxy::RuleFileError& error) {
        fuzz::must(std::string_view(error.what()).starts_with("hba:"));
    }
    return 0;
}
