// What the operator makes for a PgUpgrade, as the API server is told it: the new server and the proxy. Pure.
//
// The new server belongs to nobody but the operator: it has no owner reference, so that no deletion of the object can
// take away a server that clients use. What belongs to the proxy is the object's own.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "control/kubernetes/spec.hpp"

namespace turnout::kubernetes {

/// The object that something is made for.
struct Owner {
    std::string name;
    std::string space;  ///< its namespace
    std::string uid;
};

/// The Secret that `spec.credentials` names.
struct Credentials {
    std::string username;
    std::string password;
};

/// Where objects of a kind are found: the path below a namespace.
struct Resource {
    std::string_view api;     ///< "apis/apps/v1" or "api/v1"
    std::string_view plural;  ///< "statefulsets"
    bool operator==(const Resource&) const = default;
};
namespace resource {
inline constexpr Resource upgrades{"apis/turnout.internal/v1alpha1", "pgupgrades"};
inline constexpr Resource stateful_sets{"apis/apps/v1", "statefulsets"};
inline constexpr Resource deployments{"apis/apps/v1", "deployments"};
inline constexpr Resource services{"api/v1", "services"};
inline constexpr Resource config_maps{"api/v1", "configmaps"};
inline constexpr Resource secrets{"api/v1", "secrets"};
inline constexpr Resource claims{"api/v1", "persistentvolumeclaims"};
inline constexpr Resource pods{"api/v1", "pods"};
inline constexpr Resource events{"api/v1", "events"};
inline constexpr Resource leases{"apis/coordination.k8s.io/v1", "leases"};
}  // namespace resource

/// Deployments or StatefulSets.
Resource resource_of(const WorkloadName& workload);

/// An object and where it belongs.
struct Child {
    Resource resource;
    std::string name;
    boost::json::object object;
};

/// The label that all children bear, with the object's name.
inline constexpr std::string_view kUpgradeLabel = "turnout.internal/upgrade";
/// The annotation of the clients' Service that keeps what it was before.
inline constexpr std::string_view kTrafficBefore = "turnout.internal/traffic-before";
/// The port that the proxy listens on, as PostgreSQL would: the clients' Service needs no other one.
inline constexpr int kPort = 5432;
inline constexpr int kMetricsPort = 9632;

std::string server_name(const Owner& owner);        ///< the StatefulSet and its Service
std::string proxy_name(const Owner& owner);         ///< the Deployment and everything about it
std::string old_service_name(const Owner& owner);   ///< the Service that keeps leading to the old server
std::string server_claim_name(const Owner& owner);  ///< of the new server's one volume

/// True if `olddbhost` is the Service of the clients, which is going to lead to the proxy: then the old server needs
/// another one.
bool old_host_is_traffic(const Spec& spec, std::string_view space);
/// Where the proxy finds the old server.
std::string old_host(const Owner& owner, const Spec& spec);

/// The labels by which a Service finds the pods.
boost::json::object server_selector(const Owner& owner);
boost::json::object proxy_selector(const Owner& owner);

/// The StatefulSet and its Service.
std::vector<Child> server_children(const Owner& owner, const Spec& spec);
/// Deployment, Service, PersistentVolumeClaim, ConfigMap and Secret, in an order in which they can be made.
std::vector<Child> proxy_children(const Owner& owner, const Spec& spec, const Credentials& credentials);
/// The Service to the old server, with the selector and ports that the clients' Service had.
Child old_service(const Owner& owner, const boost::json::object& traffic_before);

/// turnout.toml. Holds the password: it goes into a Secret.
std::string turnout_toml(const Owner& owner, const Spec& spec, const Credentials& credentials);

}  // namespace turnout::kubernetes
