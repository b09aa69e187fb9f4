#include "control/kubernetes/access.hpp"

#include <yaml-cpp/yaml.h>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "control/kubernetes/base64.hpp"

namespace turnout::kubernetes {

namespace fs = std::filesystem;

namespace {

std::string read_file(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream)
        throw AccessError("cannot read " + file.string() + ": it must exist, and this user must be allowed to read it");
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
    return text;
}

/// A member that is a text; empty: there is none.
std::string text(const YAML::Node& node, const std::string& member) {
    const YAML::Node value = node.IsMap() ? node[member] : YAML::Node();
    return value && value.IsScalar() ? value.Scalar() : std::string();
}

/// The entry of a kubeconfig's list that bears the name: {name: NAME, KIND: {...}}.
YAML::Node named(const YAML::Node& config, const std::string& list, const std::string& kind, const std::string& name) {
    const YAML::Node items = config[list];
    if (items && items.IsSequence()) {
        for (const YAML::Node& item : items) {
            if (text(item, "name") != name) continue;
            const YAML::Node found = item[kind];
            return found && found.IsMap() ? found : YAML::Node(YAML::NodeType::Map);
        }
    }
    throw AccessError("the kubeconfig has no " + kind + " named '" + name +
                      "': add it, or correct current-context or what refers to it");
}

/// A path in a kubeconfig counts from the folder of that.
fs::path beside(const fs::path& file, const std::string& path) {
    return path.empty() ? fs::path() : file.parent_path() / path;
}

/// NAME-data as base64, or the content of the file that NAME names.
std::string data_or_file(const YAML::Node& object, const std::string& name, const fs::path& file) {
    if (const std::string data = text(object, name + "-data"); !data.empty()) {
        auto bytes = from_base64(data);
        if (!bytes)
            throw AccessError("the kubeconfig's " + name + "-data is no base64: write it anew, or name a file by " +
                              name);
        return std::move(*bytes);
    }
    const std::string path = text(object, name);
    return path.empty() ? std::string() : read_file(beside(file, path));
}

void refuse_what_is_not_supported(const YAML::Node& cluster, const YAML::Node& user) {
    for (const char* const way : {"exec", "auth-provider", "username"})
        if (user[way])
            throw AccessError(std::string("the kubeconfig's user has '") + way +
                              "', which is not supported: use a token, a tokenFile, or a client certificate");
    if (text(cluster, "insecure-skip-tls-verify") == "true")
        throw AccessError(
            "the kubeconfig says insecure-skip-tls-verify, which is not supported: name the "
            "certificate-authority");
}

void take_server(Access& access, const std::string& server) {
    const auto url = boost::urls::parse_uri(server);
    if (!url || (url->scheme() != "https" && url->scheme() != "http"))
        throw AccessError("'" + server + "' is no address of an API server: write https://HOST:PORT");
    access.tls = url->scheme() == "https";
    access.host = url->host_address();
    access.port = url->has_port() ? url->port_number() : static_cast<std::uint16_t>(access.tls ? 443 : 80);
}

}  // namespace

std::string Access::current_token() const { return token_file.empty() ? token : trimmed(read_file(token_file)); }

Access in_cluster_access(const fs::path& account) {
    const char* const host = std::getenv("KUBERNETES_SERVICE_HOST");
    const char* const port = std::getenv("KUBERNETES_SERVICE_PORT");
    if (host == nullptr || port == nullptr)
        throw AccessError("this is no pod (KUBERNETES_SERVICE_HOST is not set): name a kubeconfig by --kubeconfig");
    Access access;
    access.host = host;
    const std::string_view number(port);
    if (std::from_chars(number.data(), number.data() + number.size(), access.port).ec != std::errc{})
        throw AccessError("KUBERNETES_SERVICE_PORT is no port: it must be a number");
    access.authority_file = account / "ca.crt";
    access.current_authority();  // says now what is missing
    access.token_file = account / "token";
    access.space = trimmed(read_file(account / "namespace"));
    return access;
}

std::string Access::current_authority() const { return authority_file.empty() ? authority : read_file(authority_file); }

namespace {

Access read_kubeconfig(const YAML::Node& config, const fs::path& file) {
    if (!config.IsMap())
        throw AccessError(file.string() + " is no kubeconfig: it has no members; name another by --kubeconfig");
    const YAML::Node context = named(config, "contexts", "context", text(config, "current-context"));
    const YAML::Node cluster = named(config, "clusters", "cluster", text(context, "cluster"));
    const YAML::Node user = named(config, "users", "user", text(context, "user"));
    refuse_what_is_not_supported(cluster, user);
    Access access;
    take_server(access, text(cluster, "server"));
    access.authority = data_or_file(cluster, "certificate-authority", file);
    access.client_certificate = data_or_file(user, "client-certificate", file);
    access.client_key = data_or_file(user, "client-key", file);
    access.token = text(user, "token");
    access.token_file = beside(file, text(user, "tokenFile"));
    access.space = text(context, "namespace");
    if (access.space.empty()) access.space = "default";
    return access;
}

}  // namespace

Access kubeconfig_access(const fs::path& file) {
    try {
        return read_kubeconfig(YAML::Load(read_file(file)), file);
    } catch (const YAML::Exception& error) {
        throw AccessError(file.string() + " is no kubeconfig: " + error.what() + "; name another by --kubeconfig");
    }
}

}  // namespace turnout::kubernetes
