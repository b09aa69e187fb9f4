// A server that is a real one for everybody but those who log in as `mallory`: for them it plays a script.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "socket.hpp"

namespace turnout::test {

class HostileServer {
  public:
    /// Is given each connection of mallory's behind its StartupMessage, on a thread of its own.
    using Script = std::function<void(const Socket&)>;

    explicit HostileServer(std::uint16_t real_server);
    /// Hangs up on everybody.
    ~HostileServer();
    HostileServer(const HostileServer&) = delete;
    HostileServer& operator=(const HostileServer&) = delete;

    std::uint16_t port() const { return doorway_.port(); }
    void play(Script script);
    /// How often a script was played.
    unsigned played() const { return played_; }
    /// Hangs up on all of mallory's connections.
    void hang_up();

  private:
    void serve(const Socket& client);
    void relay(const Socket& client, const std::string& first);

    std::uint16_t real_;
    std::atomic<unsigned> played_{0};
    Doorway doorway_;
    std::mutex mutex_;
    Script script_;
    std::list<Socket> connections_;
    std::list<const Socket*> mallorys_;
    std::vector<std::thread> threads_;
    std::thread acceptor_;
};

/// AuthenticationOk, BackendKeyData, ReadyForQuery: a login without a question.
std::string welcome();

}  // namespace turnout::test
