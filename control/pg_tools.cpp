#include "control/pg_tools.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/process/v2/environment.hpp>
#include <boost/process/v2/impl/environment.ipp>  // Boost 1.81's header-only form leaves it out
#include <boost/process/v2/process.hpp>
#include <boost/process/v2/stdio.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>

namespace turnout::control {

namespace asio = boost::asio;
namespace process = boost::process::v2;

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

std::vector<std::filesystem::path> likely_folders() {
    std::vector<std::filesystem::path> folders;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
        folders.push_back(entry.path() / "bin");
    }
    for (const auto& entry : std::filesystem::directory_iterator("/usr", ignored)) {
        if (entry.path().filename().string().starts_with("pgsql-")) folders.push_back(entry.path() / "bin");
    }
    const std::string path = variable("PATH");
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find(':', begin), path.size());
        if (end > begin) folders.emplace_back(path.substr(begin, end - begin));
        begin = end + 1;
    }
    return folders;
}

/// "pg_dump (PostgreSQL) 15.20 (Debian …)" → 15; 0: not understood.
int major_of(std::string_view version) {
    const auto at = version.find(") ");
    return at == std::string_view::npos ? 0 : std::atoi(std::string(version.substr(at + 2, 8)).c_str());
}

bool complete(const std::filesystem::path& folder) {
    return access((folder / "pg_dump").c_str(), X_OK) == 0 && access((folder / "pg_restore").c_str(), X_OK) == 0;
}

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

asio::awaitable<std::string> drain(asio::readable_pipe& pipe) {
    std::string text;
    co_await asio::async_read(pipe, asio::dynamic_buffer(text), asio::as_tuple(asio::use_awaitable));
    co_return text;
}

}  // namespace

asio::awaitable<std::string> run_program(std::filesystem::path program, std::vector<std::string> arguments,
                                         Conninfo::Parameters variables, std::filesystem::path input) {
    using namespace asio::experimental::awaitable_operators;
    const auto executor = co_await asio::this_coro::executor;
    std::vector<std::string> environment{"PATH=" + variable("PATH"), "HOME=" + variable("HOME"), "LC_ALL=C"};
    for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
    const std::unique_ptr<std::FILE, CloseFile> in(std::fopen(input.c_str(), "re"));
    if (!in) throw PgToolsError(fmt::format("cannot read {}", input.string()));
    asio::readable_pipe output(executor);
    asio::readable_pipe errors(executor);
    process::process child(executor, program.string(), arguments, process::process_stdio{in.get(), output, errors},
                           process::process_environment(environment));
    auto [printed, complaint] = co_await (drain(output) && drain(errors));
    const int status = co_await child.async_wait(asio::use_awaitable);
    if (status == 0) co_return printed;
    constexpr std::size_t kMost = 2000;
    if (complaint.size() > kMost) complaint.erase(0, complaint.size() - kMost);
    while (!complaint.empty() && complaint.back() == '\n') complaint.pop_back();
    throw PgToolsError(fmt::format("{} failed: {}", program.filename().string(), complaint));
}

asio::awaitable<PgTools> find_pg_tools(std::string folder, int server_major) {
    if (folder.empty()) folder = variable("TURNOUT_PG_BIN");
    std::vector<std::filesystem::path> folders;
    if (folder.empty()) {
        folders = likely_folders();
    } else {
        folders.emplace_back(folder);
    }
    const std::vector<std::string> ask_version(1, "--version");
    PgTools best;
    for (const auto& candidate : folders) {
        if (!complete(candidate)) continue;
        const std::string version = co_await run_program(candidate / "pg_dump", ask_version, Conninfo::Parameters());
        const int major = major_of(version);
        if (major > best.major) best = {candidate, major};
    }
    if (best.major >= server_major) co_return best;
    const std::string remedy = fmt::format(
        "install postgresql-client-{0} (or newer) here, or name its folder in [switch] pg_bin", server_major);
    if (best.major == 0) {
        throw PgToolsError(
            fmt::format("pg_dump and pg_restore were not found{}: {}", folder.empty() ? "" : " in " + folder, remedy));
    }
    throw PgToolsError(fmt::format("pg_dump {} in {} cannot read a server of version {}: {}", best.major,
                                   best.folder.string(), server_major, remedy));
}

PrivateFile::PrivateFile() {
    path_ = (std::filesystem::temp_directory_path() / "turnout-XXXXXX").string();
    const int descriptor = mkstemp(path_.data());
    if (descriptor < 0) throw PgToolsError("no temporary file can be made in " + path_);
    ::close(descriptor);
}

PrivateFile::~PrivateFile() { ::unlink(path_.c_str()); }

void PrivateFile::write(std::string_view text) const {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file.flush()) throw PgToolsError("cannot write " + path_);
}

}  // namespace turnout::control
