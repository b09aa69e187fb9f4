#include "control/console.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "control/console_session.hpp"
#include "protocol/secret.hpp"

namespace turnout::control {

namespace asio = boost::asio;
using local = asio::local::stream_protocol;

Console::Console(asio::any_io_executor executor, ConsoleSettings settings, CommandHandler handler)
    : executor_(std::move(executor)),
      settings_(std::move(settings)),
      handler_(std::move(handler)),
      path_(settings_.directory + "/.s.PGSQL." + std::to_string(settings_.port)),
      acceptor_(executor_) {}

Console::~Console() { close(); }

void Console::make_directory() const {
    if (::mkdir(settings_.directory.c_str(), 0700) == 0 || errno == EEXIST) return;
    throw std::runtime_error("the admin socket's directory " + settings_.directory + " cannot be made: " +
                             std::strerror(errno) + "; make it, or name another one in [admin] socket");
}

void Console::remove_stale_socket() const {
    std::error_code ignored;
    if (!std::filesystem::is_socket(path_, ignored)) return;
    local::socket probe(executor_);
    boost::system::error_code error;
    probe.connect(local::endpoint(path_), error);
    if (!error)
        throw std::runtime_error("another process answers at " + path_ +
                                 ": stop it, or name another directory in [admin] socket");
    if (error == asio::error::connection_refused) ::unlink(path_.c_str());
}

void Console::open() {
    make_directory();
    remove_stale_socket();
    try {
        acceptor_.open();
        acceptor_.bind(local::endpoint(path_));
        // Others come in only if somebody else may: who they are is asked of the kernel.
        if (::chmod(path_.c_str(), settings_.users.only_owner() ? 0700 : 0777) != 0)
            throw boost::system::system_error(errno, boost::system::system_category());
        acceptor_.listen();
    } catch (const boost::system::system_error& error) {
        throw std::runtime_error("the admin socket " + path_ + " cannot be opened: " + error.code().message() +
                                 "; name a directory that this user may write in [admin] socket");
    }
    asio::co_spawn(executor_, accept(), asio::detached);
}

void Console::close() {
    if (!acceptor_.is_open()) return;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    ::unlink(path_.c_str());
    const auto sessions = sessions_;
    for (const auto& [pid, weak] : sessions)
        if (const auto session = weak.lock()) session->finish();
}

asio::awaitable<void> Console::accept() {
    asio::steady_timer pause(executor_);
    while (acceptor_.is_open()) {
        boost::system::error_code error;
        local::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) co_return;
        if (error) {  // out of descriptors, most likely: it would fail again at once
            spdlog::warn("the admin socket cannot accept: {}", error.message());
            pause.expires_after(std::chrono::milliseconds(100));
            co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
            continue;
        }
        std::make_shared<ConsoleSession>(std::move(socket), *this)->start();
    }
}

void Console::admit(local::socket socket, std::string user) {
    if (!acceptor_.is_open()) return;  // closed, or not yet open: the socket is, too, and the client sees that
    std::make_shared<ConsoleSession>(std::move(socket), *this, std::move(user))->start();
}

std::int32_t Console::enter(const std::shared_ptr<ConsoleSession>& session) {
    do {
        last_pid_ = last_pid_ == INT32_MAX ? 1 : last_pid_ + 1;
    } while (sessions_.contains(last_pid_));
    sessions_[last_pid_] = session;
    return last_pid_;
}

void Console::leave(std::int32_t pid) { sessions_.erase(pid); }

void Console::cancel(std::int32_t pid, std::string_view secret) {
    const auto found = sessions_.find(pid);
    const auto session = found == sessions_.end() ? nullptr : found->second.lock();
    if (session && protocol::equal_in_constant_time(session->secret(), secret)) session->cancel();
}

}  // namespace turnout::control
