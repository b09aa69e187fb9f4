// The console: a Unix socket (the admin socket) that speaks the PostgreSQL protocol, so that psql, drivers and the
// `turnout` command line drive turnout by the same verbs; and the clients of the proxy that ask for it. README.md tells
// what it does with each message.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "control/answer.hpp"
#include "control/command.hpp"
#include "control/console_rights.hpp"

namespace turnout::control {

/// Carries a command out. Runs on the console's executor. When the client goes away or cancels, the coroutine is
/// cancelled (terminal); it then undoes what it began and answers nevertheless. An exception becomes XX000.
using CommandHandler = std::function<boost::asio::awaitable<Answer>(Command, Progress)>;

struct ConsoleSettings {
    std::string directory;        ///< of the socket; made (0700) if missing
    std::uint16_t port = 6432;    ///< in the socket's name
    std::string program_version;  ///< told to clients within server_version
    AdminUsers users;
};

class ConsoleSession;

/// Listens, and keeps the sessions. All of it lives on one executor of one thread.
class Console {
  public:
    Console(boost::asio::any_io_executor executor, ConsoleSettings settings, CommandHandler handler);
    ~Console();
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    /// Binds the socket and begins to accept. A socket file that nobody answers at is replaced. Throws
    /// std::runtime_error that names the path and says what to do.
    void open();

    /// Stops listening, removes the socket file, and ends each session once its running command has answered.
    void close();

    /// Serves somebody whom the proxy has found to be the role `user`: by the lists of AdminUsers alone.
    void admit(boost::asio::local::stream_protocol::socket socket, std::string user);

    /// A CancelRequest: cancels the running command of the session with that key, if there is one.
    void cancel(std::int32_t pid, std::string_view secret);

    /// How many clients are connected.
    std::size_t sessions() const { return sessions_.size(); }

    /// The socket's path.
    const std::string& path() const { return path_; }

  private:
    friend class ConsoleSession;

    /// A session's key for CancelRequest.
    std::int32_t enter(const std::shared_ptr<ConsoleSession>& session);
    void leave(std::int32_t pid);

    boost::asio::awaitable<void> accept();
    void make_directory() const;
    void remove_stale_socket() const;

    boost::asio::any_io_executor executor_;
    ConsoleSettings settings_;
    CommandHandler handler_;
    std::string path_;
    boost::asio::local::stream_protocol::acceptor acceptor_;
    std::map<std::int32_t, std::weak_ptr<ConsoleSession>> sessions_;
    std::int32_t last_pid_ = 0;
};

}  // namespace turnout::control
