// One client of the console. Three coroutines on the console's executor: one reads whatever comes, so that a
// client that goes away is noticed while its command runs; one writes; one serves, message by message.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/command.hpp"
#include "control/console.hpp"
#include "control/console_wire.hpp"
#include "protocol/framing.hpp"
#include "protocol/startup.hpp"

namespace turnout::control {

class ConsoleSession : public std::enable_shared_from_this<ConsoleSession> {
  public:
    /// The console outlives its sessions' use of it: it must not be destroyed while its executor runs them. `client`:
    /// the role that a client of the proxy has proved to be; nobody, for one of the admin socket.
    ConsoleSession(boost::asio::local::stream_protocol::socket socket, Console& console,
                   std::optional<std::string> client = std::nullopt);

    /// Begins to serve; the session keeps itself alive until it ends.
    void start();

    /// A CancelRequest came for it: cancels the running command.
    void cancel();

    /// Ends it with 57P01, after the running command has answered.
    void finish();

    /// Of its cancel key.
    std::string_view secret() const { return secret_; }

  private:
    struct Message {
        char type = 0;
        std::string body;
    };
    /// nullopt: an empty query string.
    using Statement = std::optional<Command>;
    struct Portal {
        Statement statement;
        ResultFormats formats;
        bool executed = false;
        std::vector<Row> rows;  ///< not yet sent
        std::size_t sent = 0;
    };
    enum class Next { go_on, end };

    boost::asio::awaitable<void> read();
    boost::asio::awaitable<void> write();
    boost::asio::awaitable<void> serve();

    boost::asio::awaitable<bool> start_up();
    bool answer_first_packet(const protocol::FirstPacket& packet, std::size_t bytes_behind, bool& done);
    void welcome(const protocol::StartupMessage& startup);
    std::optional<Rights> rights_of(const protocol::StartupMessage& startup);
    void refuse_fatally(std::string_view sqlstate, std::string_view message, std::string_view hint = {});

    boost::asio::awaitable<std::optional<Message>> next_message();
    boost::asio::awaitable<Next> handle(const Message& message);
    boost::asio::awaitable<void> simple_query(const std::string& body);
    boost::asio::awaitable<Answer> run(const Command& command);
    boost::asio::awaitable<void> execute(const std::string& body);

    void extended(const Message& message);
    void parse_statement(const std::string& body);
    void bind(const std::string& body);
    void describe_target(const std::string& body);
    void close_target(const std::string& body);
    void send_portal_rows(Portal& portal, std::int32_t max_rows);
    void fail(std::string_view sqlstate, std::string_view message, std::string_view hint = {});
    void fail_extended(std::string_view sqlstate, std::string_view message, std::string_view hint = {});

    void report_exit_status(ExitStatus status);
    void ready();
    void flush() { to_write_.cancel(); }
    boost::asio::awaitable<void> wait(boost::asio::steady_timer& signal);

    boost::asio::local::stream_protocol::socket socket_;
    Console& console_;
    const std::optional<std::string> client_;
    std::int32_t pid_ = 0;
    Rights rights_ = Rights::stats;
    std::string secret_;

    // A timer that never expires and is cancelled by who has news: each is waited for by one coroutine, in a loop.
    boost::asio::steady_timer arrived_;   ///< input_ has grown, or input_ended_
    boost::asio::steady_timer consumed_;  ///< input_ has shrunk
    boost::asio::steady_timer to_write_;  ///< output_ has something, or output_ended_

    std::string input_;
    bool input_ended_ = false;
    bool finishing_ = false;
    std::string output_;
    bool output_ended_ = false;
    protocol::FrameScanner scanner_;

    boost::asio::cancellation_signal cancel_command_;
    bool running_ = false;
    bool skip_to_sync_ = false;
    std::map<std::string, Statement, std::less<>> statements_;
    std::map<std::string, Portal, std::less<>> portals_;
};

}  // namespace turnout::control
