// A cluster with the sample's old server in it, the CRD and the operator's rights, and an operator.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "tests/apiserver/control_plane.hpp"
#include "tests/apiserver/kubelet.hpp"

namespace turnout::apiserver {

class Stage {
  public:
    /// `rbac` is applied instead of the shipped rbac.yaml where it is given.
    explicit Stage(std::string rbac = {});
    ~Stage();

    void start_operator(const std::string& identity = "operator-0");
    /// SIGKILL.
    void kill_operator();
    /// SIGTERM; the exit status.
    int stop_operator();
    bool operator_runs();
    /// What it said.
    std::string operator_log() const;
    void forget_log() const;

    /// Waits until the condition holds; fails the test with everything that is known if it does not for two minutes.
    bool until(const std::function<bool()>& holds, const std::string& what);
    /// Of the PgUpgrade `app`, by kubectl's jsonpath: "{.status.phase}".
    std::string look(const std::string& jsonpath) const;
    bool until_phase(const std::string& phase);
    std::string condition(const std::string& type, const std::string& member = "status") const;
    void patch(const std::string& spec) const;  ///< of `app`: {"cutover":"Rollback"}

    /// What `kubectl get pgu` says, for the log of the test.
    void tell(const std::string& step) const;
    /// As the application, through the Service `postgres`.
    std::string conninfo() const { return "host=postgres port=5432 user=app password=app dbname=app"; }

    ControlPlane plane;
    std::unique_ptr<Kubelet> kubelet;

  private:
    pid_t operator_ = -1;
};

/// The path of a file in deploy/kubernetes.
std::string manifest(const std::string& name);

}  // namespace turnout::apiserver
