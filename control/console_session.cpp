#include "control/console_session.hpp"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <stdexcept>

#include "protocol/authentication.hpp"
#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"
#include "protocol/frontend_messages.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

/// Nobody types longer commands; what is larger is no admin client.
constexpr std::size_t kInputLimit = 256 * 1024;
/// A client that does not read its progress gets no more of it.
constexpr std::size_t kProgressLimit = 1024 * 1024;

std::string random_secret() {
    std::string secret(protocol::min_cancel_secret, '\0');
    if (::getentropy(secret.data(), secret.size()) != 0)
        throw std::runtime_error("no random numbers for the cancel key");
    return secret;
}

}  // namespace

ConsoleSession::ConsoleSession(asio::local::stream_protocol::socket socket, Console& console,
                               std::optional<std::string> client)
    : socket_(std::move(socket)),
      console_(console),
      client_(std::move(client)),
      arrived_(socket_.get_executor(), asio::steady_timer::time_point::max()),
      consumed_(socket_.get_executor(), asio::steady_timer::time_point::max()),
      to_write_(socket_.get_executor(), asio::steady_timer::time_point::max()),
      scanner_(protocol::Stream::frontend, kInputLimit) {}

void ConsoleSession::start() {
    secret_ = random_secret();
    pid_ = console_.enter(shared_from_this());
    const auto executor = socket_.get_executor();
    const auto self = shared_from_this();
    // Each coroutine holds the session; the captured `self` lives in the completion handler until the coroutine has
    // ended.
    asio::co_spawn(executor, read(), [self](std::exception_ptr) {});
    asio::co_spawn(executor, write(), [self](std::exception_ptr) {});
    asio::co_spawn(executor, serve(), [self](std::exception_ptr error) {
        if (error) spdlog::error("a session of the admin socket ended unexpectedly");
        self->console_.leave(self->pid_);
        self->output_ended_ = true;
        self->flush();
    });
}

void ConsoleSession::cancel() {
    if (running_) cancel_command_.emit(asio::cancellation_type::terminal);
}

void ConsoleSession::finish() {
    finishing_ = true;
    arrived_.cancel();
}

