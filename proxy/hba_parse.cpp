// From lines of a rule file to rules; what is refused, and in which words, is PostgreSQL's
// (parse_hba_line of hba.c); behind a colon stands the remedy.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "proxy/hba_rules.hpp"

namespace turnout::proxy {
namespace {

/// Why a line is refused.
struct Refused {
    std::string message;
};

template <class Value, std::size_t size>
const Value* find(const std::array<std::pair<std::string_view, Value>, size>& words, std::string_view word) {
    const auto found = std::find_if(words.begin(), words.end(), [word](const auto& one) { return one.first == word; });
    return found == words.end() ? nullptr : &found->second;
}

constexpr std::array<std::pair<std::string_view, HbaConnection>, 6> kConnections{{
    {"local", HbaConnection::local},
    {"host", HbaConnection::host},
    {"hostssl", HbaConnection::hostssl},
    {"hostnossl", HbaConnection::hostnossl},
    {"hostgssenc", HbaConnection::hostgssenc},
    {"hostnogssenc", HbaConnection::hostnogssenc},
}};

constexpr std::array<std::pair<std::string_view, HbaMethod>, 7> kMethods{{
    {"trust", HbaMethod::trust},
    {"reject", HbaMethod::reject},
    {"password", HbaMethod::password},
    {"md5", HbaMethod::md5},
    {"scram-sha-256", HbaMethod::scram},
    {"peer", HbaMethod::peer},
    {"cert", HbaMethod::cert},
}};

constexpr std::string_view kMethodNames = "trust, reject, password, md5, scram-sha-256, peer and cert";

constexpr std::array<std::string_view, 8> kMethodsElsewhere{"gss", "sspi", "ident",  "pam",
                                                            "bsd", "ldap", "radius", "oauth"};

/// Takes the fields of one line off, one by one.
class LineParser {
  public:
    explicit LineParser(const RuleLine& line) : line_(line) {
        rule_.file = line.file;
        rule_.line = line.line;
    }

    HbaRule parse() {
        take_connection();
        rule_.databases =
            take_names("end-of-line before database specification: a line is TYPE DATABASE USER [ADDRESS] METHOD");
        rule_.users =
            take_names("end-of-line before role specification: a line is TYPE DATABASE USER [ADDRESS] METHOD");
        if (rule_.connection != HbaConnection::local) take_address();
        take_method();
        while (at_ < line_.fields.size()) {
            for (const RuleToken& token : line_.fields[at_++]) take_option(token.text);
        }
        check();
        return std::move(rule_);
    }

  private:
    const RuleField& take(const char* at_end) {
        if (at_ >= line_.fields.size()) throw Refused{at_end};
        return line_.fields[at_++];
    }

    const RuleToken& take_one(const char* at_end, const char* if_several) {
        const RuleField& field = take(at_end);
        if (field.size() > 1) throw Refused{if_several};
        return field.front();
    }

    void take_connection() {
        const RuleField& field = line_.fields[at_++];
        if (field.size() > 1)
            throw Refused{
                "multiple values specified for connection type: specify exactly one connection type per line"};
        const HbaConnection* known = find(kConnections, field.front().text);
        if (known == nullptr)
            throw Refused{
                fmt::format("invalid connection type \"{}\": it must be local, host, hostssl, hostnossl, hostgssenc or "
                            "hostnogssenc",
                            field.front().text)};
        rule_.connection = *known;
    }

    std::vector<NamePattern> take_names(const char* at_end) {
        std::vector<NamePattern> names;
        for (const RuleToken& token : take(at_end)) {
            try {
                names.emplace_back(token);
            } catch (const std::invalid_argument& error) {
                throw Refused{error.what()};
            }
        }
        return names;
    }

    void take_address() {
        const RuleToken& token =
            take_one("end-of-line before IP address specification: a line is TYPE DATABASE USER [ADDRESS] METHOD",
                     "multiple values specified for host address: specify one address range per line");
        if (token.is_keyword("all")) return;
        if (token.is_keyword("samehost")) {
            rule_.reach = HbaRule::Reach::same_host;
            return;
        }
        if (token.is_keyword("samenet")) {
            rule_.reach = HbaRule::Reach::same_net;
            return;
        }
        const std::size_t slash = token.text.find('/');
        const auto address = parse_net_address(std::string_view(token.text).substr(0, slash));
        if (!address) return take_host_name(token.text, slash);
        rule_.reach = HbaRule::Reach::range;
        rule_.address = *address;
        if (slash != std::string::npos) {
            rule_.mask = cidr_mask(token.text, slash, address->family);
        } else {
            take_mask();
        }
    }

    void take_host_name(const std::string& text, std::size_t slash) {
        if (slash != std::string::npos)
            throw Refused{fmt::format("specifying both host name and CIDR mask is invalid: \"{}\"", text)};
        rule_.reach = HbaRule::Reach::host_name;
        rule_.host_name = text;
    }

