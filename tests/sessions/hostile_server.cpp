#include "hostile_server.hpp"

#include "protocol/authentication.hpp"
#include "protocol/backend_messages.hpp"

namespace turnout::test {

namespace {

void pump(const Socket& from, const Socket& to) {
    constexpr std::size_t size = 65536;
    for (std::string bytes = from.receive(size, -1); !bytes.empty() && to.send(bytes);) bytes = from.receive(size, -1);
    from.hang_up();
    to.hang_up();
}

}  // namespace

HostileServer::HostileServer(std::uint16_t real_server) : real_(real_server) {
    acceptor_ = std::thread([this] {
        for (int fd = doorway_.accept(); fd >= 0; fd = doorway_.accept()) {
            const std::lock_guard lock(mutex_);
            const Socket& client = connections_.emplace_back(Socket::accepted(fd));
            threads_.emplace_back([this, &client] { serve(client); });
        }
    });
}

HostileServer::~HostileServer() {
    doorway_.close();
    acceptor_.join();
    {
        const std::lock_guard lock(mutex_);
        for (const Socket& connection : connections_) connection.hang_up();
    }
    for (std::thread& thread : threads_) thread.join();
}

void HostileServer::play(Script script) {
    const std::lock_guard lock(mutex_);
    script_ = std::move(script);
}

void HostileServer::hang_up() {
    const std::lock_guard lock(mutex_);
    for (const Socket* mallory : mallorys_) mallory->hang_up();
    mallorys_.clear();
}

void HostileServer::serve(const Socket& client) {
    constexpr std::size_t ssl_request = 8;
    std::string first = client.receive();  // a StartupMessage is small and comes in one piece
    if (first.size() == ssl_request) {
        client.send("N");
        first = client.receive();
    }
    if (first.find("mallory") == std::string::npos) return relay(client, first);
    Script script;
    {
        const std::lock_guard lock(mutex_);
        ++played_;
        mallorys_.push_back(&client);
        script = script_;
    }
    if (script) script(client);
}

void HostileServer::relay(const Socket& client, const std::string& first) {
    const Socket server(real_);
    server.send(first);
    std::thread back([&] { pump(server, client); });
    pump(client, server);
    back.join();
}

std::string welcome() {
    std::string bytes;
    protocol::append_authentication_ok(bytes);
    append(bytes, protocol::BackendKeyData{4711, "abcd"});
    append(bytes, protocol::ReadyForQuery{protocol::TransactionStatus::idle});
    return bytes;
}

}  // namespace turnout::test
