// A client of the console: let in like any other, then carried between its socket and one of control's. It has no
// backend, holds up no switch, waits at no gate, and lives until one of the two ends goes.
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cerrno>
#include <cstring>

#include "protocol/startup.hpp"
#include "proxy/session.hpp"
#include "proxy/worker.hpp"

namespace turnout::proxy {

bool Session::wants_console() const {
    return runtime_->settings.console && worker_.shared().console.admit &&
           replication_ == protocol::ReplicationKind::none && (database_ == "turnout" || database_ == "pgbouncer");
}

/// No server will look at these.
std::optional<Session::Reason> Session::why_not_the_console(const control::RoleFacts& role) {
    if (role.may_log_in) return std::nullopt;
    return Reason{"the role may not log in, or not any more",
                  "ALTER ROLE ... LOGIN and VALID UNTIL on the active side change it."};
}

Task<void> Session::carry_console() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        spdlog::error("no socket to the console for {}: {}", address_, std::strerror(errno));
        refuse("53300", "the console cannot be reached at present", std::strerror(errno), "Try again in a moment.");
        co_return;
    }
    console_ = std::make_shared<Stream>(worker_.context(), ends[0], AF_UNIX);
    worker_.console_began(id_);
    set_phase(Phase::idle);
    protocol::StartupMessage startup;
    startup.version = version_;
    for (const auto& [name, value] : startup_) {
        if (!name.starts_with("_pq_.")) startup.parameters.push_back({name, value});
    }
    std::string first;
    protocol::append(first, startup);
    worker_.shared().console.admit({ends[1], user_});
    spdlog::info("user \"{}\" from {} uses the console", user_, address_);
    auto console = console_;
    const bool begun = co_await console->write_all(first);
    if (!begun) co_return;
    boost::asio::co_spawn(
        worker_.context(), [self = shared_from_this(), console] { return self->carry(*console, self->client_); },
        boost::asio::detached);
    co_await carry(client_, *console);
}

/// One way. At its end neither goes on: what the one that closed had still said has been delivered.
Task<void> Session::carry(Stream& from, Stream& to) {
    while (from.open() && to.open()) {
        const bool readable = co_await from.wait(Stream::Status::want_read);
        if (!readable) break;
        std::vector<char>& buffer = worker_.buffer();
        const Stream::Io io = from.read(buffer.data(), buffer.size());
        if (io.status == Stream::Status::want_read) continue;
        if (io.status == Stream::Status::want_write) {
            const bool ready = co_await from.wait(io.status);
            if (!ready) break;
            continue;
        }
        if (io.status != Stream::Status::ok) break;
        const std::string bytes(buffer.data(), io.bytes);
        const bool delivered = co_await to.write_all(bytes);
        if (!delivered) break;
    }
    from.close();
    to.close();
}

}  // namespace turnout::proxy
