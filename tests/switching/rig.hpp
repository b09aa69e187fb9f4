// Two real servers of different majors, copied, with writers on one side; and control, which can be killed and started
// again.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "control/recovery_driver.hpp"
#include "control/side.hpp"
#include "control/switch_driver.hpp"
#include "tests/support/cluster.hpp"
#include "tests/support/writers_plane.hpp"

namespace turnout::control::test {

/// Runs an io_context on a thread of its own, as control has it.
class ControlThread {
  public:
    ControlThread() : guard_(context_.get_executor()), thread_([this] { context_.run(); }) {}
    ~ControlThread() { kill(); }
    asio::any_io_executor executor() { return context_.get_executor(); }
    template <class T>
    std::future<T> begin(asio::awaitable<T> work) {
        return asio::co_spawn(context_, std::move(work), asio::use_future);
    }
    template <class T>
    T await(asio::awaitable<T> work) {
        return begin(std::move(work)).get();
    }
    /// Whatever runs stops where it is and never goes on.
    void kill() {
        context_.stop();
        if (thread_.joinable()) thread_.join();
    }

  private:
    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard_;
    std::thread thread_;
};

/// What one process of turnout has: control's thread, the sessions, the switches.
struct Process {
    Process(const ClusterSettings& settings, support::WritersOptions writers, std::filesystem::path state)
        : cluster(thread.executor(), settings),
          state_file(std::move(state)),
          plane(thread.executor(), std::move(writers)),
          switcher(cluster, plane, state_file) {}
    ~Process() { thread.kill(); }

    ControlThread thread;
    Cluster cluster;
    StateFile state_file;
    support::WritersPlane plane;
    Switcher switcher;
};

class SwitchingTest : public testing::Test {
  protected:
    explicit SwitchingTest(std::vector<std::string> databases = {"app"});
    ~SwitchingTest() override;

    /// A new process, which serves whom recovery says. Fails the test if that is nobody.
    void start_process();
    /// The process ends as by SIGKILL: nothing of it goes on, its connections break.
    void kill_process();

    SwitchOptions options() const;
    SwitchReport change() { return process_->thread.await(change_later()); }
    asio::awaitable<SwitchReport> change_later();
    /// Until nothing is left to do on either side.
    void settle_all();

    support::Cluster& server(Side side) { return side == Side::blue ? *blue_ : *green_; }
    Side active() const { return process_->plane.side(); }
    /// Everything acknowledged is there, once, on the active side, and nobody saw an older state. Ends the process.
    void audit();

    std::vector<std::string> databases_;
    std::filesystem::path folder_;
    std::unique_ptr<support::Cluster> blue_;
    std::unique_ptr<support::Cluster> green_;
    ClusterSettings settings_;
    std::unique_ptr<Process> process_;

  private:
    asio::awaitable<void> copy();
    void take_account();

    std::vector<support::WriterAccount> accounts_;
};

/// $TURNOUT_SEED, or a new one; printed.
std::uint64_t seed();

}  // namespace turnout::control::test
