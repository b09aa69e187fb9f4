// Control's own connection to one database of one side: libpq without ever blocking, driven by coroutines.
//
// All calls on one connection are made from the thread that runs its executor, one at a time. A call that is cancelled
// (asio cancellation of the calling coroutine, of the types that co_spawn lets through: terminal) or whose deadline
// passes asks the server to cancel the statement and closes the connection; later calls fail with Outcome::not_sent.
//
// The window's path is send_prepared() on several connections, then receive() on each:
//
//     active.send_prepared("turnout_barrier");          // at once, in the socket
//     active.send_prepared("turnout_sequences");        // libpq pipeline, each statement with its own Sync
//     nudge.send_prepared("turnout_nudge");
//     PgResult barrier = co_await active.receive();     // usable before the second answer has come
#pragma once

#include <libpq-fe.h>

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/conninfo.hpp"
#include "control/data_plane.hpp"
#include "control/pg_error.hpp"
#include "control/pg_result.hpp"

namespace turnout::control {

namespace asio = boost::asio;

/// One parameter of a statement, in text form; the server infers its type.
class PgParam {
  public:
    PgParam(std::nullopt_t) {}
    PgParam(std::string_view text) : text_(std::string(text)) {}
    PgParam(const std::string& text) : text_(text) {}
    PgParam(const char* text) : text_(std::string(text)) {}
    PgParam(bool value) : text_(value ? "t" : "f") {}
    PgParam(Lsn value) : text_(value.text()) {}
    template <class T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) PgParam(T value) : text_(std::to_string(value)) {}
    template <class T>
    PgParam(const std::optional<T>& value) {
        if (value) text_ = PgParam(*value).text_;
    }
    /// An array of text, as PostgreSQL writes it: {"a","b"}.
    PgParam(const std::vector<std::string>& values);

    const char* c_str() const { return text_ ? text_->c_str() : nullptr; }

  private:
    std::optional<std::string> text_;
};

class PgConnection {
  public:
    using Ptr = std::unique_ptr<PgConnection>;
    /// `severity` is the server's, not translated: NOTICE, WARNING, …
    using NoticeSink = std::function<void(std::string_view severity, std::string_view message)>;

    /// Connects. Names are resolved by libpq (blocking: give numeric addresses where that matters). Throws PgError with
    /// Outcome::not_sent; the message is libpq's, which has the server's own in it.
    static asio::awaitable<Ptr> open(Conninfo conninfo, Side side, Clock::time_point deadline);

    PgConnection(const PgConnection&) = delete;
    PgConnection& operator=(const PgConnection&) = delete;
    ~PgConnection();

    /// Runs one statement and waits until the server is ready again, so that its transaction has ended. Without
    /// arguments it goes as a simple Query and may be several commands: the last result counts, the first error is
    /// thrown.
    template <class... Args>
    asio::awaitable<PgResult> query(std::string_view sql, const Args&... args) {
        return query_with(sql, std::vector<PgParam>{PgParam(args)...}, std::nullopt);
    }
    /// As query, with an absolute deadline instead of call_timeout.
    template <class... Args>
    asio::awaitable<PgResult> query_by(Clock::time_point deadline, std::string_view sql, const Args&... args) {
        return query_with(sql, std::vector<PgParam>{PgParam(args)...}, deadline);
    }
    /// Several parameters that are known at run time only.
    asio::awaitable<PgResult> query_with(std::string_view sql, std::vector<PgParam> params,
                                         std::optional<Clock::time_point> deadline);

    asio::awaitable<void> prepare(std::string_view name, std::string_view sql);
    template <class... Args>
    asio::awaitable<PgResult> exec_prepared(std::string_view name, const Args&... args) {
        return run_prepared(std::string(name), std::vector<PgParam>{PgParam(args)...});
    }

