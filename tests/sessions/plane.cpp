#include "plane.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

#include "protocol/frontend_messages.hpp"
#include "proxy/proxy.hpp"

namespace turnout::test {

using control::Clock;

namespace {

std::uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
}

/// Waits for what `start` is given a callback for.
template <class T, class Start>
T await(Start start) {
    auto promise = std::make_shared<std::promise<T>>();
    auto future = promise->get_future();
    start([promise](T answer) { promise->set_value(std::move(answer)); });
    return future.get();
}

}  // namespace

void OpenDoor::look_up(Side, std::string, std::string, std::function<void(control::RoleAnswer)> done) {
    control::RoleFacts facts;
    facts.exists = true;
    done(facts);
}

Plane::Plane(const support::Cluster& blue, const support::Cluster& green, std::string database)
    : Plane(blue.port(), green.port(), std::move(database)) {}

Plane::Plane(std::uint16_t blue, std::uint16_t green, std::string database)
    : work_(control_.get_executor()), thread_([this] { control_.run(); }) {
    plane_ = proxy::make_data_plane(control_.get_executor(), door_);
    control::DataPlaneSettings settings;
    port_ = free_port();
    settings.listen = {"127.0.0.1:" + std::to_string(port_)};
    settings.workers = 2;
    settings.auth = control::AuthMethod::trust;
    settings.databases = {std::move(database)};
    settings.sides[0].endpoints = {{"127.0.0.1", "", blue}};
    settings.sides[1].endpoints = {{"127.0.0.1", "", green}};
    plane_->start(settings);
    plane_->serve(Side::blue, 1);
}

Plane::~Plane() {
    plane_.reset();
    work_.reset();
    control_.stop();
    thread_.join();
}

std::unique_ptr<RawClient> Plane::client(const std::string& user) {
    return std::make_unique<RawClient>(port_, user, "postgres");
}

control::ArmReport Plane::arm(control::ArmRequest request) {
    request.standby = other(active_);
    return await<control::ArmReport>([&](auto done) { plane_->arm(request, done); });
}

std::future<void> Plane::warm() {
    auto promise = std::make_shared<std::promise<void>>();
    auto future = promise->get_future();
    plane_->warm([promise] { promise->set_value(); });
    return future;
}

std::future<control::DrainReport> Plane::close(std::chrono::milliseconds bound, control::CloseRequest request) {
    auto promise = std::make_shared<std::promise<control::DrainReport>>();
    auto future = promise->get_future();
    request.attempt = ++attempt_;
    request.deadline = Clock::now() + bound;
    plane_->close_gate(request, [promise](control::DrainReport report) { promise->set_value(std::move(report)); });
    return future;
}

void Plane::open_to_other() {
    active_ = other(active_);
    await<Clock::time_point>([&](auto done) { plane_->open_to(attempt_, active_, ++generation_, done); });
}

control::MoveReport Plane::finish_moves() {
    return await<control::MoveReport>([&](auto done) { plane_->finish_moves(done); });
}

control::MoveReport Plane::change(control::ArmRequest request, control::CloseRequest close_request) {
    arm(std::move(request));
    warm().get();
    const control::DrainReport drained = close(std::chrono::minutes(1), close_request).get();
    EXPECT_EQ(drained.outcome, control::DrainReport::Outcome::drained);
    for (const control::SessionView& view : drained.holding_up) ADD_FAILURE() << view.state << ": " << view.reason;
    EXPECT_TRUE(claim());
    open_to_other();
    return finish_moves();
}

std::vector<control::SessionView> Plane::sessions() {
    return await<std::vector<control::SessionView>>([&](auto done) { plane_->sessions(done); });
}

control::SessionView Plane::session(std::int32_t pid) {
    for (control::SessionView& view : sessions()) {
        if (view.client_pid == pid) return view;
    }
    throw std::runtime_error("no session has the pid " + std::to_string(pid));
}

void Plane::wait_for_state(std::int32_t pid, const std::string& state) {
    for (const auto end = Clock::now() + std::chrono::seconds(10); Clock::now() < end;) {
        for (const control::SessionView& view : sessions()) {
            if (view.client_pid == pid && view.state == state) return;
        }
    }
    FAIL() << "no session with pid " << pid << " became \"" << state << '"';
}

std::string simple(std::initializer_list<std::string_view> texts) {
    std::string bytes;
    for (const std::string_view text : texts) append(bytes, protocol::Query{text});
    return bytes;
}

std::string extended(std::string_view sql, bool sync) {
    std::string bytes;
    append(bytes, protocol::Parse{"", sql, {}});
    append(bytes, protocol::Bind{});
    append(bytes, protocol::Execute{});
    if (sync) protocol::append_sync(bytes);
    return bytes;
}

}  // namespace turnout::test
