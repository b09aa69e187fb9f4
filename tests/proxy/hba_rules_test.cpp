// Who may come in by which rule: the file's grammar, PostgreSQL's words for what is wrong, and the first match.
#include "proxy/hba_rules.hpp"

#include <gtest/gtest.h>

#include "proxy/ident_maps.hpp"

namespace turnout::proxy {
namespace {

using protocol::ReplicationKind;

std::string problems(std::string_view text) {
    try {
        HbaRules::parse(text, "hba");
    } catch (const RuleFileError& error) {
        return error.what();
    }
    return "accepted";
}

TEST(HbaRules, AcceptWhatPostgresAccepts) {
    for (const char* line : {
             "local all all trust",
             "host all all 10.0.0.0/8 md5",
             "host all all 10.0.0.0 255.0.0.0 md5",
             "host all all ::1/128 scram-sha-256",
             "host all all fe80::1%eth0/64 scram-sha-256",
             "host all all fe80:: ffc0:: scram-sha-256",
             "host all all 0.0.0.0/0 reject",
             "host all all samehost password",
             "host all all example.com md5",
             "host all all .example.com md5",
             "host all all \"all\" md5",
             "hostnossl all all samenet reject",
             "hostgssenc all all all scram-sha-256",
             "hostnogssenc all all all scram-sha-256",
             "hostssl all all all cert",
             "hostssl all all all cert map=people clientname=DN",
             "hostssl all all all cert clientcert=verify-full",
             "hostssl all all all scram-sha-256 clientcert=verify-ca",
             "hostssl all all all trust clientcert=verify-full clientname=CN",
             "local all all peer map=people",
             "local sameuser,samerole,replication,\"all\" +staff,@ md5",
             R"(local "/^db\d{2,4}$",/_test$ /^app md5)",
         }) {
        EXPECT_EQ(problems(line), "accepted") << line;
    }
}

TEST(HbaRules, RefuseWhatPostgresRefusesInItsWordsWithARemedy) {
    const struct {
        const char* line;
        const char* message;
    } rows[] = {
        {"hosts all all all md5",
         "invalid connection type \"hosts\": it must be local, host, hostssl, hostnossl, hostgssenc or hostnogssenc"},
        {"\"all\"",
         "invalid connection type \"all\": it must be local, host, hostssl, hostnossl, hostgssenc or hostnogssenc"},
        {"local,host all all md5",
         "multiple values specified for connection type: specify exactly one connection type per line"},
        {"local", "end-of-line before database specification: a line is TYPE DATABASE USER [ADDRESS] METHOD"},
        {"local all", "end-of-line before role specification: a line is TYPE DATABASE USER [ADDRESS] METHOD"},
        {"local all all", "end-of-line before authentication method: a line is TYPE DATABASE USER [ADDRESS] METHOD"},
        {"local all all trust,md5",
         "multiple values specified for authentication type: specify exactly one authentication type per line"},
        {"host all all", "end-of-line before IP address specification: a line is TYPE DATABASE USER [ADDRESS] METHOD"},
        {"host all all 10.0.0.1,10.0.0.2 md5",
         "multiple values specified for host address: specify one address range per line"},
        {"host all all 10.0.0.1",
         "end-of-line before netmask specification: specify an address range in CIDR notation, or provide a separate "
         "netmask"},
        {"host all all 10.0.0.1 255.0.0.0,255.0.0.0 md5",
         "multiple values specified for netmask: specify a single netmask"},
        {"host all all 10.0.0.1 md5", "invalid IP mask \"md5\": it must be an address, such as 255.255.255.0"},
        {"host all all 10.0.0.1 ffff:: md5", "IP address and mask do not match: both must be of IPv4, or both of IPv6"},
        {"host all all 10.0.0.0/33 md5",
         "invalid CIDR mask in address \"10.0.0.0/33\": it must be a number of bits, at most 32, or 128 for IPv6"},
        {"host all all 10.0.0.0/ md5",
         "invalid CIDR mask in address \"10.0.0.0/\": it must be a number of bits, at most 32, or 128 for IPv6"},
        {"host all all 10.0.0.0/8x md5",
         "invalid CIDR mask in address \"10.0.0.0/8x\": it must be a number of bits, at most 32, or 128 for IPv6"},
        {"host all all ::1/129 md5",
         "invalid CIDR mask in address \"::1/129\": it must be a number of bits, at most 32, or 128 for IPv6"},
        {"host all all example.com/8 md5", "specifying both host name and CIDR mask is invalid: \"example.com/8\""},
        {"local all all scram",
         "invalid authentication method \"scram\": it must be one of trust, reject, password, md5, scram-sha-256, peer "
         "and cert"},
        {"host all all all ldap",
         "invalid authentication method \"ldap\": not supported by turnout, which knows trust, reject, password, md5, "
         "scram-sha-256, peer and cert"},
        {"host all all all peer", "peer authentication is only supported on local sockets"},
        {"host all all all cert", "cert authentication is only supported on hostssl connections"},
        {"local all all cert", "cert authentication is only supported on hostssl connections"},
        {"local all all trust 127.0.0.1", "authentication option not in name=value format: 127.0.0.1"},
        {"local all all trust what=ever",
         "unrecognized authentication option name: \"what\"; it must be map, clientcert or clientname"},
        {"host all all all md5 clientcert=verify-ca", "clientcert can only be configured for \"hostssl\" rows"},
        {"hostssl all all all md5 clientcert=1",
         "invalid value for clientcert: \"1\"; it must be verify-ca or verify-full"},
        {"hostssl all all all cert clientcert=verify-ca",
         "clientcert only accepts \"verify-full\" when using \"cert\" authentication"},
        {"hostssl all all all cert clientname=SAN", "invalid value for clientname: \"SAN\"; it must be CN or DN"},
        {"host all all all md5 clientname=CN", "clientname can only be configured for \"hostssl\" rows"},
        {"local all all md5 map=m",
         "authentication option \"map\" is only valid for authentication methods ident, peer, gssapi, sspi, cert, and "
         "oauth"},
    };
    for (const auto& row : rows) EXPECT_EQ(problems(row.line), std::string("hba:1: ") + row.message) << row.line;
    EXPECT_NE(problems("local /( all md5").find("hba:1: invalid regular expression \"(\": "), std::string::npos);
}

TEST(HbaRules, AllProblemsOfAFileAreNamedAndAnEmptyFileIsOne) {
    EXPECT_EQ(
        problems("local all all\n\nlocal all all trust\nhosts\n"),
        "hba:1: end-of-line before authentication method: a line is TYPE DATABASE USER [ADDRESS] METHOD\nhba:4: "
        "invalid connection type \"hosts\": it must be local, host, hostssl, hostnossl, hostgssenc or hostnogssenc");
    EXPECT_EQ(problems("# nothing\n"), "hba: the file contains no entries: nobody could log in");
}

// ------------------------------------------------------------------------------------------------------------- match

NetAddress at(std::string_view text) { return text.empty() ? NetAddress{} : parse_net_address(text).value(); }

std::vector<Interface> machine() {
    return {{at("127.0.0.1"), *prefix_mask(AF_INET, 8)},
            {at("192.168.7.20"), *prefix_mask(AF_INET, 24)},
            {at("::1"), *prefix_mask(AF_INET6, 128)}};
}

/// A client; `at` empty: on a Unix socket.
struct Who {
    std::string at;
    std::string database = "app";
    std::string user = "alice";
    bool tls = false;
    ReplicationKind replication = ReplicationKind::none;
    std::vector<std::string> member_of{"alice", "staff"};
};

/// The number of the line that lets it in, 0 for none.
unsigned line_for(const HbaRules& rules, const Who& who) {
    const HbaClient client{at(who.at), who.tls, who.replication, who.database, who.user, who.member_of};
    const HbaRule* rule = rules.match(client, machine);
    return rule == nullptr ? 0 : rule->line;
}

bool fits(const std::string& line, const Who& who) { return line_for(HbaRules::parse(line, "hba"), who) == 1; }

TEST(HbaMatch, ByConnection) {
    const Who unix_socket{.at = ""}, plain{.at = "10.1.2.3"}, tls{.at = "10.1.2.3", .tls = true};
    const struct {
        const char* type;
        bool unix_socket, plain, tls;
    } rows[] = {{"local all all", true, false, false},           {"host all all all", false, true, true},
                {"hostssl all all all", false, false, true},     {"hostnossl all all all", false, true, false},
                {"hostgssenc all all all", false, false, false}, {"hostnogssenc all all all", false, true, true}};
    for (const auto& row : rows) {
        const std::string line = std::string(row.type) + " scram-sha-256";
        EXPECT_EQ(fits(line, unix_socket), row.unix_socket) << line;
        EXPECT_EQ(fits(line, plain), row.plain) << line;
        EXPECT_EQ(fits(line, tls), row.tls) << line;
    }
}

TEST(HbaMatch, ByAddress) {
    const struct {
        const char* address;
        const char* from;
        bool fits;
    } rows[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.1.2.3/8", "10.9.9.9", true},
        {"10.0.0.0 255.255.0.0", "10.0.9.9", true},
        {"10.0.0.0 255.255.0.0", "10.1.0.0", false},
        {"10.0.0.0 255.0.255.0", "10.77.0.5", true},
        {"10.0.0.4/32", "10.0.0.4", true},
        {"10.0.0.4/32", "10.0.0.5", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "203.0.113.9", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"all", "2001:db8::1", true},
        {"all", "203.0.113.9", true},
        {"samehost", "192.168.7.20", true},
        {"samehost", "192.168.7.21", false},
        {"samehost", "::1", true},
        {"samenet", "192.168.7.21", true},
        {"samenet", "192.168.8.1", false},
        {"samenet", "127.9.9.9", true},
    };
    for (const auto& row : rows) {
        const std::string line = std::string("host all all ") + row.address + " md5";
        EXPECT_EQ(fits(line, {.at = row.from}), row.fits) << line << " from " << row.from;
    }
}

TEST(HbaMatch, ByHostName) {
    const struct {
        const char* pattern;
        const char* name;
        bool fits;
    } rows[] = {
        {"db.example.com", "db.example.com", true},
        {"db.example.com", "DB.Example.COM", true},
        {"db.example.com", "xdb.example.com", false},
        {"db.example.com", "db.example.com.evil.org", false},
        {"db.example.com", "", false},
        {".example.com", "db.example.com", true},
        {".example.com", "a.b.EXAMPLE.com", true},
        {".example.com", "example.com", false},
        {".example.com", "notexample.com", false},
        {".example.com", ".example.com", true},
        {".example.com", "", false},
    };
    const std::vector<std::string> none;
    for (const auto& row : rows) {
        const HbaRules rules = HbaRules::parse(std::string("host all all ") + row.pattern + " md5", "hba");
        HbaClient client{at("10.1.2.3"), false, ReplicationKind::none, "app", "app", none};
        client.host_name = row.name;
        EXPECT_EQ(rules.match(client, machine) != nullptr, row.fits) << row.pattern << " for " << row.name;
    }
}

/// As PostgreSQL, which asks its resolver only where a rule comes to it.
TEST(HbaMatch, ANameIsLookedUpOnlyIfARuleWithOneIsReached) {
    const struct {
        const char* lines;
        const char* from;
        bool wants;
    } rows[] = {
        {"host all all 10.0.0.0/8 md5\nhost all all db.example.com md5", "10.1.2.3", false},
        {"host all all 10.0.0.0/8 md5\nhost all all db.example.com md5", "11.1.2.3", true},
        {"host all all db.example.com md5\nhost all all all md5", "10.1.2.3", true},
        {"host other all db.example.com md5\nhost all all all md5", "10.1.2.3", false},
        {"host all bob db.example.com md5\nhost all all all md5", "10.1.2.3", false},
        {"hostssl all all db.example.com md5", "10.1.2.3", false},
        {"host all all db.example.com md5\nlocal all all md5", "", false},
        {"host all all 11.0.0.0/8 md5", "10.1.2.3", false},
    };
    const std::vector<std::string> none;
    for (const auto& row : rows) {
        const HbaClient client{at(row.from), false, ReplicationKind::none, "app", "alice", none};
        EXPECT_EQ(HbaRules::parse(row.lines, "hba").wants_host_name(client, machine), row.wants) << row.lines;
    }
}

TEST(HbaMatch, AnAddressThatCannotBeToldFitsNothing) {
    NetAddress gone;
    gone.family = AF_UNSPEC;
    const std::vector<std::string> none;
    const HbaRules rules = HbaRules::parse(
        "local all all trust\nhost all all all trust\nhost all all 0.0.0.0/0 trust\nhost all all samenet trust\n",
        "hba");
    EXPECT_EQ(rules.match({gone, false, ReplicationKind::none, "app", "app", none}, machine), nullptr);
}

TEST(HbaMatch, ByDatabase) {
    const struct {
        const char* database;
        Who who;
        bool fits;
    } rows[] = {
        {"all", {.at = ""}, true},
        {"app", {.at = ""}, true},
        {"App", {.at = ""}, false},
        {"other,app", {.at = ""}, true},
        {"other", {.at = ""}, false},
        {"\"all\"", {.at = ""}, false},
        {"\"all\"", {.at = "", .database = "all"}, true},
        {"sameuser", {.at = ""}, false},
        {"sameuser", {.at = "", .database = "alice"}, true},
        {"\"sameuser\"", {.at = "", .database = "alice"}, false},
        {"samerole", {.at = "", .database = "staff"}, true},
        {"samegroup", {.at = "", .database = "staff"}, true},
        {"samerole", {.at = "", .database = "alice"}, true},
        {"samerole", {.at = "", .database = "admins"}, false},
        {"replication", {.at = "", .replication = ReplicationKind::physical}, true},
        {"replication", {.at = "", .database = "replication"}, false},
        {"\"replication\"", {.at = "", .database = "replication"}, true},
        {"\"replication\"", {.at = "", .replication = ReplicationKind::physical}, false},
        {"replication", {.at = "", .replication = ReplicationKind::database}, false},
        {"all", {.at = "", .replication = ReplicationKind::physical}, false},
        {"alice,sameuser", {.at = "", .database = "alice", .replication = ReplicationKind::physical}, false},
        {"all", {.at = "", .replication = ReplicationKind::database}, true},
        {"app", {.at = "", .replication = ReplicationKind::database}, true},
    };
    for (const auto& row : rows)
        EXPECT_EQ(fits(std::string("local ") + row.database + " all md5", row.who), row.fits)
            << row.database << " for " << row.who.database;
}

TEST(HbaMatch, ByUser) {
    const struct {
        const char* user;
        Who who;
        bool fits;
    } rows[] = {
        {"all", {.at = ""}, true},
        {"alice", {.at = ""}, true},
        {"bob,alice", {.at = ""}, true},
        {"bob", {.at = ""}, false},
        {"\"all\"", {.at = ""}, false},
        {"+staff", {.at = ""}, true},
        {"+alice", {.at = ""}, true},
        {"+admins", {.at = ""}, false},
        {"\"+staff\"", {.at = ""}, false},
        {"+alice", {.at = "", .member_of = {}}, false},
        {"\"+staff\"", {.at = "", .user = "+staff"}, true},
    };
    for (const auto& row : rows)
        EXPECT_EQ(fits(std::string("local all ") + row.user + " md5", row.who), row.fits) << row.user;
}

TEST(HbaMatch, Expressions) {
    const std::string line = R"(local "/^db\d{2,4}$",/_test$ /^(web|batch)_ md5)";
    EXPECT_TRUE(fits(line, {.at = "", .database = "db123", .user = "web_1"}));
    EXPECT_TRUE(fits(line, {.at = "", .database = "my_test", .user = "batch_2"}));
    EXPECT_FALSE(fits(line, {.at = "", .database = "db12345", .user = "web_1"}));
    EXPECT_FALSE(fits(line, {.at = "", .database = "db123", .user = "a_web_1"}));
    // An expression that would take for ever lets nobody in, and soon.
    EXPECT_FALSE(fits("local all \"/^(a|aa|aaa)+(a|aa|aaa)+$\" md5", {.at = "", .user = std::string(5000, 'a') + "b"}));
}

TEST(HbaMatch, TheFirstRuleThatFitsDecides) {
    const HbaRules rules = HbaRules::parse(
        "host app alice 10.0.0.5/32 reject\nhost app +staff 10.0.0.0/8 scram-sha-256\nhostssl all all all cert\n",
        "hba");
    EXPECT_EQ(line_for(rules, {.at = "10.0.0.5"}), 1U);
    EXPECT_EQ(rules.rules()[0].method, HbaMethod::reject);
    EXPECT_EQ(line_for(rules, {.at = "10.0.0.6"}), 2U);
    EXPECT_EQ(line_for(rules, {.at = "10.0.0.6", .user = "bob", .member_of = {"bob"}}), 0U);
    EXPECT_EQ(line_for(rules, {.at = "10.0.0.6", .user = "bob", .tls = true, .member_of = {"bob"}}), 3U);
    EXPECT_EQ(rules.rules()[2].client_cert, ClientCert::verify_full) << "cert means it";
    EXPECT_EQ(line_for(rules, {.at = ""}), 0U);
}

TEST(HbaMatch, ARefusalIsInPostgresWords) {
    const std::vector<std::string> none;
    const HbaRule reject;
    EXPECT_EQ(refusal_by_rules({at("10.0.0.5"), false, ReplicationKind::none, "app", "bob", none}, nullptr),
              "no pg_hba.conf entry for host \"10.0.0.5\", user \"bob\", database \"app\", no encryption");
    EXPECT_EQ(refusal_by_rules({at("::1"), true, ReplicationKind::database, "app", "bob", none}, &reject),
              "pg_hba.conf rejects connection for host \"::1\", user \"bob\", database \"app\", SSL encryption");
    EXPECT_EQ(refusal_by_rules({at(""), false, ReplicationKind::physical, "bob", "bob", none}, nullptr),
              "no pg_hba.conf entry for replication connection from host \"[local]\", user \"bob\", no encryption");
    EXPECT_EQ(refusal_by_rules({at(""), false, ReplicationKind::physical, "bob", "bob", none}, &reject),
              "pg_hba.conf rejects replication connection for host \"[local]\", user \"bob\", no encryption");
}

// --------------------------------------------------------------------------------------------------------- user maps

TEST(IdentMaps, LetNamesInAsPostgresDoes) {
    const IdentMaps maps = IdentMaps::parse(
        "# map  system  role\n"
        "m  \"CN=Alice,O=Us\"  alice\n"
        "m  /^(.*)@example\\.com$  \\1\n"
        "m  /^guest  nobody\n"
        "m  boss  all\n"
        "m  clerk  +staff\n"
        "m  /^op_(.*)$  \"op_\\1_role\"\n"
        "other  alice  bob\n",
        "ident");
    const std::vector<std::string> staff{"carol", "staff"};
    const struct {
        const char* map;
        const char* system;
        const char* user;
        bool allowed;
    } rows[] = {
        {"", "carol", "carol", true},
        {"", "carol", "alice", false},
        {"", "", "", false},
        {"m", "CN=Alice,O=Us", "alice", true},
        {"m", "CN=Alice,O=Us", "carol", false},
        {"m", "carol@example.com", "carol", true},
        {"m", "all@example.com", "carol", false},
        {"m", "+staff@example.com", "carol", false},
        {"m", "carol@example.org", "carol", false},
        {"m", "guest7", "nobody", true},
        {"m", "boss", "carol", true},
        {"m", "clerk", "carol", true},
        {"m", "op_7", "op_7_role", true},
        {"m", "op_7", "op_8_role", false},
        {"m", "carol", "carol", false},
        {"other", "alice", "bob", true},
        {"other", "alice", "alice", false},
        {"missing", "carol", "carol", false},
    };
    for (const auto& row : rows)
        EXPECT_EQ(maps.allows(row.map, row.system, row.user, staff), row.allowed)
            << row.map << ": " << row.system << " as " << row.user;
    EXPECT_TRUE(IdentMaps().allows("", "carol", "carol", staff));
    EXPECT_FALSE(IdentMaps().allows("m", "carol", "carol", staff));
}

TEST(IdentMaps, ProblemsAreNamedWithTheirLine) {
    const auto problems = [](std::string_view text) -> std::string {
        try {
            IdentMaps::parse(text, "ident");
        } catch (const RuleFileError& error) {
            return error.what();
        }
        return "accepted";
    };
    EXPECT_EQ(problems("m a\n"),
              "ident:1: missing entry at end of line: a line is map-name system-username database-username");
    EXPECT_EQ(problems("\nm a,b c\n"), "ident:2: multiple values in ident field: write a line for each");
    EXPECT_NE(problems("m /( c\n").find("ident:1: invalid regular expression"), std::string::npos);
    EXPECT_EQ(problems(""), "accepted");
}

}  // namespace
}  // namespace turnout::proxy
