// How the API server is reached, and as whom.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace turnout::kubernetes {

/// What is missing or wrong, with what to do.
class AccessError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

struct Access {
    std::string host;
    std::uint16_t port = 443;
    bool tls = true;
    std::string authority;                 ///< the server's, PEM; empty: the system's
    std::filesystem::path authority_file;  ///< read again for each connection, since the kubelet replaces it, too; wins
    std::string client_certificate;        ///< PEM; empty: none
    std::string client_key;
    std::string token;  ///< a bearer token; empty: none
    std::filesystem::path
        token_file;     ///< read again for each request, since the kubelet replaces it; wins over `token`
    std::string space;  ///< the namespace to work in

    /// The token to be used now. Throws AccessError if its file cannot be read.
    std::string current_token() const;
    /// The server's authority as it is now. Throws AccessError if its file cannot be read.
    std::string current_authority() const;
};

/// The folder of a pod's service account.
inline constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

/// From inside a pod: the service account's files and KUBERNETES_SERVICE_HOST and _PORT. Throws AccessError.
Access in_cluster_access(const std::filesystem::path& account = kServiceAccount);

/// From a kubeconfig (YAML, or JSON, which is YAML), its current context. What it names by relative paths is beside it.
/// Throws AccessError, also for what is not supported: a user that is found by a program (exec) or a provider.
Access kubeconfig_access(const std::filesystem::path& file);

}  // namespace turnout::kubernetes
