// PostgreSQL's own client programs, for the one job that is theirs: writing a schema down.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/conninfo.hpp"

namespace turnout::control {

/// pg_dump and pg_restore of one installation.
struct PgTools {
    std::filesystem::path folder;
    int major = 0;
};

/// A program is missing, too old, or failed; a sentence that says which and what to do.
class PgToolsError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The newest pg_dump and pg_restore that can be found: in `folder` if it is not empty, else in $TURNOUT_PG_BIN, else
/// in the usual places and $PATH. Throws PgToolsError if there are none, or all are older than `server_major` (pg_dump
/// refuses servers newer than itself); the message names the package.
boost::asio::awaitable<PgTools> find_pg_tools(std::string folder, int server_major);

/// Runs a program without a shell and returns its standard output. `variables` are added to a small environment (PATH,
/// HOME, LC_ALL=C); arguments are visible to everyone on the machine and must hold no secret. It reads `input`. Throws
/// PgToolsError with the end of its standard error if it fails. Cancelled: the program is ended.
boost::asio::awaitable<std::string> run_program(std::filesystem::path program, std::vector<std::string> arguments,
                                                Conninfo::Parameters variables,
                                                std::filesystem::path input = "/dev/null");

/// A file that only this user can read, gone with the object.
class PrivateFile {
  public:
    PrivateFile();
    ~PrivateFile();
    PrivateFile(const PrivateFile&) = delete;
    PrivateFile& operator=(const PrivateFile&) = delete;
    const std::string& path() const { return path_; }
    void write(std::string_view text) const;

  private:
    std::string path_;
};

}  // namespace turnout::control
