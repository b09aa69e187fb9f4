// The data plane between two real servers, without control: a test closes, claims and opens the gate itself.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "control/data_plane.hpp"
#include "raw_client.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::test {

/// Everyone may come, and nothing is fenced.
class OpenDoor final : public control::RoleDirectory {
  public:
    void look_up(Side side, std::string user, std::string database,
                 std::function<void(control::RoleAnswer)> done) override;
};

/// A data plane with two workers in front of two servers that trust everybody, and control's thread. It serves blue at
/// first; every call waits for its answer.
class Plane {
  public:
    Plane(const support::Cluster& blue, const support::Cluster& green, std::string database = "postgres");
    /// The same before whatever listens on two ports of 127.0.0.1.
    Plane(std::uint16_t blue, std::uint16_t green, std::string database = "postgres");
    ~Plane();
    Plane(const Plane&) = delete;
    Plane& operator=(const Plane&) = delete;

    std::uint16_t port() const { return port_; }
    control::DataPlane& operator*() { return *plane_; }
    control::DataPlane* operator->() { return plane_.get(); }
    std::unique_ptr<RawClient> client(const std::string& user = "postgres");

    Side active() const { return active_; }
    /// A round of arming on the standby.
    control::ArmReport arm(control::ArmRequest request = {});
    /// Has the armed backends plan what their clients use; ready when that is over.
    std::future<void> warm();
    /// Closes the gate with a new attempt; the future is its drain.
    std::future<control::DrainReport> close(std::chrono::milliseconds bound = std::chrono::minutes(1),
                                            control::CloseRequest request = {});
    bool claim() { return plane_->claim(attempt_); }
    /// Opens to the other side, claimed before.
    void open_to_other();
    /// Opens to the side that is active.
    void give_up() { plane_->give_up(attempt_); }
    control::MoveReport finish_moves();
    /// All of these in a row; the drain must succeed.
    control::MoveReport change(control::ArmRequest request = {}, control::CloseRequest close_request = {});

    std::vector<control::SessionView> sessions();
    /// The session whose client was given this pid.
    control::SessionView session(std::int32_t pid);
    /// Until the session with this pid is in that state, as `show sessions` tells it.
    void wait_for_state(std::int32_t pid, const std::string& state);
    std::uint64_t attempt() const { return attempt_; }

  private:
    OpenDoor door_;
    boost::asio::io_context control_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::thread thread_;
    std::unique_ptr<control::DataPlane> plane_;
    std::uint16_t port_ = 0;
    std::uint64_t attempt_ = 0;
    std::uint64_t generation_ = 1;
    Side active_ = Side::blue;
};

/// Bytes of messages.
std::string simple(std::initializer_list<std::string_view> texts);
std::string extended(std::string_view sql, bool sync = true);

}  // namespace turnout::test
