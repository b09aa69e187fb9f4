#include "tests/support/cluster_process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <stdexcept>

extern char** environ;

namespace turnout::support {

namespace {

using Clock = std::chrono::steady_clock;

// What the keeper runs. It must not depend on anything but a shell: the process it watches may have died in any state.
constexpr const char* keeper_script = R"(
trap '' INT TERM HUP
server=
while read -r line; do server=$line; done
alive() { kill -0 "$server" && ! grep -q '^State:.Z' "/proc/$server/status"; }
{
    if [ -n "$server" ] && alive; then
        children=$(cat "/proc/$server/task/$server/children")
        kill -CONT "$server" $children
        kill -QUIT "$server"
        tries=100
        while [ $tries -gt 0 ] && alive; do sleep 0.1; tries=$((tries - 1)); done
        kill -KILL "$server" $children
    fi
} 2>/dev/null
rm -rf -- "$1"
)";

std::runtime_error failure(const std::string& what) { return std::runtime_error(what + ": " + std::strerror(errno)); }

// Asks again every 2 ms: a server that is not our child, or is stopped, offers nothing to wait on.
bool poll_until(std::chrono::milliseconds patience, const std::function<bool()>& done) {
    const auto deadline = Clock::now() + patience;
    while (!done()) {
        if (Clock::now() >= deadline) return false;
        ::poll(nullptr, 0, 2);
    }
    return true;
}

// The fields of /proc/<pid>/stat behind the name, which may hold anything: state, parent, ...
struct Stat {
    char state = '?';
    pid_t parent = 0;
};

std::optional<Stat> read_stat(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    if (!std::getline(file, text)) return std::nullopt;
    const auto end_of_name = text.rfind(") ");
    if (end_of_name == std::string::npos || end_of_name + 4 >= text.size()) return std::nullopt;
    Stat stat;
    stat.state = text[end_of_name + 2];
    const char* first = text.data() + end_of_name + 4;
    std::from_chars(first, text.data() + text.size(), stat.parent);
    return stat;
}

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> children;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
        const std::string name = entry.path().filename().string();
        pid_t pid = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (error != std::errc{} || end != name.data() + name.size()) continue;
        const auto stat = read_stat(pid);
        if (stat && stat->parent == parent && stat->state != 'Z') children.push_back(pid);
    }
    return children;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (auto& text : strings) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

std::vector<std::string> environment_without_libpq(const Command& command) {
    std::vector<std::string> variables;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        if (std::strncmp(*variable, "PG", 2) == 0) continue;
        // Another user's: libpq in the server would look for certificates there and be refused.
        if (command.user && std::strncmp(*variable, "HOME=", 5) == 0) continue;
        variables.emplace_back(*variable);
    }
    if (command.user) variables.push_back("HOME=" + command.directory.string());
    return variables;
}

void say(const char* what, const char* whom) {
    const char* const reason = std::strerror(errno);
    for (const char* part : {what, whom, ": ", reason, "\n"}) {
        if (::write(STDERR_FILENO, part, std::strlen(part)) < 0) return;
    }
}

void announce(int descriptor) {
    char digits[24];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits - 1, ::getpid());
    if (error != std::errc{}) return;
    *end = '\n';
    if (::write(descriptor, digits, static_cast<std::size_t>(end + 1 - digits)) < 0) say("cannot announce", "");
}

void unblock_signals() {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGQUIT}) ::signal(number, SIG_DFL);
}

/// Sockets of this process (a relay's, say) that a child inherits would stay open when it closes them.
void keep_standard_streams_only() { ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC); }

// Between fork and exec of a process that may have many threads: system calls only.
[[noreturn]] void become(const Command& command, int input, int output, char* const* arguments,
                         char* const* variables) {
    unblock_signals();
    ::setpgid(0, 0);
    ::dup2(input, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    if (command.announce >= 0) announce(command.announce);
    if (command.user) {
        const RunAs& user = *command.user;
        if (::setgroups(user.groups.size(), user.groups.data()) != 0 || ::setgid(user.gid) != 0 ||
            ::setuid(user.uid) != 0) {
            say("cannot become ", user.name.c_str());
            ::_exit(127);
        }
    }
    if (::chdir(command.directory.c_str()) != 0) {
        say("cannot enter ", command.directory.c_str());
        ::_exit(127);
    }
    keep_standard_streams_only();
    ::execve(arguments[0], arguments, variables);
    say("cannot execute ", arguments[0]);
    ::_exit(127);
}

}  // namespace