    /// Puts a prepared statement and a Sync of its own into the pipeline and writes it out as far as the socket takes
    /// it. Never throws and never waits: a failure is thrown by the matching receive(). Every send must be received
    /// before query(), prepare() or exec_prepared() is called.
    template <class... Args>
    void send_prepared(const std::string& name, const Args&... args) {
        const std::array<PgParam, sizeof...(Args)> params{PgParam(args)...};
        enqueue_prepared(name, params.data(), params.size());
    }
    /// As send_prepared, for a statement that was not prepared.
    template <class... Args>
    void send(const std::string& sql, const Args&... args) {
        const std::array<PgParam, sizeof...(Args)> params{PgParam(args)...};
        enqueue_params(sql, params.data(), params.size());
    }
    /// The next answer of the pipeline, in the order sent. Comes when that statement's Sync is answered: its
    /// transaction has ended, and a failure at commit is thrown here.
    asio::awaitable<PgResult> receive() { return receive_by(Clock::now() + call_timeout_); }
    asio::awaitable<PgResult> receive_by(Clock::time_point deadline);
    /// Answers not yet received.
    std::size_t outstanding() const { return outstanding_.size(); }

    /// Completes (without throwing) when the server or the network ends this idle connection, or close() is called.
    /// Must not be in use meanwhile. Throws only when cancelled, and leaves the connection as it is then.
    asio::awaitable<void> wait_until_lost();

    /// True until a failure or close(); a silent loss shows at the next call.
    bool is_alive() const { return conn_ != nullptr && PQstatus(conn_) == CONNECTION_OK; }
    /// A transaction block is open on it, or a statement under way.
    bool in_transaction() const { return conn_ != nullptr && PQtransactionStatus(conn_) != PQTRANS_IDLE; }
    void close();
    /// Asks the server to cancel what runs, from a thread of its own (PQcancel blocks); returns at once.
    void cancel_statement();

    /// Bound on each call that has no deadline of its own. Default 30 s.
    void set_call_timeout(Milliseconds timeout) { call_timeout_ = timeout; }
    void set_notice_sink(NoticeSink sink) { notice_sink_ = std::move(sink); }

    Side side() const { return side_; }
    const std::string& database() const { return database_; }
    /// As server_version_num: 150020.
    int server_version() const { return server_version_; }
    int server_major() const { return server_version_ / 10000; }
    std::int32_t backend_pid() const { return backend_pid_; }
    const asio::any_io_executor& executor() const { return executor_; }

    /// "quoted identifier" and 'quoted literal' (standard_conforming_strings is on in every session of control's).
    static std::string identifier(std::string_view name);
    static std::string literal(std::string_view text);

  private:
    struct Sent {
        std::string statement;
        std::optional<PgError::Fields> failure;  ///< it never went out
    };
    struct Expiry;
    class Deadline;

    PgConnection(asio::any_io_executor executor, Side side, std::string database);

    asio::awaitable<void> connect(Conninfo conninfo, Clock::time_point deadline);
    asio::awaitable<PgResult> run(std::string sql, std::vector<PgParam> params,
                                  std::optional<Clock::time_point> deadline);
    asio::awaitable<void> run_prepare(std::string name, std::string sql);
    asio::awaitable<PgResult> run_prepared(std::string name, std::vector<PgParam> params);
    void enqueue_prepared(const std::string& name, const PgParam* params, std::size_t count);
    void enqueue_params(const std::string& sql, const PgParam* params, std::size_t count);
    template <class Send>
    void enqueue(const std::string& statement, Send send);
    /// Looks for a loss that is known to the kernel already, so that what is sent next is surely not_sent.
    bool usable(Sent& sent);
    asio::awaitable<PgResult> read_answer(Sent sent, Clock::time_point deadline, bool pipelined);
    asio::awaitable<void> until_input(const Sent& sent);
    void watch_socket();
    void forget_socket();
    PgError::Fields failure(Outcome outcome, std::string message, std::string_view statement) const;
    [[noreturn]] void interrupted(const Sent& sent);
    [[noreturn]] void lost(const Sent& sent);
    PgError::Fields server_error(const PGresult* result, const Sent& sent) const;

    asio::any_io_executor executor_;
    Side side_;
    std::string database_;
    PGconn* conn_ = nullptr;
    asio::posix::stream_descriptor socket_;
    asio::steady_timer timer_;
    std::shared_ptr<Expiry> expiry_;
    std::deque<Sent> outstanding_;
    bool ended_ = false;  ///< the server has said FATAL, out of turn
    Milliseconds call_timeout_{30000};
    NoticeSink notice_sink_;
    int server_version_ = 0;
    std::int32_t backend_pid_ = 0;
};

}  // namespace turnout::control
