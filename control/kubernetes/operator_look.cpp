// What the operator sees of one object and its world.
#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <string_view>
#include <utility>

#include "control/kubernetes/base64.hpp"
#include "control/kubernetes/console_link.hpp"
#include "control/kubernetes/fields.hpp"
#include "control/kubernetes/operator.hpp"
#include "control/pg_error.hpp"

namespace turnout::kubernetes {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Why a pod does not start; empty: it does, or nothing is known yet.
std::string trouble_of(const json::object& pod) {
    constexpr std::array<std::string_view, 6> kHopeless{"ErrImagePull",         "ImagePullBackOff",
                                                        "InvalidImageName",     "CrashLoopBackOff",
                                                        "CreateContainerError", "CreateContainerConfigError"};
    for (const json::value& status : array_in(pod, {"status", "containerStatuses"})) {
        if (!status.is_object()) continue;
        const std::string reason = text_in(status.get_object(), {"state", "waiting", "reason"});
        if (std::find(kHopeless.begin(), kHopeless.end(), reason) == kHopeless.end()) continue;
        const std::string message = text_in(status.get_object(), {"state", "waiting", "message"});
        return message.empty() ? reason : reason + ": " + message;
    }
    for (const json::value& item : array_in(pod, {"status", "conditions"})) {
        if (!item.is_object() || text_in(item.get_object(), {"reason"}) != "Unschedulable") continue;
        return "Unschedulable: " + text_in(item.get_object(), {"message"});
    }
    return {};
}

bool has_finalizer(const json::object& object) {
    const json::array& finalizers = array_in(object, {"metadata", "finalizers"});
    return std::any_of(finalizers.begin(), finalizers.end(),
                       [](const json::value& item) { return item.is_string() && item.get_string() == kFinalizer; });
}

}  // namespace

asio::awaitable<Operator::Look> Operator::look(std::string name) {
    Look found;
    found.object = co_await client_.get(client_.path(resource::upgrades, name));
    found.owner = {name, client_.space(), text_in(found.object, {"metadata", "uid"})};
    memory_[name].owner = found.owner;
    found.version = text_in(found.object, {"metadata", "resourceVersion"});
    Observed& seen = found.seen;
    seen.generation = number_in(found.object, {"metadata", "generation"});
    seen.deleting = find_in(found.object, {"metadata", "deletionTimestamp"}) != nullptr;
    seen.finalizer = has_finalizer(found.object);
    seen.spec = object_in(found.object, {"spec"});
    seen.status = parse_status(object_in(found.object, {"status"}));
    found.spec = parse_spec(seen.spec).spec;
    // What was begun with is undone, whatever the spec says by now.
    if (!seen.status.frozen.empty()) found.spec.traffic_service = text_in(seen.status.frozen, {"trafficService"});
    co_await look_at_secrets(found);
    seen.server = co_await workload(resource::stateful_sets, server_name(found.owner), "server");
    seen.proxy = co_await workload(resource::deployments, proxy_name(found.owner), "proxy");
    if (found.spec.old_workload) {
        const WorkloadName& old = *found.spec.old_workload;
        seen.old_workload = co_await workload(resource_of(old), old.name, "");
    }
    seen.traffic = co_await traffic(found);
    if (seen.proxy.exists) co_await look_at_turnout(found);
    const Memory& memory = memory_[name];
    seen.old_server = memory.old_server;
    seen.last = memory.last;
    if (memory.job) seen.running = memory.job->verb;
    seen.now = WallClock::now();
    co_return found;
}

asio::awaitable<void> Operator::look_at_secrets(Look& look) {
    const std::string& name = look.spec.credentials_secret;
    if (name.empty()) co_return;
    std::optional<json::object> secret;
    try {
        secret = co_await client_.get(client_.path(resource::secrets, name));
    } catch (const ApiRefusal& refusal) {
        if (!refusal.not_found()) throw;
        look.seen.secrets.push_back({"spec.credentials.secretName", "there is no Secret '" + name +
                                                                        "': make it, with the keys username and "
                                                                        "password"});
        co_return;
    }
    Credentials credentials{from_base64(text_in(*secret, {"data", "username"})).value_or(""),
                            from_base64(text_in(*secret, {"data", "password"})).value_or("")};
    for (const auto& [key, value] : {std::pair<const char*, const std::string&>("username", credentials.username),
                                     std::pair<const char*, const std::string&>("password", credentials.password)}) {
        if (value.empty())
            look.seen.secrets.push_back(
                {"spec.credentials.secretName", "the Secret '" + name + "' lacks the key " + key + ": add it"});
    }
    if (look.seen.secrets.empty()) look.credentials = std::move(credentials);
}

asio::awaitable<Workload> Operator::workload(Resource resource, std::string name, std::string component) {
    Workload found;
    json::object object;
    try {
        object = co_await client_.get(client_.path(resource, name));
    } catch (const ApiRefusal& refusal) {
        if (!refusal.not_found()) throw;
        co_return found;
    }
    found.exists = find_in(object, {"metadata", "deletionTimestamp"}) == nullptr;
    const std::string_view count = resource == resource::stateful_sets ? "readyReplicas" : "availableReplicas";
    found.ready = number_in(object, {"status", count}) > 0;
    if (found.ready || component.empty()) co_return found;
    const std::string upgrade = text_in(object, {"metadata", "labels", kUpgradeLabel});
    const std::string selector =
        "?labelSelector=" + std::string(kUpgradeLabel) + "=" + upgrade + ",app.kubernetes.io/component=" + component;
    const std::string path = client_.path(resource::pods) + selector;
    const json::object pods = co_await client_.get(path);
    for (const json::value& pod : array_in(pods, {"items"}))
        if (found.trouble.empty() && pod.is_object()) found.trouble = trouble_of(pod.get_object());
    co_return found;
}

asio::awaitable<Traffic> Operator::traffic(const Look& look) {
    if (look.spec.traffic_service.empty()) co_return Traffic::none;
    json::object service;
    try {
        service = co_await client_.get(client_.path(resource::services, look.spec.traffic_service));
    } catch (const ApiRefusal& refusal) {
        if (!refusal.not_found()) throw;
        co_return Traffic::missing;
    }
    const json::object& selector = object_in(service, {"spec", "selector"});
    if (selector == proxy_selector(look.owner)) co_return Traffic::proxy;
    if (selector == server_selector(look.owner)) co_return Traffic::new_server;
    co_return Traffic::old_server;
}

asio::awaitable<void> Operator::look_at_turnout(Look& look) {
    if (!look.credentials) {
        look.seen.unreachable = "its credentials are missing";
        co_return;
    }
    try {
        Endpoint console = console_of(look.owner);
        const auto& told = look.seen.status.window;
        const std::int64_t known = told ? told->generation : 0;
        look.seen.turnout = co_await show_status(std::move(console), *look.credentials, known);
    } catch (const control::PgError& error) {
        look.seen.unreachable = error.fields().message;
    } catch (const std::runtime_error& error) {
        look.seen.unreachable = error.what();
    }
}

}  // namespace turnout::kubernetes
