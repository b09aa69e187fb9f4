#include "bench/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "bench/interrupt.hpp"

extern char** environ;

namespace turnout::bench {

namespace {

struct Pipe {
    int read = -1;
    int write = -1;
    Pipe() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
        read = ends[0];
        write = ends[1];
    }
    ~Pipe() {
        close(read);
        close(write);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    static void close(int& descriptor) {
        if (descriptor >= 0) ::close(descriptor);
        descriptor = -1;
    }
    static int release(int& descriptor) { return std::exchange(descriptor, -1); }
};

std::vector<std::string> merged(const std::vector<std::pair<std::string, std::string>>& additions) {
    std::vector<std::string> variables;
    for (const auto& [name, value] : additions) variables.push_back(name + "=" + value);
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string_view text = *variable;
        const std::string_view name = text.substr(0, text.find('='));
        bool replaced = false;
        for (const auto& addition : additions) replaced = replaced || addition.first == name;
        if (!replaced) variables.emplace_back(text);
    }
    return variables;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (std::string& text : strings) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

/// posix_spawnp with its two helpers freed.
int spawn(pid_t& pid, std::vector<std::string> arguments, std::vector<std::string> variables, int in, int out,
          int err) {
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t defaults;
    sigset_t none;
    ::sigfillset(&defaults);
    ::sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    const int error = posix_spawnp(&pid, arguments[0].c_str(), &files, &attributes, pointers(arguments).data(),
                                   pointers(variables).data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

}  // namespace

Program::Program(Options options) : options_(std::move(options)) {
    Pipe in;
    Pipe out;
    Pipe err;
    const int error = spawn(pid_, options_.arguments, merged(options_.environment), in.read, out.write, err.write);
    if (error != 0) throw std::runtime_error("cannot start " + options_.arguments[0] + ": " + std::strerror(error));
    // A pipe holds 64 KB: what fits is written at once, so that nobody has to feed it.
    if (!options_.input.empty() &&
        ::write(in.write, options_.input.data(), options_.input.size()) != static_cast<ssize_t>(options_.input.size()))
        throw std::runtime_error("cannot write to " + options_.arguments[0]);
    out_ = Pipe::release(out.read);
    err_ = Pipe::release(err.read);
    for (const int descriptor : {out_, err_}) ::fcntl(descriptor, F_SETFL, O_NONBLOCK);
}

Program::~Program() {
    Pipe::close(out_);
    Pipe::close(err_);
    if (pid_ < 0) return;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

void Program::signal(int number) const {
    if (pid_ > 0) ::kill(-pid_, number);
}

bool Program::read_some(int& descriptor, std::string& into) {
    std::array<char, 16384> buffer{};
    for (;;) {
        const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
        if (count > 0) {
            into.append(buffer.data(), static_cast<std::size_t>(count));
            continue;
        }
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) return true;
        Pipe::close(descriptor);
        return false;
    }
}

void Program::tell_lines() {
    if (!options_.on_error_line) return;
    for (std::size_t end = 0; (end = exit_.err.find('\n', told_)) != std::string::npos; told_ = end + 1)
        options_.on_error_line(std::string_view(exit_.err).substr(told_, end - told_));
}

bool Program::pump(std::chrono::steady_clock::time_point deadline) {
    if (out_ < 0 && err_ < 0) return false;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) throw std::runtime_error(options_.arguments[0] + " does not end");
    std::array<pollfd, 3> wanted{{{out_, POLLIN, 0}, {err_, POLLIN, 0}, {interrupt_descriptor(), POLLIN, 0}}};
    ::poll(wanted.data(), wanted.size(), static_cast<int>(left.count()));
    check_interrupted();
    if (out_ >= 0 && wanted[0].revents != 0) read_some(out_, exit_.out);
    if (err_ >= 0 && wanted[1].revents != 0) read_some(err_, exit_.err);
    tell_lines();
    return out_ >= 0 || err_ >= 0;
}

bool Program::read_until(const std::function<bool(const std::string&, const std::string&)>& enough,
                         std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!enough(exit_.err, exit_.out))
        if (!pump(deadline)) return enough(exit_.err, exit_.out);
    return true;
}

Exit Program::wait(std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (pump(deadline)) {
    }
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    exit_.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return exit_;
}

Exit run_program(Program::Options options) { return Program(std::move(options)).wait(); }

Exit must_run(Program::Options options) {
    const std::string name = options.arguments[0];
    Exit exit = run_program(std::move(options));
    if (!exit.done())
        throw std::runtime_error(name + " ended with status " + std::to_string(exit.status) + ": " + exit.err +
                                 exit.out);
    return exit;
}

std::string client_program(std::string_view name) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    if (const char* chosen = std::getenv("TURNOUT_PG_BIN"); chosen != nullptr) {
        const fs::path path = fs::path(chosen) / name;
        if (fs::exists(path, ignored)) return path.string();
    }
    for (int major = 30; major >= 10; --major) {
        const fs::path path = fs::path("/usr/lib/postgresql") / std::to_string(major) / "bin" / name;
        if (fs::exists(path, ignored)) return path.string();
    }
    return std::string(name);
}

}  // namespace turnout::bench
