#include "control/kubernetes/access.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
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

namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

std::string read_file(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) throw AccessError("cannot read " + file.string());
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
    return text;
}

std::string text(const json::object& object, std::string_view member) {
    const json::value* const value = object.if_contains(member);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// The entry of a kubeconfig's list that bears the name: {"name": NAME, KIND: {...}}.
json::object named(const json::object& config, std::string_view list, std::string_view kind, const std::string& name) {
    const json::value* const items = config.if_contains(list);
    if (items != nullptr && items->is_array()) {
        for (const json::value& item : items->get_array()) {
            if (!item.is_object() || text(item.get_object(), "name") != name) continue;
            const json::value* const found = item.get_object().if_contains(kind);
            return found != nullptr && found->is_object() ? found->get_object() : json::object{};
        }
    }
    throw AccessError("the kubeconfig has no " + std::string(kind) + " named '" + name + "'");
}

/// NAME-data as base64, or the content of the file that NAME names.
std::string data_or_file(const json::object& object, const std::string& name) {
    if (const std::string data = text(object, name + "-data"); !data.empty()) {
        auto bytes = from_base64(data);
        if (!bytes) throw AccessError("the kubeconfig's " + name + "-data is no base64");
        return std::move(*bytes);
    }
    if (const std::string file = text(object, name); !file.empty()) return read_file(file);
    return {};
}

void take_server(Access& access, const std::string& server) {
    const auto url = boost::urls::parse_uri(server);
    if (!url || (url->scheme() != "https" && url->scheme() != "http"))
        throw AccessError("'" + server + "' is no address of an API server");
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
        throw AccessError("KUBERNETES_SERVICE_PORT is no port");
    access.authority = read_file(account / "ca.crt");
    access.token_file = account / "token";
    access.space = trimmed(read_file(account / "namespace"));
    return access;
}

Access kubeconfig_access(const fs::path& file) {
    boost::system::error_code error;
    const json::value parsed = json::parse(read_file(file), error);
    if (error || !parsed.is_object())
        throw AccessError(file.string() + " is not JSON; make it so: kubectl config view --raw --flatten -o json");
    const json::object& config = parsed.get_object();
    const json::object context = named(config, "contexts", "context", text(config, "current-context"));
    const json::object cluster = named(config, "clusters", "cluster", text(context, "cluster"));
    const json::object user = named(config, "users", "user", text(context, "user"));
    Access access;
    take_server(access, text(cluster, "server"));
    access.authority = data_or_file(cluster, "certificate-authority");
    access.client_certificate = data_or_file(user, "client-certificate");
    access.client_key = data_or_file(user, "client-key");
    access.token = text(user, "token");
    access.token_file = text(user, "tokenFile");
    access.space = text(context, "namespace");
    if (access.space.empty()) access.space = "default";
    return access;
}

}  // namespace turnout::kubernetes
