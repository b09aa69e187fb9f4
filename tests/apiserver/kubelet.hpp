// What runs the pods, played: a real PostgreSQL server for a workload whose image is `postgres:N`, a real turnout for
// one whose image is `turnout`; their readiness becomes the workload's status, and Services lead to them when they are
// ready. Other images stay where a kubelet would leave them that cannot pull them.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "control/kubernetes/api_client.hpp"
#include "tests/apiserver/network.hpp"
#include "tests/support/cluster.hpp"
#include "tests/support/cluster_process.hpp"

namespace turnout::apiserver {

/// What one pod of a workload is here.
struct Pod {
    boost::json::object labels;
    std::string image;
    bool ready = false;
    bool told = false;                            ///< that it cannot start
    std::map<std::int64_t, std::uint16_t> ports;  ///< the container's: where it listens in truth
    std::unique_ptr<support::Cluster> server;     ///< of PostgreSQL
    std::filesystem::path directory;              ///< of turnout
    pid_t process = -1;
};

class Kubelet {
  public:
    Kubelet(kubernetes::Access access, std::string program, std::filesystem::path directory);
    ~Kubelet();
    Kubelet(const Kubelet&) = delete;
    Kubelet& operator=(const Kubelet&) = delete;

    /// The server of a workload such as "statefulsets/app-green", which has to run. Valid as long as it does.
    support::Cluster& server(const std::string& workload) const;
    bool runs(const std::string& workload) const;
    /// The end of a turnout's log; empty: there is none.
    std::string log(const std::string& workload) const;
    Network& network() { return network_; }
    /// How many processes were started for a workload since the beginning.
    int starts(const std::string& workload) const;

  private:
    boost::asio::awaitable<void> live();
    boost::asio::awaitable<void> round();
    boost::asio::awaitable<void> look_after(const kubernetes::Resource& kind);
    boost::asio::awaitable<void> start(Pod& pod, const boost::json::object& workload, std::string name);
    boost::asio::awaitable<void> make_claims(const boost::json::object& workload, std::string name);
    boost::asio::awaitable<void> start_server(Pod& pod, const boost::json::object& container);
    boost::asio::awaitable<void> start_turnout(Pod& pod, const boost::json::object& workload);
    boost::asio::awaitable<void> tell_hopeless(Pod& pod, std::string name);
    boost::asio::awaitable<void> tell_status(const kubernetes::Resource& kind, std::string name, bool ready,
                                             const boost::json::object& workload);
    boost::asio::awaitable<void> lead_services();
    void stop(Pod& pod);

    boost::asio::io_context context_{1};
    kubernetes::ApiClient client_;
    std::string program_;
    std::filesystem::path directory_;
    Network network_;
    mutable std::mutex mutex_;  ///< of what follows
    std::map<std::string, std::unique_ptr<Pod>> pods_;
    std::map<std::string, int> starts_;
    std::map<std::string, std::string> services_;
    int made_ = 0;
    std::atomic<bool> stopping_ = false;
    std::thread thread_;
};

}  // namespace turnout::apiserver
