// A cluster with the sample's old server in it, the CRD and the operator's rights, and an operator.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "bench/ledger.hpp"
#include "tests/apiserver/control_plane.hpp"
#include "tests/apiserver/kubelet.hpp"

namespace turnout::apiserver {

class Stage {
  public:
    static constexpr const char* kOperator = "operator-0";

    Stage();
    ~Stage();

    /// As a pod of the service account would, or by that kubeconfig.
    void start_operator(const std::string& identity = kOperator, const std::filesystem::path& kubeconfig = {});
    /// From now on until() starts it again where it has ended, as a kubelet would: a machine that hangs costs it its
    /// lease.
    void keep_operator() { kept_ = true; }
    /// SIGKILL.
    void kill_operator(const std::string& identity = kOperator);
    /// SIGTERM; the exit status.
    int stop_operator(const std::string& identity = kOperator);
    bool operator_runs(const std::string& identity = kOperator);
    /// 0: it does not run.
    pid_t operator_pid(const std::string& identity = kOperator) const;
    /// What it said.
    std::string operator_log(const std::string& identity = kOperator) const;
    void forget_log(const std::string& identity = kOperator) const;
    /// Which operator the Lease names.
    std::string leader() const;

    /// Waits until the condition holds; fails the test with everything that is known if it does not for so long.
    bool until(const std::function<bool()>& holds, const std::string& what,
               std::chrono::minutes longest = std::chrono::minutes(5));
    /// Of the PgUpgrade `app`, by kubectl's jsonpath: "{.status.phase}".
    std::string look(const std::string& jsonpath) const;
    bool until_phase(const std::string& phase);
    std::string condition(const std::string& type, const std::string& member = "status") const;
    void patch(const std::string& spec) const;  ///< of `app`: {"cutover":"Rollback"}

    /// Applies the sample's object with these members of its spec changed.
    void apply(const std::string& spec) const;
    /// True when there is such an object: exists("deployment/app-turnout").
    bool exists(const std::string& object) const;
    /// True when the server knows of no PgUpgrade; false where it is away, or has not read the CRD yet.
    bool gone() const;
    /// Of a load that has stopped: no error, nothing lost, nothing doubled.
    void expect_nothing_noticed(const bench::Ledger& ledger) const;
    /// What `kubectl get pgu` says, for the log of the test.
    void tell(const std::string& step) const;
    /// As the application, through the Service `postgres`.
    std::string conninfo() const { return "host=postgres port=5432 user=app password=app dbname=app"; }

    ControlPlane plane;
    std::unique_ptr<Kubelet> kubelet;

  private:
    std::filesystem::path log_of(const std::string& identity) const { return plane.directory() / (identity + ".log"); }
    std::map<std::string, pid_t> operators_;
    bool kept_ = false;
};

/// The path of a file in deploy/kubernetes.
std::string manifest(const std::string& name);

/// Applies the CRD, and returns when the API server knows PgUpgrades. Throws std::runtime_error.
void define_upgrades(const ControlPlane& plane);

}  // namespace turnout::apiserver
