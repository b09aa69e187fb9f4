// A data plane whose sessions are a few libpq writers in this process: what a switch asks of the sessions, without the
// proxy. Each writer has a connection to both sides, begins a transaction only while the gate is open, and keeps
// account of what was acknowledged.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "control/data_plane.hpp"

namespace turnout::support {

struct WritersOptions {
    std::array<std::string, 2> conninfo;  ///< by index(Side), without dbname
    std::vector<std::string> databases;   ///< writers take them in turn
    int writers = 8;
    std::vector<std::int64_t> acknowledged;  ///< by an earlier plane's writers; empty: none yet
};

/// What one writer has seen.
struct WriterAccount {
    std::string database;
    std::int64_t acknowledged = 0;  ///< transactions 1..acknowledged were committed, in this order
    std::int64_t went_back = 0;     ///< reads that showed less than its own last acknowledged write
    std::int64_t reconnects = 0;    ///< after a server went away; what was under way then counts as the server says
    std::vector<std::string> errors;
};

/// The tables that the writers need in each database, and the rows that the first side begins with.
extern const char* const kWritersSchema;
extern const char* const kWritersRows;

/// See the file's head. DataPlane's contract for threads holds; callbacks come on the executor given.
class WritersPlane final : public control::DataPlane {
  public:
    WritersPlane(boost::asio::any_io_executor executor, WritersOptions options);
    ~WritersPlane() override;

    /// Ends the writers after their present transaction. What they have seen; only the first call counts.
    std::vector<WriterAccount> stop();
    /// Acknowledged by all so far.
    std::int64_t acknowledged() const;
    Side side() const;
    /// False: what is to be planned never is, as on a standby that hangs.
    std::atomic<bool> plans = true;
    /// How often that was asked for.
    std::atomic<int> asked_to_plan = 0;
    /// How often it was told that a lull is not wanted now. Any moment is one here; one that is wanted closes the gate.
    std::atomic<int> lulls_unwanted = 0;

    void start(const control::DataPlaneSettings&) override {}
    void open_console(control::ConsoleDoor) override {}
    void serve(Side side, std::uint64_t generation) override;
    void serve_nobody(std::string message, std::string hint) override;
    std::optional<std::string> reload(const control::DataPlaneSettings&) override { return std::nullopt; }
    void arm(const control::ArmRequest& request, Callback<control::ArmReport> done) override;
    void warm(Callback<> done) override;
    void disarm() override {}
    void close_gate(const control::CloseRequest& request, Callback<control::DrainReport> done) override;
    void want_lull(bool now) override;
    bool is_gate_open() const override;
    bool claim(std::uint64_t attempt) override;
    void claim_alive(std::uint64_t) override {}
    void give_up(std::uint64_t attempt) override;
    void open_to(std::uint64_t attempt, Side side, std::uint64_t generation,
                 Callback<control::Clock::time_point> done) override;
    void finish_moves(Callback<control::MoveReport> done) override;
    void pause(Callback<> done) override;
    void resume() override;
    void sessions(Callback<std::vector<control::SessionView>> done) override;
    control::DataPlaneCounters counters() const override { return {}; }
    void shut_down(control::Clock::time_point deadline, Callback<> done) override;

  private:
    enum class Gate { shut, open, closed, claimed };
    class Writer;

    /// Blocks until a transaction may begin; false: the end.
    bool enter(Side& side);
    void leave();
    void close_now();
    void expire(std::uint64_t attempt);
    void drained_if_quiet();
    void let_go(Gate gate);

    boost::asio::any_io_executor executor_;
    WritersOptions options_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Gate gate_ = Gate::shut;
    Side side_ = Side::blue;
    bool ending_ = false;
    control::CloseRequest request_;  ///< the last one
    bool awaits_lull_ = false;
    control::Clock::time_point asked_, closed_;
    int busy_ = 0;
    std::uint64_t busy_at_close_ = 0;
    Callback<control::DrainReport> drained_;
    std::vector<control::Microseconds> stalls_;
    boost::asio::steady_timer lull_, deadline_;
    std::vector<std::unique_ptr<Writer>> writers_;
};

}  // namespace turnout::support
