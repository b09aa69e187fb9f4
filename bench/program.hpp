// Other programs, run and listened to.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace turnout::bench {

/// How a program ended and what it said.
struct Exit {
    int status = 0;   ///< its exit status; 128 + the signal that ended it
    std::string out;  ///< standard output
    std::string err;  ///< standard error
    bool done() const { return status == 0; }
};

/// A program in a process group of its own. One thread at a time.
class Program {
  public:
    struct Options {
        std::vector<std::string> arguments;                              ///< the first is found along PATH
        std::vector<std::pair<std::string, std::string>> environment{};  ///< added to this process's own
        std::string input{};  ///< given to it as standard input, at most 64 KB
        /// Is given each line of standard error when it is complete, from wait().
        std::function<void(std::string_view)> on_error_line{};
    };

    /// Starts it; throws std::runtime_error if that is impossible.
    explicit Program(Options options);
    /// Kills its process group if it still runs.
    ~Program();
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    pid_t pid() const { return pid_; }
    /// To the whole process group.
    void signal(int number) const;

    /// Reads what it says until it ends. Throws Interrupted if a signal came meanwhile (interrupt.hpp) and
    /// std::runtime_error after `patience`; it is killed by the destructor then.
    Exit wait(std::chrono::milliseconds patience = std::chrono::minutes(10));

    /// Reads until `enough(everything said so far on standard error and output)`; false if it ended before.
    bool read_until(const std::function<bool(const std::string& err, const std::string& out)>& enough,
                    std::chrono::milliseconds patience = std::chrono::minutes(1));

  private:
    bool pump(std::chrono::steady_clock::time_point deadline);
    bool read_some(int& descriptor, std::string& into);
    void tell_lines();

    Options options_;
    Exit exit_;
    std::size_t told_ = 0;  ///< how much of err has been given to on_error_line
    pid_t pid_ = -1;
    int out_ = -1;
    int err_ = -1;
};

/// Starts a program and waits for its end.
Exit run_program(Program::Options options);

/// As run_program(); throws std::runtime_error with what it said on standard error unless it exits with 0.
Exit must_run(Program::Options options);

/// The path of one of PostgreSQL's client programs (psql, pgbench, pg_dump, pg_restore): in $TURNOUT_PG_BIN, else the
/// newest of the system's, else its bare name, to be found along PATH.
std::string client_program(std::string_view name);

}  // namespace turnout::bench
