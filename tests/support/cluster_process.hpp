// Processes of a throw-away server: starting programs as another user, the tree below a postmaster, and the keeper that
// cleans up when the process that started it is gone.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace turnout::support {

/// Who a server runs as. PostgreSQL refuses to run as root.
struct RunAs {
    uid_t uid;
    gid_t gid;
    std::vector<gid_t> groups;
    std::string name;
};

/// The user to change to, or nothing if this process is not root. $TURNOUT_PG_USER, else `postgres`, else `nobody`.
std::optional<RunAs> server_user();

/// A program to be started by spawn().
struct Command {
    std::vector<std::string> arguments;  ///< the first is the program's path
    std::filesystem::path directory;     ///< its working directory
    std::filesystem::path output;        ///< stdout and stderr are appended here
    std::optional<RunAs> user;
    int announce = -1;  ///< the child writes its pid and a newline here before the program runs; -1: nowhere
};

/// Starts a program in a process group of its own, without this process's PG* variables and, as another user, with its
/// working directory for a home. The caller has to wait for it.
/// Throws std::runtime_error if no process can be made; a program that cannot be executed exits with 127 and says why
/// in its output.
pid_t spawn(const Command& command);

/// Waits for a child for at most `patience`; nothing if it still runs. A status as of waitpid().
std::optional<int> wait_for_exit(pid_t child, std::chrono::milliseconds patience);

/// Sends `signal` to a process and to all its children, whichever it forks meanwhile. Returns the children.
std::vector<pid_t> signal_tree(pid_t parent, int signal);

/// Waits until none of these processes exists, for at most `patience`.
bool wait_until_gone(const std::vector<pid_t>& processes, std::chrono::milliseconds patience);

/// A shell that outlives this process for a moment: when the pipe to it closes, because the Keeper is destroyed or the
/// process has died, it ends the server named last and removes the directory.
class Keeper {
  public:
    explicit Keeper(const std::filesystem::path& directory);
    /// Returns when the directory is gone.
    ~Keeper();
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    /// For Command::announce: the server to be ended is the one whose pid was written last.
    int descriptor() const { return pipe_; }
    /// There is no server at present.
    void forget();

  private:
    pid_t shell_ = -1;
    int pipe_ = -1;
};

}  // namespace turnout::support
