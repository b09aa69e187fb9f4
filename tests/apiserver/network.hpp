// Services as a cluster has them: a name, an address and ports, led to whatever pod is ready. Names stand in
// /etc/hosts, addresses are loopback's, connections are carried: a kube-proxy and a DNS for one machine. Needs a mount
// and a network namespace of its own (`./dev kubernetes`).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "tests/apiserver/passing.hpp"

namespace turnout::apiserver {

/// All functions may be called from any thread.
class Network {
  public:
    /// `hosts` is laid over /etc/hosts. Throws std::runtime_error where that is not allowed.
    explicit Network(std::filesystem::path hosts);
    ~Network();
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    /// From now on connections to the Service's port reach the port of 127.0.0.1, or are refused. Those that stand
    /// stay.
    void lead(const std::string& service, std::uint16_t port, std::optional<std::uint16_t> to);
    /// The name is known no more.
    void forget(const std::string& service);
    /// Tells the verbs that pass to that Service's proxy: "turnout SWITCH". To be called before anything leads there;
    /// without `passing` nothing passes any more, and the former one is not in use when this returns.
    void tell_verbs(std::string service, Passing passing);
    /// Where a Service's port leads now.
    std::optional<std::uint16_t> leads_to(const std::string& service, std::uint16_t port) const;

  private:
    using Socket = boost::asio::ip::tcp::socket;
    struct Listener;
    boost::asio::awaitable<void> accept(std::shared_ptr<Listener> listener);
    boost::asio::awaitable<void> carry(Socket from, std::uint16_t to, std::string told);
    void write_hosts() const;

    std::filesystem::path hosts_;
    mutable std::mutex mutex_;
    std::map<std::string, Passing> told_;   ///< by Service
    std::map<std::string, int> addresses_;  ///< by Service: the last byte
    std::map<std::pair<std::string, std::uint16_t>, std::shared_ptr<Listener>> listeners_;
    boost::asio::io_context context_{1};
    std::thread thread_;
};

}  // namespace turnout::apiserver
