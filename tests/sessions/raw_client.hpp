// A client that says exactly what it is told to, over a blocking socket, and reads with a bound on the time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/framing.hpp"

namespace turnout::test {

class RawClient {
  public:
    /// Connects to 127.0.0.1 and logs in (trust). Throws std::runtime_error with the server's words if refused.
    RawClient(std::uint16_t port, const std::string& user, const std::string& database);
    ~RawClient();
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    void send(std::string_view bytes);
    void query(std::string_view sql);
    /// The types of the messages up to and including the `ready`-th ReadyForQuery with its status, errors with their
    /// SQLSTATE: "T D C Z(I)", "E(57014) Z(I)". Asynchronous messages are left out. Throws when nothing comes for 10 s.
    std::string replies(unsigned ready = 1);
    /// Every message up to and including the `ready`-th ReadyForQuery, one a line with its body as text. Notifications
    /// are kept apart.
    std::string transcript(unsigned ready);
    /// Every message until the other end closes the connection, in the same form.
    std::string transcript_to_the_end();
    /// Those that transcript() met: "channel|payload|own" or "channel|payload|other", by the pid.
    const std::vector<std::string>& notifications() const { return notifications_; }
    /// The types of the next `count` messages.
    std::string next(unsigned count);
    /// The next message that is not asynchronous, told by `tell(type, body)`.
    std::string next_line(std::string (*tell)(char, std::string_view));
    /// The types of all messages that come before the other end closes the connection.
    std::string rest();
    /// The first column of the first row of a simple query.
    std::string value(std::string_view sql);
    /// Whether bytes have come that were not read yet.
    bool has_something() const;
    /// A CancelRequest with the key that was handed out; returns when the other end has closed the connection.
    void cancel() const;
    std::int32_t pid() const { return pid_; }
    /// Vanishes without a Terminate.
    void vanish();

  private:
    protocol::Frame take();
    bool read_more();
    std::string describe(const protocol::Frame& frame) const;

    std::uint16_t port_;
    int fd_ = -1;
    std::string buffer_;
    std::size_t consumed_ = 0;
    std::int32_t pid_ = 0;
    std::string secret_;
    std::vector<std::string> notifications_;
};

}  // namespace turnout::test
