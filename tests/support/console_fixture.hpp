// A console on a real Unix socket, whose commands are carried out by whatever the test says.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "control/console.hpp"

namespace turnout::support {

/// Runs a Console on a thread of its own, in a fresh directory, until it is destroyed.
class ServedConsole {
  public:
    explicit ServedConsole(control::CommandHandler handler);
    ~ServedConsole();
    ServedConsole(const ServedConsole&) = delete;
    ServedConsole& operator=(const ServedConsole&) = delete;

    const std::string& directory() const { return directory_; }
    const std::string& socket_path() const { return console_->path(); }
    boost::asio::io_context& context() { return context_; }
    /// Console::close(), on its thread.
    void close();

  private:
    std::string directory_;
    boost::asio::io_context context_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context_.get_executor()};
    std::unique_ptr<control::Console> console_;
    std::thread thread_;
};

}  // namespace turnout::support
