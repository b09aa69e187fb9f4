#include "tests/house/include_rules.hpp"

#include <algorithm>
#include <array>
#include <sstream>

namespace turnout::house {

namespace {

using Prefixes = std::vector<std::string_view>;

// A path is judged by the first rule whose prefix it begins with. An include is allowed if it begins with one of the
// rule's prefixes, or is the standard library's.
struct Rule {
    std::string_view path;
    Prefixes ours;
    Prefixes theirs;
    std::string_view sentence;
};

const Prefixes posix = {"arpa/",     "netinet/", "sys/",    "fcntl.h",  "ifaddrs.h", "netdb.h", "poll.h",
                        "pthread.h", "pwd.h",    "sched.h", "signal.h", "spawn.h",   "time.h",  "unistd.h"};

Prefixes operator+(Prefixes left, const Prefixes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

const std::vector<Rule>& rules() {
    static const Prefixes logging = {"fmt/", "spdlog/"};
    static const Prefixes asio = {"boost/asio/", "boost/asio.hpp", "boost/system/"};
    static const Prefixes control =
        posix + asio + logging + Prefixes{"boost/beast/",  "boost/json/", "boost/json.hpp", "boost/url/",
                                          "boost/url.hpp", "libpq-fe.h",  "prometheus/",    "toml++/"};
    static const std::string_view control_sentence =
        "control/ decides and never touches a client's bytes: the standard library, Asio, Beast, Boost.JSON and URL, "
        "libpq, spdlog, fmt, prometheus-cpp, toml++ and control/ itself; protocol/ for the admin console only "
        "(control/console*), proxy/ never";
    static const std::vector<Rule> all = {
        {"protocol/",
         {"protocol/"},
         {"openssl/core_names.h", "openssl/crypto.h", "openssl/err.h", "openssl/evp.h", "openssl/hmac.h",
          "openssl/kdf.h", "openssl/md5.h", "openssl/params.h", "openssl/rand.h", "openssl/sha.h"},
         "protocol/ is pure, without I/O, clock, log or threads: the standard library, OpenSSL's cryptography for "
         "passwords, and protocol/ itself"},
        // The one place that knows regular expressions: those of rule files.
        {"proxy/name_pattern",
         {"proxy/"},
         logging + Prefixes{"boost/regex.hpp"},
         "proxy/name_pattern wraps Boost.Regex and knows nothing of sessions"},
        {"proxy/",
         {"proxy/", "protocol/", "control/data_plane.hpp"},
         posix + asio + logging + Prefixes{"boost/endian/", "openssl/"},
         "proxy/ carries sessions and decides nothing: protocol/, control/data_plane.hpp, Asio, OpenSSL, spdlog, fmt "
         "and proxy/ itself; libpq and the rest of control/ never"},
        {"control/data_plane.hpp",
         {},
         {},
         "control/data_plane.hpp is the border that proxy/ includes, too: the standard library only"},
        // A client of the console and of Kubernetes' API server.
        {"control/kubernetes/", {"control/"}, control + Prefixes{"openssl/", "yaml-cpp/"}, control_sentence},
        {"control/console", {"control/", "protocol/"}, control, control_sentence},
        // The one place that runs other programs: pg_dump and pg_restore.
        {"control/pg_tools", {"control/"}, control + Prefixes{"boost/process/"}, control_sentence},
        {"control/", {"control/"}, control, control_sentence},
    };
    return all;
}

bool begins_with_any(std::string_view name, const Prefixes& prefixes) {
    return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

// C++'s own headers have neither a folder nor an extension.
bool is_standard(std::string_view name) { return name.find_first_of("/.") == std::string_view::npos; }

// Standard, and yet forbidden where there is to be no I/O, clock or thread.
constexpr std::array impure = {"atomic",  "chrono", "condition_variable", "filesystem",
                               "fstream", "future", "iostream",           "mutex",
                               "thread",  "ctime"};

bool is_pure(std::string_view name) { return std::ranges::find(impure, name) == impure.end(); }

}  // namespace

std::vector<Include> includes_of(std::string_view text) {
    std::vector<Include> found;
    std::istringstream lines{std::string(text)};
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
        ++number;
        std::string_view rest = line;
        const auto skip_spaces = [&rest] { rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size())); };
        skip_spaces();
        if (!rest.starts_with('#')) continue;
        rest.remove_prefix(1);
        skip_spaces();
        if (!rest.starts_with("include")) continue;
        rest.remove_prefix(std::string_view("include").size());
        skip_spaces();
        if (rest.empty() || (rest.front() != '"' && rest.front() != '<')) continue;
        const bool quoted = rest.front() == '"';
        rest.remove_prefix(1);
        found.push_back({std::string(rest.substr(0, rest.find(quoted ? '"' : '>'))), quoted, number});
    }
    return found;
}

std::optional<std::string> complaint(std::string_view path, const Include& include) {
    for (const Rule& rule : rules()) {
        if (!path.starts_with(rule.path)) continue;
        const bool pure = rule.path != "protocol/" || is_pure(include.name);
        const bool allowed = include.quoted
                                 ? begins_with_any(include.name, rule.ours)
                                 : (is_standard(include.name) && pure) || begins_with_any(include.name, rule.theirs);
        if (allowed) return std::nullopt;
        return std::string(path) + ":" + std::to_string(include.line) + " includes " + include.name +
               ". What it may: " + std::string(rule.sentence);
    }
    return std::nullopt;
}

}  // namespace turnout::house
