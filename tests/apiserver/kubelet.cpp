#include "tests/apiserver/kubelet.hpp"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cctype>
#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <stdexcept>

#include "bench/served.hpp"
#include "control/kubernetes/base64.hpp"
#include "control/kubernetes/fields.hpp"

namespace turnout::apiserver {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;
using namespace kubernetes;
using namespace std::chrono_literals;

namespace {

std::string key_of(const Resource& kind, const std::string& name) { return std::string(kind.plural) + "/" + name; }

const json::object& container_of(const json::object& workload) {
    static const json::object kNone;
    const json::array& containers = array_in(workload, {"spec", "template", "spec", "containers"});
    return containers.empty() || !containers.front().is_object() ? kNone : containers.front().get_object();
}

/// The major of "postgres:17"; 0 of another image, or where it cannot be pulled because there is no such server here.
int major_of(const std::string& image) {
    if (!image.starts_with("postgres:")) return 0;
    const int major = std::atoi(image.c_str() + 9);
    return support::server_binaries(major) ? major : 0;
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
        text.replace(at, what.size(), by);
}

void write(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

/// True if an HTTP GET of the path is answered with 200.
bool answers(std::uint16_t port, const std::string& path) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return false;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{2, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    std::string answer(64, '\0');
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    const bool asked = ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                       ::send(socket, request.data(), request.size(), MSG_NOSIGNAL) > 0;
    const ssize_t size = asked ? ::recv(socket, answer.data(), answer.size(), MSG_WAITALL) : 0;
    ::close(socket);
    return size > 12 && answer.substr(9, 3) == "200";
}

bool matches(const json::object& selector, const json::object& labels) {
    return !selector.empty() && std::all_of(selector.begin(), selector.end(), [&labels](const auto& wanted) {
        const json::value* const label = labels.if_contains(wanted.key());
        return label != nullptr && *label == wanted.value();
    });
}

}  // namespace

Kubelet::Kubelet(Access access, std::string program, fs::path directory)
    : client_(context_.get_executor(), std::move(access)),
      program_(std::move(program)),
      directory_(std::move(directory)),
      network_(directory_ / "hosts") {
    asio::co_spawn(context_, live(), [](std::exception_ptr thrown) {
        if (thrown) std::rethrow_exception(thrown);
    });
    thread_ = std::thread([this] { context_.run(); });
}

Kubelet::~Kubelet() {
    stopping_ = true;
    thread_.join();
    for (auto& [name, pod] : pods_) stop(*pod);
}

support::Cluster& Kubelet::server(const std::string& workload) const {
    const std::lock_guard lock(mutex_);
    const auto found = pods_.find(workload);
    if (found == pods_.end() || !found->second->server) throw std::runtime_error("no server runs for " + workload);
    return *found->second->server;
}

bool Kubelet::runs(const std::string& workload) const {
    const std::lock_guard lock(mutex_);
    const auto found = pods_.find(workload);
    return found != pods_.end() && found->second->ready;
}

int Kubelet::starts(const std::string& workload) const {
    const std::lock_guard lock(mutex_);
    const auto found = starts_.find(workload);
    return found == starts_.end() ? 0 : found->second;
}

std::string Kubelet::log(const std::string& workload) const {
    const std::lock_guard lock(mutex_);
    const auto found = pods_.find(workload);
    if (found == pods_.end() || found->second->directory.empty()) return {};
    std::ifstream stream(found->second->directory / "log", std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(stream), {}};
    return text.size() > 20'000 ? text.substr(text.size() - 20'000) : text;
}

asio::awaitable<void> Kubelet::live() {
    asio::steady_timer again(context_);
    while (!stopping_) {
        try {
            co_await round();
        } catch (const std::exception& error) {
            std::cerr << "kubelet: " << error.what() << std::endl;  // an API server that was killed, most of the time
        }
        again.expires_after(200ms);
        co_await again.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<void> Kubelet::round() {
    co_await look_after(resource::stateful_sets);
    co_await look_after(resource::deployments);
    co_await lead_services();
}

asio::awaitable<void> Kubelet::look_after(const Resource& kind) {
    const std::string path = client_.path(kind);
    const json::object list = co_await client_.get(path);
    std::set<std::string> wanted;
    for (const json::value& item : array_in(list, {"items"})) {
        const json::object& workload = item.as_object();
        const std::string name = text_in(workload, {"metadata", "name"});
        const std::string image = text_in(container_of(workload), {"image"});
        wanted.insert(key_of(kind, name));
        Pod* pod = nullptr;
        {
            const std::lock_guard lock(mutex_);
            auto& slot = pods_[key_of(kind, name)];
            if (!slot) slot = std::make_unique<Pod>();
            pod = slot.get();
        }
        if (pod->image.empty()) {
            pod->image = image;
            pod->labels = object_in(workload, {"spec", "template", "metadata", "labels"});
            try {
                co_await start(*pod, workload, name);
            } catch (...) {
                pod->image.clear();  // the API server has gone in between: again
                throw;
            }
            const std::lock_guard lock(mutex_);
            ++starts_[key_of(kind, name)];
        }
        if (pod->process > 0) {
            int status = 0;
            if (::waitpid(pod->process, &status, WNOHANG) == pod->process) {
                pod->process = -1;
                pod->image.clear();  // it is started again
            }
        }
        const bool ready =
            pod->server ? pod->server->running() : pod->process > 0 && answers(pod->ports.at(9632), "/readyz");
        pod->ready = ready;
        co_await tell_status(kind, name, ready, workload);
    }
    std::vector<std::unique_ptr<Pod>> gone;
    {
        const std::lock_guard lock(mutex_);
        for (auto it = pods_.begin(); it != pods_.end();) {
            if (!it->first.starts_with(std::string(kind.plural) + "/") || wanted.contains(it->first)) {
                ++it;
                continue;
            }
            gone.push_back(std::move(it->second));
            it = pods_.erase(it);
        }
    }
    for (const auto& pod : gone) stop(*pod);
}

asio::awaitable<void> Kubelet::start(Pod& pod, const json::object& workload, std::string name) {
    co_await make_claims(workload, name);
    if (pod.image.starts_with("turnout")) {
        co_await start_turnout(pod, workload);
    } else if (major_of(pod.image) != 0) {
        co_await start_server(pod, container_of(workload));
    } else {
        co_await tell_hopeless(pod, name);
    }
}

/// As the StatefulSet's controller does: the claims outlive it.
asio::awaitable<void> Kubelet::make_claims(const json::object& workload, std::string name) {
    for (const json::value& item : array_in(workload, {"spec", "volumeClaimTemplates"})) {
        json::object claim = item.as_object();
        const std::string claim_name = text_in(claim, {"metadata", "name"}) + "-" + name + "-0";
        json::object made{{"apiVersion", "v1"},
                          {"kind", "PersistentVolumeClaim"},
                          {"metadata", json::object{{"name", claim_name}}},
                          {"spec", object_in(claim, {"spec"})}};
        const std::string path = client_.path(resource::claims);
        try {
            co_await client_.create(path, std::move(made));
        } catch (const ApiRefusal& refusal) {
            if (!refusal.conflict()) throw;  // it is of an earlier life
        }
    }
}

asio::awaitable<void> Kubelet::start_server(Pod& pod, const json::object& container) {
    support::ClusterOptions options;
    options.major = major_of(pod.image);
    options.name = "pod";
    options.fsync = false;
    options.auth = support::ClusterAuth::scram;
    const json::array& arguments = array_in(container, {"args"});
    for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
        if (arguments[i] != "-c") continue;
        const std::string setting(arguments[i + 1].as_string());
        const auto equals = setting.find('=');
        options.settings.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
    }
    for (const json::value& item : array_in(container, {"env"})) {
        if (text_in(item.as_object(), {"name"}) != "POSTGRES_PASSWORD") continue;
        const std::string secret = text_in(item.as_object(), {"valueFrom", "secretKeyRef", "name"});
        const std::string path = client_.path(resource::secrets, secret);
        const json::object found = co_await client_.get(path);
        options.password = from_base64(text_in(found, {"data", "password"})).value_or("");
    }
    auto server = std::make_unique<support::Cluster>(options);
    pod.ports[5432] = server->port();
    const std::lock_guard lock(mutex_);
    pod.server = std::move(server);
}

asio::awaitable<void> Kubelet::start_turnout(Pod& pod, const json::object& workload) {
    std::string secret;
    std::string rules;
    for (const json::value& item : array_in(workload, {"spec", "template", "spec", "volumes"})) {
        const json::object& volume = item.as_object();
        if (text_in(volume, {"name"}) == "config") secret = text_in(volume, {"secret", "secretName"});
        if (text_in(volume, {"name"}) == "rules") rules = text_in(volume, {"configMap", "name"});
    }
    const std::string secret_path = client_.path(resource::secrets, secret);
    const json::object config = co_await client_.get(secret_path);
    const std::string rules_path = client_.path(resource::config_maps, rules);
    const json::object hba = co_await client_.get(rules_path);
    // The volume of the state outlives the container.
    if (pod.directory.empty()) {
        const std::lock_guard lock(mutex_);
        pod.directory = directory_ / ("pod-" + std::to_string(++made_));
    }
    const std::string folder = pod.directory.string();
    for (const char* part : {"", "rules", "state", "run"}) fs::create_directories(pod.directory / part);
    pod.ports[5432] = bench::free_port();
    pod.ports[9632] = bench::free_port();
    std::string toml = from_base64(text_in(config, {"data", "turnout.toml"})).value_or("");
    replace_all(toml, "/etc/turnout-rules", folder + "/rules");
    replace_all(toml, "/var/lib/turnout", folder + "/state");
    replace_all(toml, "/run/turnout", folder + "/run");
    replace_all(toml, "0.0.0.0:5432", "127.0.0.1:" + std::to_string(pod.ports[5432]));
    replace_all(toml, "0.0.0.0:9632", "127.0.0.1:" + std::to_string(pod.ports[9632]));
    write(pod.directory / "turnout.toml", toml);
    write(pod.directory / "rules" / "pg_hba.conf", text_in(hba, {"data", "pg_hba.conf"}));
    pod.process = support::spawn({.arguments = {program_, "serve", "--config", folder + "/turnout.toml"},
                                  .directory = pod.directory,
                                  .output = pod.directory / "log"});
}

asio::awaitable<void> Kubelet::tell_hopeless(Pod& pod, std::string name) {
    if (pod.told) co_return;
    pod.told = true;
    const std::string pod_name = name + "-0";
    json::object object{
        {"apiVersion", "v1"},
        {"kind", "Pod"},
        {"metadata", json::object{{"name", pod_name}, {"labels", pod.labels}}},
        {"spec", json::object{{"containers", json::array{json::object{{"name", "postgres"}, {"image", pod.image}}}}}}};
    const std::string pods = client_.path(resource::pods);
    co_await client_.create(pods, std::move(object));
    json::object waiting{{"reason", "ImagePullBackOff"}, {"message", "Back-off pulling image \"" + pod.image + "\""}};
    json::object container{{"name", "postgres"}, {"image", pod.image},
                           {"imageID", ""},      {"ready", false},
                           {"restartCount", 0},  {"state", json::object{{"waiting", std::move(waiting)}}}};
    json::object patch{{"status", json::object{{"phase", "Pending"}, {"containerStatuses", json::array{container}}}}};
    const std::string status = client_.path(resource::pods, pod_name) + "/status";
    co_await client_.merge(status, std::move(patch));
}

asio::awaitable<void> Kubelet::tell_status(const Resource& kind, std::string name, bool ready,
                                           const json::object& workload) {
    const int count = ready ? 1 : 0;
    const bool set = kind == resource::stateful_sets;
    const std::string_view member = set ? "readyReplicas" : "availableReplicas";
    if (number_in(workload, {"status", member}) == count && number_in(workload, {"status", "replicas"}) == 1) co_return;
    json::object status{{"replicas", 1}, {"readyReplicas", count}};
    if (!set) status["availableReplicas"] = count;
    json::object patch{{"status", std::move(status)}};
    const std::string path = client_.path(kind, name) + "/status";
    try {
        co_await client_.merge(path, std::move(patch));
    } catch (const ApiRefusal& refusal) {
        if (!refusal.not_found()) throw;  // it was deleted meanwhile
    }
}

asio::awaitable<void> Kubelet::lead_services() {
    const std::string path = client_.path(resource::services);
    const json::object list = co_await client_.get(path);
    std::map<std::string, std::string> now;
    for (const json::value& item : array_in(list, {"items"})) {
        const json::object& service = item.as_object();
        const std::string name = text_in(service, {"metadata", "name"});
        now[name] = name;
        for (const json::value& entry : array_in(service, {"spec", "ports"})) {
            const auto number = static_cast<std::uint16_t>(number_in(entry.as_object(), {"port"}));
            const auto target = number_in(entry.as_object(), {"targetPort"});
            std::optional<std::uint16_t> to;
            for (const auto& [key, pod] : pods_) {
                const auto found = pod->ports.find(target == 0 ? number : target);
                if (!pod->ready || found == pod->ports.end()) continue;
                if (!matches(object_in(service, {"spec", "selector"}), pod->labels)) continue;
                to = found->second;
            }
            network_.lead(name, number, to);
        }
    }
    for (const auto& [name, same] : services_)
        if (!now.contains(name)) network_.forget(name);
    services_ = std::move(now);
}

void Kubelet::stop(Pod& pod) {
    if (pod.process > 0) {
        ::kill(pod.process, SIGTERM);
        if (!support::wait_for_exit(pod.process, 10s)) {
            ::kill(pod.process, SIGKILL);
            ::waitpid(pod.process, nullptr, 0);
        }
        pod.process = -1;
    }
    pod.server.reset();
}

}  // namespace turnout::apiserver
