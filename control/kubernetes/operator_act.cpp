// What the operator does about one object. Each act can be repeated.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "control/kubernetes/console_link.hpp"
#include "control/kubernetes/fields.hpp"
#include "control/kubernetes/operator.hpp"

namespace turnout::kubernetes {

namespace asio = boost::asio;
namespace json = boost::json;
using Steady = std::chrono::steady_clock;

namespace {

constexpr const char* kApiVersion = "turnout.internal/v1alpha1";
// Beside the workload, whose end is the end of the removal: it goes last, so that one that was interrupted is repeated.
constexpr std::array kOfTheProxy{resource::services, resource::config_maps, resource::secrets, resource::claims};

/// The selector and ports of a Service, as they were before it was led to the proxy.
json::object traffic_before(const json::object& service) {
    const std::string kept = text_in(service, {"metadata", "annotations", kTrafficBefore});
    boost::system::error_code error;
    const json::value parsed = json::parse(kept.empty() ? "null" : kept, error);
    if (!error && parsed.is_object()) return parsed.get_object();
    return {{"selector", object_in(service, {"spec", "selector"})}, {"ports", array_in(service, {"spec", "ports"})}};
}

/// The ports of a Service, led to the port of proxy and new server.
json::array redirected(const json::array& ports) {
    json::array led = ports;
    for (json::value& item : led) {
        if (!item.is_object()) continue;
        if (led.size() == 1 || number_in(item.get_object(), {"port"}) == kPort) item.get_object()["targetPort"] = kPort;
    }
    return led;
}

/// A merge patch that makes `now` of `before`.
json::object replacing(const json::object& before, const json::object& now) {
    json::object patch = now;
    for (const auto& [key, value] : before)
        if (!now.contains(key)) patch[key] = nullptr;
    return patch;
}

}  // namespace

void Operator::require_lead() const {
    if (!election_.leads(Steady::now())) throw std::runtime_error("the lease is lost");
}

asio::awaitable<void> Operator::write_status(const Look& look, const Status& status) {
    require_lead();
    json::object object{
        {"apiVersion", kApiVersion},
        {"kind", "PgUpgrade"},
        {"metadata",
         json::object{{"name", look.owner.name}, {"namespace", look.owner.space}, {"resourceVersion", look.version}}},
        {"status", to_json(status)}};
    const std::string path = client_.path(resource::upgrades, look.owner.name) + "/status";
    co_await client_.apply(path, std::move(object));
}

asio::awaitable<void> Operator::tell(Owner owner, Note note) {
    const auto now = WallClock::now();
    const auto number = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
    if (note.warning)
        spdlog::warn("{}: {}: {}", owner.name, note.reason, note.message);
    else
        spdlog::info("{}: {}: {}", owner.name, note.reason, note.message);
    json::object event{
        {"apiVersion", "v1"},
        {"kind", "Event"},
        {"metadata", json::object{{"name", fmt::format("{}.{:x}", owner.name, number)}, {"namespace", owner.space}}},
        {"involvedObject", json::object{{"apiVersion", kApiVersion},
                                        {"kind", "PgUpgrade"},
                                        {"name", owner.name},
                                        {"namespace", owner.space},
                                        {"uid", owner.uid}}},
        {"type", note.warning ? "Warning" : "Normal"},
        {"reason", note.reason},
        {"message", note.message.substr(0, 1000)},
        {"source", json::object{{"component", "turnout-operator"}}},
        {"firstTimestamp", time_text(now)},
        {"lastTimestamp", time_text(now)},
        {"count", 1}};
    const std::string path = client_.path(resource::events);
    co_await client_.create(path, std::move(event));
}

/// What the operator lacks the right to stands with the object: once, not at every try.
asio::awaitable<void> Operator::tell_forbidden(std::string name, std::string refusal) {
    const auto known = memory_.find(name);
    if (known == memory_.end() || known->second.owner.name.empty() || known->second.forbidden == refusal) co_return;
    known->second.forbidden = refusal;
    Owner owner = known->second.owner;
    Note note{true, "Forbidden",
              "the operator lacks a right, and tries again until it has it (kubectl apply -f rbac.yaml): " + refusal};
    try {
        co_await tell(std::move(owner), std::move(note));
    } catch (const std::exception& error) {
        spdlog::warn("{}: its Event was not taken: {}", name, error.what());
    }
}

asio::awaitable<void> Operator::act(const Look& look, Action action) {
    require_lead();
    switch (action.kind) {
        case ActionKind::add_finalizer: co_await set_finalizer(look, true); break;
        case ActionKind::remove_finalizer: co_await set_finalizer(look, false); break;
        case ActionKind::ask_old_server: co_await ask_old_server_of(look); break;
        case ActionKind::apply_server: co_await apply_server(look); break;
        case ActionKind::apply_proxy: co_await apply_proxy(look); break;
        case ActionKind::move_traffic: co_await move_traffic(look, action.to); break;
        case ActionKind::run_verb: begin_verb(look, action.verb, std::move(action.command)); break;
        case ActionKind::cancel_verb: {
            const auto job = memory_[look.owner.name].job;
            if (job) job->cancel.emit(asio::cancellation_type::terminal);
            break;
        }
        case ActionKind::remove_old_workload: {
            const WorkloadName old = look.spec.old_workload.value();
            const std::string path = client_.path(resource_of(old), old.name);
            co_await client_.remove(path);
            break;
        }
        case ActionKind::remove_proxy: co_await remove_proxy(look); break;
        case ActionKind::remove_server: co_await remove_server(look, action.volume); break;
    }
}

asio::awaitable<void> Operator::set_finalizer(const Look& look, bool there) {
    json::array finalizers;
    for (const json::value& item : array_in(look.object, {"metadata", "finalizers"}))
        if (item != kFinalizer) finalizers.push_back(item);
    if (there) finalizers.emplace_back(kFinalizer);
    // The version is part of it: somebody else's finalizer, set meanwhile, must not be lost.
    json::object patch{
        {"metadata", json::object{{"resourceVersion", look.version}, {"finalizers", std::move(finalizers)}}}};
    const std::string path = client_.path(resource::upgrades, look.owner.name);
    co_await client_.merge(path, std::move(patch));
}

asio::awaitable<void> Operator::apply(Child child) {
    const std::string path = client_.path(child.resource, child.name);
    co_await client_.apply(path, std::move(child.object));
}

asio::awaitable<void> Operator::apply_server(const Look& look) {
    std::vector<Child> children = server_children(look.owner, look.spec);
    for (Child& child : children) co_await apply(std::move(child));
    // Not before there is a server: with that one it goes again.
    if (old_host_is_traffic(look.spec, look.owner.space)) co_await keep_old_service(look);
}

asio::awaitable<void> Operator::apply_proxy(const Look& look) {
    if (!look.credentials) co_return;
    std::vector<Child> children = proxy_children(look.owner, look.spec, *look.credentials);
    for (Child& child : children) co_await apply(std::move(child));
}

asio::awaitable<void> Operator::keep_old_service(const Look& look) {
    if (look.seen.traffic == Traffic::missing || look.seen.traffic == Traffic::new_server) co_return;
    const std::string path = client_.path(resource::services, look.spec.traffic_service);
    const json::object service = co_await client_.get(path);
    Child child = old_service(look.owner, traffic_before(service));
    co_await apply(std::move(child));
}

asio::awaitable<void> Operator::move_traffic(const Look& look, Traffic to) {
    const std::string path = client_.path(resource::services, look.spec.traffic_service);
    const json::object service = co_await client_.get(path);
    const json::object before = traffic_before(service);
    const bool back = to == Traffic::old_server;
    json::object selector = object_in(before, {"selector"});
    json::array ports = array_in(before, {"ports"});
    if (!back) {
        selector = to == Traffic::proxy ? proxy_selector(look.owner) : server_selector(look.owner);
        ports = redirected(ports);
    }
    json::object annotations{{kTrafficBefore, back ? json::value(nullptr) : json::value(json::serialize(before))}};
    json::object patch{
        {"metadata", json::object{{"resourceVersion", text_in(service, {"metadata", "resourceVersion"})},
                                  {"annotations", std::move(annotations)}}},
        {"spec", json::object{{"selector", replacing(object_in(service, {"spec", "selector"}), selector)},
                              {"ports", std::move(ports)}}}};
    co_await client_.merge(path, std::move(patch));
    const char* const where = back ? "the old server" : to == Traffic::proxy ? "the proxy" : "the new server";
    Note note{false, "TrafficMoved", fmt::format("the Service {} leads to {}", look.spec.traffic_service, where)};
    co_await tell(look.owner, std::move(note));
}

asio::awaitable<void> Operator::remove_proxy(const Look& look) {
    const std::string name = proxy_name(look.owner);
    for (const Resource& kind : kOfTheProxy) {
        const std::string path = client_.path(kind, name);
        co_await client_.remove(path);
    }
    if (old_host_is_traffic(look.spec, look.owner.space)) {
        const std::string path = client_.path(resource::services, old_service_name(look.owner));
        co_await client_.remove(path);
    }
    const std::string workload = client_.path(resource::deployments, name);
    co_await client_.remove(workload);
}

asio::awaitable<void> Operator::remove_server(const Look& look, bool volume) {
    const std::string name = server_name(look.owner);
    const std::string service = client_.path(resource::services, name);
    co_await client_.remove(service);
    if (volume) {
        // It is gone when its pod is: a volume in use is protected.
        const std::string claim = client_.path(resource::claims, server_claim_name(look.owner));
        co_await client_.remove(claim);
    }
    const std::string workload = client_.path(resource::stateful_sets, name);
    co_await client_.remove(workload);
}

asio::awaitable<void> Operator::ask_old_server_of(const Look& look) {
    if (!look.credentials) co_return;
    Endpoint endpoint{look.spec.old_host, look.spec.old_port, look.spec.old_sslmode};
    OldServer found;
    found.problems = co_await ask_old_server(std::move(endpoint), *look.credentials, look.spec);
    found.asked = WallClock::now();
    memory_[look.owner.name].old_server = std::move(found);
}

void Operator::begin_verb(const Look& look, Verb verb, std::string command) {
    Memory& memory = memory_[look.owner.name];
    if (memory.job || !look.credentials) return;
    spdlog::info("{}: turnout {}", look.owner.name, name(verb));
    memory.job = std::make_shared<Job>();
    memory.job->verb = verb;
    asio::co_spawn(
        executor_,
        carry_verb(look.owner.name, memory.job, *look.credentials, console_of(look.owner).host, std::move(command)),
        asio::bind_cancellation_slot(memory.job->cancel.slot(), asio::detached));
}

asio::awaitable<void> Operator::carry_verb(std::string upgrade, std::shared_ptr<Job> job, Credentials credentials,
                                           std::string host, std::string command) {
    VerbResult result;
    result.verb = job->verb;
    try {
        Endpoint console{std::move(host)};
        result = co_await run_verb(std::move(console), std::move(credentials), job->verb, std::move(command));
    } catch (const std::exception& error) {
        result.message = error.what();
    }
    result.ended = WallClock::now();
    Memory& memory = memory_[upgrade];
    const bool again = memory.last && !memory.last->done && memory.last->verb == result.verb;
    if (!result.done) result.failures = (again ? memory.last->failures : 0) + 1;
    if (!result.done) spdlog::warn("{}: turnout {}: {}", upgrade, name(result.verb), result.message);
    memory.last = std::move(result);
    memory.job.reset();
    queue_.add(upgrade, Steady::now());
    wake();
}

}  // namespace turnout::kubernetes
