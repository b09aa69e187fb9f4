// A real API server with etcd behind it, and kubectl.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/program.hpp"
#include "control/kubernetes/access.hpp"
#include "tests/support/cluster_process.hpp"

namespace turnout::apiserver {

/// Found in $TEST_ASSET_KUBE_APISERVER, _ETCD and _KUBECTL, or in $KUBEBUILDER_ASSETS. Everything is gone with the
/// object.
class ControlPlane {
  public:
    /// Starts both; returns when the API server is ready. Throws std::runtime_error.
    ControlPlane();
    ~ControlPlane();
    ControlPlane(const ControlPlane&) = delete;
    ControlPlane& operator=(const ControlPlane&) = delete;

    /// SIGKILL of the API server; etcd keeps what it had.
    void kill_api();
    /// Starts it again; returns when it is ready.
    void start_api();

    /// Starts it again with another certificate; what pods have for a CA is replaced afterwards.
    void renew_certificate();

    /// As an administrator.
    kubernetes::Access access() const;
    /// The folder of a service account in a pod of the namespace `default`: CA and namespace; the token comes by
    /// give_token().
    std::filesystem::path service_account() const { return directory_ / "account"; }
    /// Asks for a new token of the service account `turnout-operator`, as a kubelet would, and puts it there.
    void give_token() const;
    std::uint16_t port() const { return port_; }
    const std::filesystem::path& directory() const { return directory_; }

    /// kubectl, as an administrator.
    bench::Exit kubectl(std::vector<std::string> arguments, std::string input = {}) const;
    /// As kubectl(), which must succeed; what it printed.
    std::string must(std::vector<std::string> arguments, std::string input = {}) const;

  private:
    std::filesystem::path authority() const { return certificates_ / "apiserver.crt"; }

    std::filesystem::path directory_;
    std::filesystem::path certificates_;
    std::unique_ptr<support::Keeper> keeper_;
    std::uint16_t port_ = 0;
    std::uint16_t etcd_port_ = 0;
    pid_t etcd_ = -1;
    pid_t api_ = -1;
};

}  // namespace turnout::apiserver
