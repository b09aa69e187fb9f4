// Programs of the operator's that are run when something happens: to stop a job, to run ANALYZE, to tell a chat.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "control/data_plane.hpp"

namespace turnout::control {

/// Runs a program without a shell. `facts` are its standard input, as one line of JSON; those that are words or numbers
/// stand in its small environment, too (PATH, HOME, LC_ALL=C): "from" as TURNOUT_FROM. An object "report" is
/// TURNOUT_JSON there; what is too long for an environment is on the standard input only. Returns why the program
/// failed, with the end of its standard error, or nothing. After `timeout` it is ended, and has failed. Cancelled: it
/// is ended.
boost::asio::awaitable<std::optional<std::string>> run_hook(std::string program, boost::json::object facts,
                                                            Milliseconds timeout);

/// Runs programs one after the other, in the order in which they were told, while nobody waits for them; a failure goes
/// to the log. Must outlive its executor's work.
class HookTeller {
  public:
    explicit HookTeller(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

    /// An empty program is none.
    void tell(std::string program, boost::json::object facts, Milliseconds timeout);

    /// While held none is begun: starting a process takes time that a window has not.
    void hold(bool held);

  private:
    struct Told {
        std::string program;
        boost::json::object facts;
        Milliseconds timeout;
    };
    void begin();
    boost::asio::awaitable<void> run();

    boost::asio::any_io_executor executor_;
    std::deque<Told> told_;
    bool runs_ = false;
    bool held_ = false;
};

}  // namespace turnout::control
