// What a PgUpgrade asks for: its `spec`, read and checked. Pure.
//
// The API server has checked types, ranges and defaults by the schema of the CRD before (deploy/kubernetes/crd.yaml);
// this checks what a schema cannot say, and everything again, since an older CRD may be installed.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::kubernetes {

/// `spec.cutover`: when clients change over to the new server.
enum class Cutover {
    manual,          ///< when somebody says so
    when_caught_up,  ///< as soon as the new server has caught up; `finishsync: true` means this, too
    abort,           ///< never: dismantle everything, the old server stays
    rollback,        ///< back to the old server, with what was written meanwhile
};
std::string_view name(Cutover cutover);

/// `spec.finish`: when the way back is given up.
enum class Finish { manual, after_watch };

/// `spec.reclaimPolicy`: what becomes of the new server's volume when the object is deleted before clients use it.
enum class ReclaimPolicy { retain, remove };

/// One thing that is wrong with a spec.
struct SpecProblem {
    std::string field;    ///< "spec.olddbport"
    std::string message;  ///< a sentence, with what to write instead

    /// "spec.olddbport: ..."
    std::string text() const { return field + ": " + message; }
    bool operator==(const SpecProblem&) const = default;
};

/// A Deployment or StatefulSet, in the namespace of the object.
struct WorkloadName {
    std::string kind;
    std::string name;
    bool operator==(const WorkloadName&) const = default;
};

struct Spec {
    std::string image;         ///< of the new server
    std::optional<int> major;  ///< of the image's tag, where that begins with a number
    std::vector<std::string> databases;
    std::string old_host;
    std::uint16_t old_port = 5432;
    std::string old_sslmode = "prefer";
    std::string publication;         ///< from manifests of the thesis; turnout names its objects itself
    std::string subscription;        ///< the same
    std::string credentials_secret;  ///< keys `username` and `password`: the superuser of both servers
    std::string tls_secret;          ///< keys `tls.crt` and `tls.key`: the proxy's towards clients; empty: no TLS
    bool require_tls = false;
    std::string storage_size = "10Gi";
    std::string storage_class;  ///< empty: the cluster's default
    boost::json::object resources;
    std::string proxy_image;
    boost::json::object proxy_resources;
    Cutover cutover = Cutover::manual;
    Finish finish = Finish::manual;
    bool retire_old = false;  ///< killdeployments
    std::string max_pause = "100ms";
    std::string deadline = "60s";
    std::string pinned = "wait";
    std::string long_transactions = "wait";
    std::string bypassing = "refuse";
    bool verify = false;
    std::chrono::milliseconds watch{std::chrono::minutes(10)};
    std::string rollback_if;  ///< as ROLLBACK_IF takes it; empty: nobody compares
    ReclaimPolicy reclaim = ReclaimPolicy::retain;
    std::string traffic_service;  ///< which clients use; empty: they are pointed at the proxy by other means
    std::optional<WorkloadName> old_workload;
};

/// What was read; to be used only if there are no problems.
struct ParsedSpec {
    Spec spec;
    std::vector<SpecProblem> problems;
};
ParsedSpec parse_spec(const boost::json::object& spec);

/// The fields that cannot change once a version change has begun, each with its value: what the status keeps.
boost::json::object frozen_fields(const Spec& spec);

/// What was changed although it must not, each with the value to go back to.
std::vector<SpecProblem> changed_fields(const boost::json::object& frozen, const Spec& spec);

}  // namespace turnout::kubernetes
