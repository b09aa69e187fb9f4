#include "control/kubernetes/children.hpp"

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "control/kubernetes/base64.hpp"

namespace turnout::kubernetes {

namespace json = boost::json;

namespace {

constexpr int kPostgresUser = 999;  ///< of the official image on Debian
constexpr int kTurnoutUser = 65532;

json::object labels(const Owner& owner, std::string_view component) {
    return {{"app.kubernetes.io/name", "turnout"},
            {"app.kubernetes.io/component", component},
            {"app.kubernetes.io/managed-by", "turnout-operator"},
            {kUpgradeLabel, owner.name}};
}

json::object selector(const Owner& owner, std::string_view component) {
    return {{"app.kubernetes.io/component", component}, {kUpgradeLabel, owner.name}};
}

json::object metadata(const Owner& owner, const std::string& name, std::string_view component) {
    return {{"name", name}, {"namespace", owner.space}, {"labels", labels(owner, component)}};
}

/// As metadata(); the garbage collector takes it away with the object.
json::object owned_metadata(const Owner& owner, const std::string& name, std::string_view component) {
    json::object meta = metadata(owner, name, component);
    meta["ownerReferences"] = json::array{json::object{{"apiVersion", "turnout.internal/v1alpha1"},
                                                       {"kind", "PgUpgrade"},
                                                       {"name", owner.name},
                                                       {"uid", owner.uid},
                                                       {"controller", true}}};
    return meta;
}

json::object pod_security(int user) {
    return {{"runAsNonRoot", true},
            {"runAsUser", user},
            {"runAsGroup", user},
            {"fsGroup", user},
            {"seccompProfile", json::object{{"type", "RuntimeDefault"}}}};
}

json::object container_security() {
    return {{"allowPrivilegeEscalation", false},
            {"readOnlyRootFilesystem", true},
            {"capabilities", json::object{{"drop", json::array{"ALL"}}}}};
}

json::object from_secret(std::string_view variable, const std::string& secret, std::string_view key) {
    return {{"name", variable},
            {"valueFrom", json::object{{"secretKeyRef", json::object{{"name", secret}, {"key", key}}}}}};
}

json::object mount(std::string_view name, std::string_view path, bool read_only = false) {
    json::object object{{"name", name}, {"mountPath", path}};
    if (read_only) object["readOnly"] = true;
    return object;
}

json::object empty_volume(std::string_view name) { return {{"name", name}, {"emptyDir", json::object{}}}; }

json::object claim_spec(const std::string& size, const std::string& storage_class) {
    json::object spec{{"accessModes", json::array{"ReadWriteOnce"}},
                      {"resources", json::object{{"requests", json::object{{"storage", size}}}}}};
    if (!storage_class.empty()) spec["storageClassName"] = storage_class;
    return spec;
}

json::object service(json::object meta, json::object selected, json::array ports) {
    return {{"apiVersion", "v1"},
            {"kind", "Service"},
            {"metadata", std::move(meta)},
            {"spec", json::object{{"selector", std::move(selected)}, {"ports", std::move(ports)}}}};
}

json::object port(std::string_view name, int number) {
    return {{"name", name}, {"port", number}, {"targetPort", number}, {"protocol", "TCP"}};
}

/// What logical replication needs in both directions, with room for one stream for each database and their first copy.
json::array server_arguments(const Spec& spec) {
    const auto room = 10 + 4 * spec.databases.size();
    json::array arguments{"postgres"};
    for (const std::string& setting :
         {std::string("wal_level=logical"), fmt::format("max_replication_slots={}", room),
          fmt::format("max_wal_senders={}", room), fmt::format("max_logical_replication_workers={}", room),
          fmt::format("max_sync_workers_per_subscription={}", 4), fmt::format("max_worker_processes={}", room + 8)}) {
        arguments.emplace_back("-c");
        arguments.emplace_back(setting);
    }
    return arguments;
}

json::object server_container(const Spec& spec) {
    json::object container{
        {"name", "postgres"},
        {"image", spec.image},
        {"args", server_arguments(spec)},
        {"env", json::array{from_secret("POSTGRES_USER", spec.credentials_secret, "username"),
                            from_secret("POSTGRES_PASSWORD", spec.credentials_secret, "password"),
                            json::object{{"name", "PGDATA"}, {"value", "/var/lib/postgresql/pgdata"}}}},
        {"ports", json::array{json::object{{"name", "postgresql"}, {"containerPort", kPort}, {"protocol", "TCP"}}}},
        // While the image initializes itself its server listens on the socket only: ready has to mean by TCP.
        {"readinessProbe",
         json::object{{"exec", json::object{{"command", json::array{"pg_isready", "-q", "-h", "127.0.0.1"}}}},
                      {"periodSeconds", 2}}},
        {"securityContext", container_security()},
        {"volumeMounts",
         json::array{mount("data", "/var/lib/postgresql"), mount("run", "/var/run/postgresql"), mount("tmp", "/tmp")}}};
    if (!spec.resources.empty()) container["resources"] = spec.resources;
    return container;
}

json::object http_probe(std::string_view path) {
    return {{"httpGet", json::object{{"path", path}, {"port", kMetricsPort}}}, {"periodSeconds", 2}};
}

json::object proxy_container(const Spec& spec) {
    json::array mounts{mount("config", "/etc/turnout", true), mount("rules", "/etc/turnout-rules", true),
                       mount("state", "/var/lib/turnout"), mount("run", "/run/turnout"), mount("tmp", "/tmp")};
    if (!spec.tls_secret.empty()) mounts.push_back(mount("tls", "/etc/turnout-tls", true));
    json::object liveness = http_probe("/healthz");
    liveness["failureThreshold"] = 15;
    json::object container{
        {"name", "turnout"},
        {"image", spec.proxy_image},
        {"args", json::array{"serve", "--config", "/etc/turnout/turnout.toml"}},
        {"env", json::array{json::object{{"name", "TURNOUT_ADMIN"}, {"value", "/run/turnout"}}}},
        {"ports", json::array{json::object{{"name", "postgresql"}, {"containerPort", kPort}, {"protocol", "TCP"}},
                              json::object{{"name", "metrics"}, {"containerPort", kMetricsPort}, {"protocol", "TCP"}}}},
        {"readinessProbe", http_probe("/readyz")},
        {"livenessProbe", std::move(liveness)},
        {"securityContext", container_security()},
        {"volumeMounts", std::move(mounts)}};
    if (!spec.proxy_resources.empty()) container["resources"] = spec.proxy_resources;
    return container;
}

json::object proxy_deployment(const Owner& owner, const Spec& spec) {
    const std::string name = proxy_name(owner);
    json::array volumes{
        json::object{{"name", "config"}, {"secret", json::object{{"secretName", name}, {"defaultMode", 0440}}}},
        json::object{{"name", "rules"}, {"configMap", json::object{{"name", name}}}},
        json::object{{"name", "state"}, {"persistentVolumeClaim", json::object{{"claimName", name}}}},
        empty_volume("run"), empty_volume("tmp")};
    if (!spec.tls_secret.empty())
        volumes.push_back(json::object{
            {"name", "tls"}, {"secret", json::object{{"secretName", spec.tls_secret}, {"defaultMode", 0440}}}});
    return {{"apiVersion", "apps/v1"},
            {"kind", "Deployment"},
            {"metadata", owned_metadata(owner, name, "proxy")},
            {"spec",
             json::object{
                 {"replicas", 1},
                 // Two proxies would exclude each other by turnout's lock on the servers; so the second waits instead.
                 {"strategy", json::object{{"type", "Recreate"}}},
                 {"selector", json::object{{"matchLabels", proxy_selector(owner)}}},
                 {"template", json::object{{"metadata", json::object{{"labels", labels(owner, "proxy")}}},
                                           {"spec", json::object{{"automountServiceAccountToken", false},
                                                                 {"terminationGracePeriodSeconds", 90},
                                                                 {"securityContext", pod_security(kTurnoutUser)},
                                                                 {"containers", json::array{proxy_container(spec)}},
                                                                 {"volumes", std::move(volumes)}}}}}}}};
}

std::string toml_string(std::string_view text) { return json::serialize(json::value(text)); }

/// A value in a libpq conninfo.
std::string conninfo_value(std::string_view text) {
    std::string quoted = "'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted + "'";
}

std::string conninfo(std::string_view host, int number, std::string_view sslmode, const Credentials& credentials) {
    return fmt::format("host={} port={} user={} password={} sslmode={}", host, number,
                       conninfo_value(credentials.username), conninfo_value(credentials.password), sslmode);
}

/// The operator's role may use the console and nothing else; everybody else comes as to PostgreSQL.
std::string rules(const Spec& spec, const Credentials& credentials) {
    const std::string type = spec.require_tls ? "hostssl" : "host";
    const std::string role = toml_string(credentials.username);
    return fmt::format(
        "host turnout,pgbouncer {} all scram-sha-256\nhost all {} all reject\n{} all all all scram-sha-256\n", role,
        role, type);
}

}  // namespace

Resource resource_of(const WorkloadName& workload) {
    return workload.kind == "StatefulSet" ? resource::stateful_sets : resource::deployments;
}

std::string server_name(const Owner& owner) { return owner.name + "-green"; }
std::string proxy_name(const Owner& owner) { return owner.name + "-turnout"; }
std::string old_service_name(const Owner& owner) { return owner.name + "-blue"; }
std::string server_claim_name(const Owner& owner) { return "data-" + server_name(owner) + "-0"; }

bool old_host_is_traffic(const Spec& spec, std::string_view space) {
    if (spec.traffic_service.empty()) return false;
    const std::string& host = spec.old_host;
    const std::string full = spec.traffic_service + "." + std::string(space);
    return host == spec.traffic_service || host == full || host.starts_with(full + ".svc");
}

std::string old_host(const Owner& owner, const Spec& spec) {
    return old_host_is_traffic(spec, owner.space) ? old_service_name(owner) : spec.old_host;
}

json::object server_selector(const Owner& owner) { return selector(owner, "server"); }
json::object proxy_selector(const Owner& owner) { return selector(owner, "proxy"); }

/// The workload first: what is removed again is found by it.
std::vector<Child> server_children(const Owner& owner, const Spec& spec) {
    const std::string name = server_name(owner);
    std::vector<Child> children;
    children.push_back(
        {resource::stateful_sets, name,
         json::object{
             {"apiVersion", "apps/v1"},
             {"kind", "StatefulSet"},
             {"metadata", metadata(owner, name, "server")},
             {"spec",
              json::object{
                  {"replicas", 1},
                  {"serviceName", name},
                  {"selector", json::object{{"matchLabels", server_selector(owner)}}},
                  {"template", json::object{{"metadata", json::object{{"labels", labels(owner, "server")}}},
                                            {"spec", json::object{{"automountServiceAccountToken", false},
                                                                  {"securityContext", pod_security(kPostgresUser)},
                                                                  {"containers", json::array{server_container(spec)}},
                                                                  {"volumes", json::array{empty_volume("run"),
                                                                                          empty_volume("tmp")}}}}}},
                  {"volumeClaimTemplates",
                   json::array{
                       json::object{{"apiVersion", "v1"},
                                    {"kind", "PersistentVolumeClaim"},
                                    {"metadata", json::object{{"name", "data"}, {"labels", labels(owner, "server")}}},
                                    {"spec", claim_spec(spec.storage_size, spec.storage_class)}}}}}}}});
    children.push_back({resource::services, name,
                        service(metadata(owner, name, "server"), server_selector(owner), {port("postgresql", kPort)})});
    return children;
}

std::vector<Child> proxy_children(const Owner& owner, const Spec& spec, const Credentials& credentials) {
    const std::string name = proxy_name(owner);
    std::vector<Child> children;
    children.push_back({resource::config_maps, name,
                        json::object{{"apiVersion", "v1"},
                                     {"kind", "ConfigMap"},
                                     {"metadata", owned_metadata(owner, name, "proxy")},
                                     {"data", json::object{{"pg_hba.conf", rules(spec, credentials)}}}}});
    children.push_back(
        {resource::secrets, name,
         json::object{{"apiVersion", "v1"},
                      {"kind", "Secret"},
                      {"metadata", owned_metadata(owner, name, "proxy")},
                      {"type", "Opaque"},
                      {"data", json::object{{"turnout.toml", to_base64(turnout_toml(owner, spec, credentials))}}}}});
    children.push_back({resource::claims, name,
                        json::object{{"apiVersion", "v1"},
                                     {"kind", "PersistentVolumeClaim"},
                                     {"metadata", owned_metadata(owner, name, "proxy")},
                                     {"spec", claim_spec("64Mi", spec.storage_class)}}});
    children.push_back({resource::services, name,
                        service(owned_metadata(owner, name, "proxy"), proxy_selector(owner),
                                {port("postgresql", kPort), port("metrics", kMetricsPort)})});
    children.push_back({resource::deployments, name, proxy_deployment(owner, spec)});
    return children;
}

Child old_service(const Owner& owner, const json::object& before) {
    json::array ports;
    if (const json::value* const list = before.if_contains("ports"); list != nullptr && list->is_array()) {
        for (const json::value& item : list->get_array()) {
            json::object kept;
            for (const char* member : {"name", "port", "targetPort", "protocol"})
                if (const json::value* const value = item.as_object().if_contains(member)) kept[member] = *value;
            ports.push_back(std::move(kept));
        }
    }
    const json::value* const selected = before.if_contains("selector");
    return {resource::services, old_service_name(owner),
            service(owned_metadata(owner, old_service_name(owner), "old-server"),
                    selected == nullptr ? json::object{} : selected->as_object(), std::move(ports))};
}

std::string turnout_toml(const Owner& owner, const Spec& spec, const Credentials& credentials) {
    std::string databases;
    for (const std::string& database : spec.databases)
        databases.append(databases.empty() ? "" : ", ").append(toml_string(database));
    std::string text = fmt::format(
        "[proxy]\nlisten = [\"0.0.0.0:{}\"]\nstate = \"/var/lib/turnout/state\"\n\n"
        "[auth]\nmethod = \"scram\"\nhba_file = \"/etc/turnout-rules/pg_hba.conf\"\n\n",
        kPort);
    if (!spec.tls_secret.empty())
        text += fmt::format(
            "[proxy.tls]\nmode = \"{}\"\ncert = \"/etc/turnout-tls/tls.crt\"\nkey = \"/etc/turnout-tls/tls.key\"\n\n",
            spec.require_tls ? "require" : "allow");
    text += fmt::format("[side.blue]\nurl = {}\n\n[side.green]\nurl = {}\n\n",
                        toml_string(conninfo(old_host(owner, spec), spec.old_port, spec.old_sslmode, credentials)),
                        toml_string(conninfo(server_name(owner), kPort, "prefer", credentials)));
    text += fmt::format(
        "[switch]\ndatabases = [{}]\nmax_pause = \"{}\"\ndeadline = \"{}\"\npinned = \"{}\"\nlong_transactions = "
        "\"{}\"\n"
        "bypassing = \"{}\"\n\n",
        databases, spec.max_pause, spec.deadline, spec.pinned, spec.long_transactions, spec.bypassing);
    text += fmt::format("[admin]\nsocket = \"/run/turnout\"\nremote = true\nadmin_users = [{}]\n\n",
                        toml_string(credentials.username));
    text += fmt::format("[metrics]\nlisten = \"0.0.0.0:{}\"\n\n[log]\nformat = \"json\"\n", kMetricsPort);
    return text;
}

}  // namespace turnout::kubernetes