std::optional<RunAs> server_user() {
    if (::geteuid() != 0) return std::nullopt;
    std::vector<std::string> candidates = {"postgres", "nobody"};
    if (const char* chosen = std::getenv("TURNOUT_PG_USER")) candidates = {chosen};
    for (const auto& name : candidates) {
        passwd entry{};
        passwd* found = nullptr;
        std::vector<char> buffer(16384);
        if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) continue;
        RunAs user{.uid = found->pw_uid, .gid = found->pw_gid, .groups = {}, .name = name};
        int count = 64;
        user.groups.resize(static_cast<std::size_t>(count));
        if (::getgrouplist(name.c_str(), user.gid, user.groups.data(), &count) < 0) count = 0;
        user.groups.resize(static_cast<std::size_t>(count));
        return user;
    }
    throw std::runtime_error("PostgreSQL does not run as root, and there is no user '" + candidates.front() +
                             "' to run it as: create it, or name another in TURNOUT_PG_USER");
}

pid_t spawn(const Command& command) {
    auto strings = command.arguments;
    auto variables = environment_without_libpq(command);
    const auto argument_pointers = pointers(strings);
    const auto variable_pointers = pointers(variables);
    const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int output = ::open(command.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (input < 0 || output < 0) throw failure("cannot open " + command.output.string());
    const pid_t child = ::fork();
    if (child == 0) become(command, input, output, argument_pointers.data(), variable_pointers.data());
    const int error = errno;
    ::close(input);
    ::close(output);
    errno = error;
    if (child < 0) throw failure("cannot start " + command.arguments.front());
    return child;
}

std::optional<int> wait_for_exit(pid_t child, std::chrono::milliseconds patience) {
    int status = 0;
    const bool gone = poll_until(patience, [&] {
        const pid_t result = ::waitpid(child, &status, WNOHANG);
        return result == child || (result < 0 && errno == ECHILD);
    });
    if (!gone) return std::nullopt;
    return status;
}

std::vector<pid_t> signal_tree(pid_t parent, int signal) {
    // A stopped parent forks no more, so the second look is complete.
    ::kill(parent, SIGSTOP);
    poll_until(std::chrono::seconds(1), [&] {
        const auto stat = read_stat(parent);
        return !stat || stat->state == 'T' || stat->state == 'Z';
    });
    const auto children = children_of(parent);
    for (const pid_t child : children) ::kill(child, signal);
    ::kill(parent, signal);
    return children;
}

bool wait_until_gone(const std::vector<pid_t>& processes, std::chrono::milliseconds patience) {
    return poll_until(patience, [&] {
        return std::ranges::all_of(processes, [](pid_t pid) {
            const auto stat = read_stat(pid);
            return !stat || stat->state == 'Z';
        });
    });
}

Keeper::Keeper(const std::filesystem::path& directory) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw failure("cannot make a pipe");
    std::vector<std::string> strings = {"/bin/sh", "-c", keeper_script, "turnout-keeper", directory.string()};
    const auto arguments = pointers(strings);
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    shell_ = ::fork();
    if (shell_ == 0) {
        unblock_signals();
        ::setsid();  // a Ctrl-C at the terminal is for the process that is watched
        ::dup2(ends[0], STDIN_FILENO);
        ::dup2(null, STDOUT_FILENO);
        ::dup2(null, STDERR_FILENO);
        keep_standard_streams_only();
        if (::chdir("/") == 0) ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    ::close(ends[0]);
    ::close(null);
    pipe_ = ends[1];
    if (shell_ < 0) {
        ::close(pipe_);
        throw failure("cannot start the keeper of " + directory.string());
    }
}

Keeper::~Keeper() {
    ::close(pipe_);
    int status = 0;
    while (::waitpid(shell_, &status, 0) < 0 && errno == EINTR) {
    }
}

void Keeper::forget() {
    if (::write(pipe_, "\n", 1) < 0) throw failure("the keeper is gone");
}

}  // namespace turnout::support
