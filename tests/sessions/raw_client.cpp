#include "raw_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/endian/conversion.hpp>
#include <stdexcept>

#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/startup.hpp"

namespace turnout::test {
namespace {

constexpr int kPatienceMs = 10'000;

int dial(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        ::close(fd);
        throw std::runtime_error("could not connect");
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

}  // namespace

RawClient::RawClient(std::uint16_t port, const std::string& user, const std::string& database) : port_(port) {
    fd_ = dial(port);
    protocol::StartupMessage startup;
    startup.parameters = {{"user", user}, {"database", database}};
    std::string packet;
    append(packet, startup);
    send(packet);
    for (;;) {
        const protocol::Frame frame = take();
        if (frame.type == 'E') throw std::runtime_error(describe(frame));
        if (frame.type == 'K') {
            protocol::BackendKeyData key;
            if (!parse(frame.body, key)) {
                pid_ = key.pid;
                secret_ = key.secret;
            }
        }
        if (frame.type == 'Z') return;
    }
}

RawClient::~RawClient() { vanish(); }

void RawClient::vanish() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

void RawClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) throw std::runtime_error("the proxy closed the connection");
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

void RawClient::query(std::string_view sql) {
    std::string bytes;
    append(bytes, protocol::Query{sql});
    send(bytes);
}

protocol::Frame RawClient::take() {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
    for (;;) {
        // A scanner would open a DataRow before all of it is there.
        if (buffer_.size() >= protocol::header_size) {
            const auto length = boost::endian::load_big_u32(reinterpret_cast<const unsigned char*>(&buffer_[1]));
            if (buffer_.size() > length) {
                consumed_ = 1 + std::size_t{length};
                protocol::Frame frame;
                frame.type = buffer_[0];
                frame.size = consumed_;
                frame.body = std::string_view(buffer_).substr(protocol::header_size, length - 4);
                return frame;
            }
        }
        if (!read_more()) throw std::runtime_error("the proxy closed the connection");
    }
}

/// False: the other end has closed the connection.
bool RawClient::read_more() {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, kPatienceMs) != 1) throw std::runtime_error("nothing came");
    char bytes[65536];
    const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
    if (n > 0) buffer_.append(bytes, static_cast<std::size_t>(n));
    return n > 0;
}

std::string RawClient::describe(const protocol::Frame& frame) const {
    std::string text(1, frame.type);
    if (frame.type == 'Z') text += "(" + std::string(frame.body.substr(0, 1)) + ")";
    if (frame.type == 'E') text += "(" + std::string(protocol::sqlstate_of(frame.body)) + ")";
    return text;
}

std::string RawClient::replies(unsigned ready) {
    std::string text;
    while (ready > 0) {
        const protocol::Frame frame = take();
        if (is_asynchronous(static_cast<protocol::BackendType>(frame.type))) continue;
        text += (text.empty() ? "" : " ") + describe(frame);
        if (frame.type == 'Z') --ready;
    }
    return text;
}

std::string RawClient::transcript(unsigned ready) {
    std::string text;
    while (ready > 0) {
        const protocol::Frame frame = take();
        protocol::NotificationResponse notification;
        if (frame.type == 'A' && !parse(frame.body, notification)) {
            notifications_.push_back(std::string(notification.channel) + "|" + std::string(notification.payload) +
                                     (notification.pid == pid_ ? "|own" : "|other"));
            continue;
        }
        text += frame.type;
        text += ' ';
        for (const char c : frame.body) text += c >= ' ' && c <= '~' ? c : '.';
        text += '\n';
        if (frame.type == 'Z') --ready;
    }
    return text;
}

std::string RawClient::transcript_to_the_end() {
    std::string text;
    try {
        for (;;) {
            const protocol::Frame frame = take();
            text += frame.type;
            for (const char c : frame.body) text += c >= ' ' && c <= '~' ? c : '.';
        }
    } catch (const std::runtime_error&) {
        return text;
    }
}

std::string RawClient::next(unsigned count) {
    std::string text;
    while (count-- > 0) text += (text.empty() ? "" : " ") + describe(take());
    return text;
}

std::string RawClient::next_line(std::string (*tell)(char, std::string_view)) {
    for (;;) {
        const protocol::Frame frame = take();
        if (!is_asynchronous(static_cast<protocol::BackendType>(frame.type))) return tell(frame.type, frame.body);
    }
}

std::string RawClient::rest() {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
    while (read_more()) {
    }
    std::string text;
    protocol::FrameScanner scanner(protocol::Stream::backend);
    for (std::string_view bytes = buffer_; !bytes.empty();) {
        const protocol::Frame frame = scanner.next(bytes);
        if (!frame.starts()) return text + " and a torn message";
        text += (text.empty() ? "" : " ") + describe(frame);
        bytes.remove_prefix(frame.size);
    }
    return text;
}

std::string RawClient::value(std::string_view sql) {
    query(sql);
    std::string value;
    for (;;) {
        const protocol::Frame frame = take();
        protocol::DataRow row;
        if (frame.type == 'D' && !parse(frame.body, row) && !row.values.empty() && row.values[0])
            value = *row.values[0];
        if (frame.type == 'E') value = describe(frame);
        if (frame.type == 'Z') return value;
    }
}

bool RawClient::has_something() const {
    pollfd waiting{fd_, POLLIN, 0};
    return consumed_ < buffer_.size() || ::poll(&waiting, 1, 0) == 1;
}

void RawClient::cancel() const {
    const int fd = dial(port_);
    std::string packet;
    append(packet, protocol::CancelRequest{pid_, secret_});
    (void)::send(fd, packet.data(), packet.size(), MSG_NOSIGNAL);
    char byte = 0;
    (void)::recv(fd, &byte, 1, 0);
    ::close(fd);
}

}  // namespace turnout::test