    static NetAddress cidr_mask(const std::string& text, std::size_t slash, int family) {
        unsigned bits = 0;
        const char* end = text.data() + text.size();
        const auto [at, error] = std::from_chars(text.data() + slash + 1, end, bits);
        const auto mask = prefix_mask(family, bits);
        if (error != std::errc{} || at != end || !mask)
            throw Refused{fmt::format(
                "invalid CIDR mask in address \"{}\": it must be a number of bits, at most 32, or 128 for IPv6", text)};
        return *mask;
    }

    void take_mask() {
        const RuleToken& token = take_one(
            "end-of-line before netmask specification: specify an address range in CIDR notation, or provide a "
            "separate netmask",
            "multiple values specified for netmask: specify a single netmask");
        const auto mask = parse_net_address(token.text);
        if (!mask)
            throw Refused{
                fmt::format("invalid IP mask \"{}\": it must be an address, such as 255.255.255.0", token.text)};
        if (mask->family != rule_.address.family)
            throw Refused{"IP address and mask do not match: both must be of IPv4, or both of IPv6"};
        rule_.mask = *mask;
    }

    void take_method() {
        const std::string& word =
            take_one(
                "end-of-line before authentication method: a line is TYPE DATABASE USER [ADDRESS] METHOD",
                "multiple values specified for authentication type: specify exactly one authentication type per line")
                .text;
        if (const HbaMethod* known = find(kMethods, word)) {
            rule_.method = *known;
            return;
        }
        if (std::find(kMethodsElsewhere.begin(), kMethodsElsewhere.end(), word) != kMethodsElsewhere.end())
            throw Refused{fmt::format("invalid authentication method \"{}\": not supported by turnout, which knows {}",
                                      word, kMethodNames)};
        throw Refused{fmt::format("invalid authentication method \"{}\": it must be one of {}", word, kMethodNames)};
    }

    void take_option(const std::string& text) {
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos)
            throw Refused{fmt::format("authentication option not in name=value format: {}", text)};
        const std::string name = text.substr(0, equals), value = text.substr(equals + 1);
        if (name == "map") {
            if (rule_.method != HbaMethod::peer && rule_.method != HbaMethod::cert)
                throw Refused{
                    "authentication option \"map\" is only valid for authentication methods ident, peer, gssapi, "
                    "sspi, cert, and oauth"};
            rule_.map = value;
        } else if (name == "clientcert") {
            take_client_cert(value);
        } else if (name == "clientname") {
            take_client_name(value);
        } else {
            throw Refused{fmt::format(
                "unrecognized authentication option name: \"{}\"; it must be map, clientcert or clientname", name)};
        }
    }

    void take_client_cert(const std::string& value) {
        if (rule_.connection != HbaConnection::hostssl)
            throw Refused{"clientcert can only be configured for \"hostssl\" rows"};
        if (value == "verify-full") {
            rule_.client_cert = ClientCert::verify_full;
        } else if (value == "verify-ca") {
            if (rule_.method == HbaMethod::cert)
                throw Refused{"clientcert only accepts \"verify-full\" when using \"cert\" authentication"};
            rule_.client_cert = ClientCert::verify_ca;
        } else {
            throw Refused{
                fmt::format("invalid value for clientcert: \"{}\"; it must be verify-ca or verify-full", value)};
        }
    }

    void take_client_name(const std::string& value) {
        if (rule_.connection != HbaConnection::hostssl)
            throw Refused{"clientname can only be configured for \"hostssl\" rows"};
        if (value != "CN" && value != "DN")
            throw Refused{fmt::format("invalid value for clientname: \"{}\"; it must be CN or DN", value)};
        rule_.by_distinguished_name = value == "DN";
    }

    void check() {
        const bool local = rule_.connection == HbaConnection::local;
        if (rule_.method == HbaMethod::peer && !local)
            throw Refused{"peer authentication is only supported on local sockets"};
        if (rule_.method != HbaMethod::cert) return;
        if (rule_.connection != HbaConnection::hostssl)
            throw Refused{"cert authentication is only supported on hostssl connections"};
        rule_.client_cert = ClientCert::verify_full;
    }

    const RuleLine& line_;
    std::size_t at_ = 0;
    HbaRule rule_;
};

}  // namespace

HbaRules HbaRules::from(const std::vector<RuleLine>& lines, std::vector<RuleProblem>& problems,
                        const std::filesystem::path& file) {
    HbaRules rules;
    for (const RuleLine& line : lines) {
        try {
            rules.rules_.push_back(LineParser(line).parse());
        } catch (const Refused& refused) {
            problems.push_back({line.file, line.line, refused.message});
        }
    }
    if (lines.empty() && problems.empty())
        problems.push_back(RuleProblem{file.string(), 0, "the file contains no entries: nobody could log in"});
    if (!problems.empty()) throw RuleFileError(problems);
    return rules;
}

HbaRules HbaRules::parse(std::string_view text, const std::filesystem::path& file) {
    std::vector<RuleProblem> problems;
    const std::vector<RuleLine> lines = split_rules(text, file, problems);
    return from(lines, problems, file);
}

HbaRules HbaRules::load(const std::filesystem::path& file) {
    std::vector<RuleProblem> problems;
    const std::vector<RuleLine> lines = read_rules(file, problems);
    return from(lines, problems, file);
}

}  // namespace turnout::proxy