asio::awaitable<void> ConsoleSession::wait(asio::steady_timer& signal) {
    boost::system::error_code woken;
    co_await signal.async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

asio::awaitable<void> ConsoleSession::read() {
    std::array<char, 8192> buffer;
    boost::system::error_code error;
    while (!error && !output_ended_) {
        if (input_.size() >= kInputLimit) {
            co_await wait(consumed_);
            continue;
        }
        const std::size_t got =
            co_await socket_.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
        input_.append(buffer.data(), got);
        arrived_.cancel();
    }
    input_ended_ = true;
    arrived_.cancel();
    cancel();
}

asio::awaitable<void> ConsoleSession::write() {
    boost::system::error_code error;
    while (!error) {
        if (output_.empty()) {
            if (output_ended_) break;
            co_await wait(to_write_);
            continue;
        }
        const std::string writing = std::exchange(output_, {});
        co_await asio::async_write(socket_, asio::buffer(writing), asio::redirect_error(asio::use_awaitable, error));
    }
    boost::system::error_code ignored;
    socket_.close(ignored);
}

asio::awaitable<void> ConsoleSession::serve() {
    if (!co_await start_up()) co_return;
    while (const auto message = co_await next_message()) {
        if (co_await handle(*message) == Next::end) co_return;
        flush();
    }
    if (finishing_)
        refuse_fatally("57P01", "turnout is shutting down", "Connect again when it has been started again.");
}

// ------------------------------------------------------------------------------------------------------------ start-up

asio::awaitable<bool> ConsoleSession::start_up() {
    for (bool done = false; !done;) {
        const protocol::Classified first = protocol::classify_first_packet(input_);
        if (std::holds_alternative<protocol::NeedsMore>(first.packet)) {
            if (input_ended_ || finishing_) co_return false;
            co_await wait(arrived_);
            continue;
        }
        const bool served = answer_first_packet(first.packet, input_.size() - first.size, done);
        input_.erase(0, first.size);  // the packet's views end here
        flush();
        if (!served) co_return false;
    }
    co_return true;
}

bool ConsoleSession::answer_first_packet(const protocol::FirstPacket& packet, std::size_t bytes_behind, bool& done) {
    if (std::holds_alternative<protocol::SSLRequest>(packet) ||
        std::holds_alternative<protocol::GSSENCRequest>(packet)) {
        output_ += 'N';
        return bytes_behind == 0;  // what lies behind was meant to be encrypted
    }
    if (const auto* cancel = std::get_if<protocol::CancelRequest>(&packet)) {
        console_.cancel(cancel->pid, cancel->secret);
        return false;
    }
    const auto* startup = std::get_if<protocol::StartupMessage>(&packet);
    if (startup == nullptr) {
        const auto* bad = std::get_if<protocol::BadStartup>(&packet);
        refuse_fatally(bad != nullptr ? bad->sqlstate : "08P01",
                       bad != nullptr ? std::string_view(bad->message) : "the admin socket does not speak TLS");
        return false;
    }
    const auto rights = rights_of(*startup);
    if (!rights) {
        refuse_fatally(
            "28000", "user \"" + std::string(startup->user()) + "\" may not use the console",
            client_
                ? "Name it in admin_users or stats_users in [admin]."
                : "It is for the user who runs turnout, for root, and for those whom admin_users and stats_users in "
                  "[admin] name, each under the own name.");
        return false;
    }
    rights_ = *rights;
    if (startup->database() != "turnout" && startup->database() != "pgbouncer") {
        refuse_fatally("3D000", "the console has no database \"" + std::string(startup->database()) + "\"",
                       "Connect to the database turnout.");
        return false;
    }
    welcome(*startup);
    return done = true;
}

std::optional<Rights> ConsoleSession::rights_of(const protocol::StartupMessage& startup) {
    if (client_) return rights_of_client(console_.settings_.users, *client_);
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
    const bool owner = peer.uid == 0 || peer.uid == ::geteuid();
    return rights(console_.settings_.users, owner, owner ? std::string() : system_user(peer.uid), startup.user());
}

void ConsoleSession::welcome(const protocol::StartupMessage& startup) {
    const protocol::Negotiation negotiation = protocol::negotiate(startup);
    if (negotiation.send) append(output_, negotiation);
    protocol::append_authentication_ok(output_);
    // The oldest major that turnout serves: clients then use nothing that is newer.
    const std::string version = "13.0 (turnout " + console_.settings_.program_version + ")";
    const std::string application(startup.find("application_name").value_or(""));
    const std::string user(startup.user());
    for (const auto& [name, value] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{{"server_version", version},
                                                                              {"server_encoding", "UTF8"},
                                                                              {"client_encoding", "UTF8"},
                                                                              {"DateStyle", "ISO, MDY"},
                                                                              {"IntervalStyle", "postgres"},
                                                                              {"TimeZone", "UTC"},
                                                                              {"integer_datetimes", "on"},
                                                                              {"standard_conforming_strings", "on"},
                                                                              {"is_superuser", "on"},
                                                                              {"session_authorization", user},
                                                                              {"application_name", application}})
        append(output_, protocol::ParameterStatus{name, value});
    append(output_, protocol::BackendKeyData{pid_, secret_});
    ready();
}

void ConsoleSession::refuse_fatally(std::string_view sqlstate, std::string_view message, std::string_view hint) {
    append(output_, protocol::ErrorReport{
                        .severity = protocol::Severity::fatal, .sqlstate = sqlstate, .message = message, .hint = hint});
}

// ------------------------------------------------------------------------------------------------------------ messages

asio::awaitable<std::optional<ConsoleSession::Message>> ConsoleSession::next_message() {
    for (;;) {
        const protocol::Frame frame = scanner_.next(input_);
        switch (frame.state) {
            case protocol::FrameState::whole: {
                Message message{frame.type, std::string(frame.body)};
                input_.erase(0, frame.size);
                consumed_.cancel();
                co_return message;
            }
            case protocol::FrameState::opening:
            case protocol::FrameState::continuing:
                refuse_fatally("54000", "the message is too long for the console", "SHOW HELP lists its commands.");
                co_return std::nullopt;
            case protocol::FrameState::broken: refuse_fatally("08P01", frame.error); co_return std::nullopt;
            case protocol::FrameState::incomplete: break;
        }
        if (input_ended_ || finishing_) co_return std::nullopt;
        co_await wait(arrived_);
    }
}

asio::awaitable<ConsoleSession::Next> ConsoleSession::handle(const Message& message) {
    using protocol::FrontendType;
    const auto type = static_cast<FrontendType>(message.type);
    if (type == FrontendType::terminate) co_return Next::end;
    if (type == FrontendType::sync) {
        skip_to_sync_ = false;
        portals_.clear();  // outside a transaction block portals end with the Sync
        ready();
    } else if (skip_to_sync_) {
        co_return Next::go_on;
    } else if (type == FrontendType::query) {
        co_await simple_query(message.body);
    } else if (type == FrontendType::execute) {
        co_await execute(message.body);
    } else {
        extended(message);
    }
    co_return Next::go_on;
}

void ConsoleSession::extended(const Message& message) {
    using protocol::FrontendType;
    switch (static_cast<FrontendType>(message.type)) {
        case FrontendType::parse: parse_statement(message.body); break;
        case FrontendType::bind: bind(message.body); break;
        case FrontendType::describe: describe_target(message.body); break;
        case FrontendType::close: close_target(message.body); break;
        case FrontendType::flush: break;
        case FrontendType::function_call:
            fail("0A000", "the console has no functions", "Send commands as queries: SHOW HELP lists them.");
            ready();
            break;
        default: break;  // what is left over of a COPY is ignored, as a server does
    }
}

asio::awaitable<void> ConsoleSession::simple_query(const std::string& body) {
    protocol::Query query;
    if (const auto error = parse(body, query)) {
        fail("08P01", error.what);
        ready();
        co_return;
    }
    const ParsedCommands commands = parse_commands(query.text);
    if (!commands) {
        report_exit_status(ExitStatus::usage);
        fail(commands.error().sqlstate, commands.error().message, commands.error().hint);
    } else if (commands->empty()) {
        protocol::append_empty(output_, protocol::BackendType::empty_query_response);
    } else {
        for (const Command& command : *commands) {
            const Answer answer = co_await run(command);
            report_exit_status(answer.exit_status);
            if (answer.failed()) {
                append_failure(output_, command, answer);
                break;
            }
            if (!answer.message.empty()) append_notice(output_, answer.message);
            if (const auto columns = columns_of(command); !columns.empty()) {
                append_columns(output_, columns, {});
                for (const Row& row : rows_of(command, answer)) append_row(output_, columns, row, {});
            }
            append(output_, protocol::CommandComplete{tag(command.verb)});
            flush();
        }
    }
    ready();
}

asio::awaitable<Answer> ConsoleSession::run(const Command& command) {
    const auto self = weak_from_this();
    const Progress progress = [self](const std::string& line) {
        const auto session = self.lock();
        if (!session || session->output_ended_ || session->output_.size() > kProgressLimit) return;
        append_notice(session->output_, line);
        session->flush();
    };
    Answer answer;
    if (rights_ == Rights::stats && !only_looks(command))
        co_return refusal("42501", std::string(tag(command.verb)) + " is refused: this user may only look",
                          "Name it in admin_users in [admin], or connect as the user who runs turnout.");
    if (input_ended_) co_return refusal(sqlstate::cancelled, "the client is gone");
    running_ = true;
    try {
        answer = co_await asio::co_spawn(socket_.get_executor(), console_.handler_(command, progress),
                                         asio::bind_cancellation_slot(cancel_command_.slot(), asio::use_awaitable));
    } catch (const boost::system::system_error& error) {
        answer = error.code() == asio::error::operation_aborted ? refusal(sqlstate::cancelled, "cancelled on request")
                                                                : refusal(sqlstate::internal, error.code().message());
    } catch (const std::exception& error) {
        answer = refusal(sqlstate::internal, error.what());
    }
    running_ = false;
    co_return answer;
}

void ConsoleSession::report_exit_status(ExitStatus status) {
    const std::string value = std::to_string(static_cast<int>(status));
    append(output_, protocol::ParameterStatus{kExitStatusParameter, value});
}

void ConsoleSession::ready() {
    append(output_, protocol::ReadyForQuery{protocol::TransactionStatus::idle});
    flush();
}

void ConsoleSession::fail(std::string_view sqlstate, std::string_view message, std::string_view hint) {
    append(output_, protocol::ErrorReport{
                        .severity = protocol::Severity::error, .sqlstate = sqlstate, .message = message, .hint = hint});
}

// --------------------------------------------------------------------------------------------------- extended protocol

void ConsoleSession::fail_extended(std::string_view sqlstate, std::string_view message, std::string_view hint) {
    fail(sqlstate, message, hint);
    skip_to_sync_ = true;
}

void ConsoleSession::parse_statement(const std::string& body) {
    protocol::Parse message;
    if (const auto error = parse(body, message)) return fail_extended("08P01", error.what);
    const ParsedCommands commands = parse_commands(message.query);
    if (!commands) {
        report_exit_status(ExitStatus::usage);
        return fail_extended(commands.error().sqlstate, commands.error().message, commands.error().hint);
    }
    if (commands->size() > 1)
        return fail_extended(sqlstate::syntax_error, "several commands cannot be one prepared statement",
                             "Prepare them one by one, or send them as a simple query.");
    if (!message.statement.empty() && statements_.contains(message.statement))
        return fail_extended("42P05", "prepared statement \"" + std::string(message.statement) + "\" exists already");
    statements_[std::string(message.statement)] = commands->empty() ? Statement() : Statement(commands->front());
    protocol::append_empty(output_, protocol::BackendType::parse_complete);
}

void ConsoleSession::bind(const std::string& body) {
    protocol::Bind message;
    if (const auto error = parse(body, message)) return fail_extended("08P01", error.what);
    const auto statement = statements_.find(message.statement);
    if (statement == statements_.end())
        return fail_extended("26000", "prepared statement \"" + std::string(message.statement) + "\" does not exist");
    if (!message.parameters.empty())
        return fail_extended("08P01", "commands of the console have no parameters",
                             "Write the values into the command.");
    portals_[std::string(message.portal)] = Portal{statement->second, message.result_formats};
    protocol::append_empty(output_, protocol::BackendType::bind_complete);
}

void ConsoleSession::describe_target(const std::string& body) {
    protocol::Describe message;
    if (const auto error = parse(body, message)) return fail_extended("08P01", error.what);
    const bool of_statement = message.target == protocol::Target::statement;
    const auto statement = statements_.find(message.name);
    const auto portal = portals_.find(message.name);
    if (of_statement ? statement == statements_.end() : portal == portals_.end())
        return fail_extended(of_statement ? "26000" : "34000",
                             "nothing is prepared under the name \"" + std::string(message.name) + "\"");
    if (of_statement) append(output_, protocol::ParameterDescription{});
    const Statement& command = of_statement ? statement->second : portal->second.statement;
    const auto columns = command ? columns_of(*command) : std::vector<Column>();
    if (columns.empty())
        protocol::append_empty(output_, protocol::BackendType::no_data);
    else
        append_columns(output_, columns, of_statement ? ResultFormats() : portal->second.formats);
}

void ConsoleSession::close_target(const std::string& body) {
    protocol::Close message;
    if (const auto error = parse(body, message)) return fail_extended("08P01", error.what);
    if (message.target == protocol::Target::statement)
        statements_.erase(std::string(message.name));
    else
        portals_.erase(std::string(message.name));
    protocol::append_empty(output_, protocol::BackendType::close_complete);
}

asio::awaitable<void> ConsoleSession::execute(const std::string& body) {
    protocol::Execute message;
    if (const auto error = parse(body, message)) {
        fail_extended("08P01", error.what);
        co_return;
    }
    const auto found = portals_.find(message.portal);
    if (found == portals_.end()) {
        fail_extended("34000", "portal \"" + std::string(message.portal) + "\" does not exist");
        co_return;
    }
    // Messages are handled one after the other, so nobody closes the portal while its command runs.
    Portal& portal = found->second;
    if (!portal.statement) {
        protocol::append_empty(output_, protocol::BackendType::empty_query_response);
        co_return;
    }
    if (!portal.executed) {
        portal.executed = true;
        const Answer answer = co_await run(*portal.statement);
        report_exit_status(answer.exit_status);
        if (answer.failed()) {
            append_failure(output_, *portal.statement, answer);
            skip_to_sync_ = true;
            co_return;
        }
        if (!answer.message.empty()) append_notice(output_, answer.message);
        if (!columns_of(*portal.statement).empty()) portal.rows = rows_of(*portal.statement, answer);
    }
    send_portal_rows(portal, message.max_rows);
}

void ConsoleSession::send_portal_rows(Portal& portal, std::int32_t max_rows) {
    const auto columns = columns_of(*portal.statement);
    const std::size_t left = portal.rows.size() - portal.sent;
    const std::size_t now = max_rows > 0 ? std::min(left, static_cast<std::size_t>(max_rows)) : left;
    for (std::size_t i = 0; i < now; ++i) append_row(output_, columns, portal.rows[portal.sent++], portal.formats);
    if (portal.sent < portal.rows.size())
        protocol::append_empty(output_, protocol::BackendType::portal_suspended);
    else
        append(output_, protocol::CommandComplete{tag(portal.statement->verb)});
}

}  // namespace turnout::control
