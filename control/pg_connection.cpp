#include "control/pg_connection.hpp"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <thread>

namespace turnout::control {

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

/// Cancel requests that are under way. A frozen server answers none of them: they must not pile up.
std::atomic<int> cancels_under_way{0};
constexpr int kMostCancels = 16;

std::string without_newline(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    std::string line(text);
    for (char& c : line) {
        if (c == '\n') c = ' ';
    }
    return line;
}

std::string field(const PGresult* result, int code) {
    const char* value = PQresultErrorField(result, code);
    return value ? value : "";
}

/// A statement for a message: short, and without what follows a password or a conninfo.
std::string shown(std::string_view statement) {
    constexpr std::size_t kMost = 200;
    for (const std::string_view secret : {"PASSWORD '", "CONNECTION '"}) {
        const auto at = statement.find(secret);
        if (at != std::string_view::npos) return std::string(statement.substr(0, std::min(at, kMost))) + "…";
    }
    if (statement.size() <= kMost) return std::string(statement);
    return std::string(statement.substr(0, kMost)) + "…";
}

std::vector<const char*> pointers(const PgParam* params, std::size_t count) {
    std::vector<const char*> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = params[i].c_str();
    return values;
}

}  // namespace

PgParam::PgParam(const std::vector<std::string>& values) {
    std::string array = "{";
    for (const std::string& value : values) {
        if (array.size() > 1) array += ',';
        array += '"';
        for (const char c : value) {
            if (c == '"' || c == '\\') array += '\\';
            array += c;
        }
        array += '"';
    }
    text_ = array + "}";
}

// ------------------------------------------------------------------------------------------------------- the deadline

/// What the timer's handler needs, apart from the connection, because it may run after the connection has gone.
struct PgConnection::Expiry {
    asio::posix::stream_descriptor* socket = nullptr;
    std::uint64_t call = 0;  ///< the call that the timer is for; 0: none
    bool fired = false;
};

/// Ends the waits of one call at its deadline.
class PgConnection::Deadline {
  public:
    Deadline(PgConnection& connection, Clock::time_point at) : connection_(connection) {
        static std::uint64_t calls = 0;
        Expiry& expiry = *connection.expiry_;
        expiry.call = ++calls;
        expiry.fired = false;
        if (at == Clock::time_point::max()) return;
        connection.timer_.expires_at(at);
        connection.timer_.async_wait(
            [shared = connection.expiry_, call = expiry.call](boost::system::error_code error) {
                if (error || shared->call != call) return;
                shared->fired = true;
                boost::system::error_code ignored;
                if (shared->socket) shared->socket->cancel(ignored);
            });
        armed_ = true;
    }
    ~Deadline() {
        connection_.expiry_->call = 0;
        if (armed_) connection_.timer_.cancel();
    }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

  private:
    PgConnection& connection_;
    bool armed_ = false;
};

// ---------------------------------------------------------------------------------------------------- opening, closing

PgConnection::PgConnection(asio::any_io_executor executor, Side side, std::string database)
    : executor_(executor),
      side_(side),
      database_(std::move(database)),
      socket_(executor),
      timer_(executor),
      expiry_(std::make_shared<Expiry>()) {
    expiry_->socket = &socket_;
}

PgConnection::~PgConnection() {
    close();
    expiry_->socket = nullptr;
}

void PgConnection::close() {
    forget_socket();
    if (conn_) PQfinish(conn_);
    conn_ = nullptr;
}

/// The descriptor belongs to libpq, which may close it: Asio must have let it go before libpq is called to do so.
void PgConnection::forget_socket() {
    if (socket_.is_open()) socket_.release();
}

void PgConnection::watch_socket() {
    forget_socket();
    const int descriptor = PQsocket(conn_);
    if (descriptor >= 0) socket_.assign(descriptor);
}

asio::awaitable<PgConnection::Ptr> PgConnection::open(Conninfo conninfo, Side side, Clock::time_point deadline) {
    const auto executor = co_await asio::this_coro::executor;
    Ptr connection(new PgConnection(executor, side, std::string(conninfo.get("dbname"))));
    co_await connection->connect(std::move(conninfo), deadline);
    co_return connection;
}

asio::awaitable<void> PgConnection::connect(Conninfo conninfo, Clock::time_point deadline) {
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    for (const auto& [keyword, value] : conninfo.parameters()) {
        keywords.push_back(keyword.c_str());
        values.push_back(value.c_str());
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    Deadline bound(*this, deadline);
    conn_ = PQconnectStartParams(keywords.data(), values.data(), 0);
    const auto refuse = [this](std::string message, bool timed_out) {
        PgError::Fields fields = failure(Outcome::not_sent, std::move(message), {});
        fields.timed_out = timed_out;
        close();
        throw PgError(std::move(fields));
    };
    if (!conn_) refuse("out of memory", false);
    PQsetNoticeReceiver(
        conn_,
        [](void* self, const PGresult* notice) {
            auto* connection = static_cast<PgConnection*>(self);
            const std::string severity = field(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
            if (severity == "FATAL" || severity == "PANIC") connection->ended_ = true;
            const auto& sink = connection->notice_sink_;
            if (sink) sink(severity, field(notice, PG_DIAG_MESSAGE_PRIMARY));
        },
        this);
    for (PostgresPollingStatusType step = PGRES_POLLING_WRITING; step != PGRES_POLLING_OK;) {
        if (step == PGRES_POLLING_FAILED || PQstatus(conn_) == CONNECTION_BAD) {
            refuse(without_newline(PQerrorMessage(conn_)), false);
        }
        watch_socket();
        const auto want = step == PGRES_POLLING_READING ? asio::posix::stream_descriptor::wait_read
                                                        : asio::posix::stream_descriptor::wait_write;
        const auto [error] = co_await socket_.async_wait(want, kTuple);
        forget_socket();
        if (expiry_->fired) refuse("no connection before the deadline", true);
        if (error) {
            close();
            throw boost::system::system_error(error);
        }
        step = PQconnectPoll(conn_);
    }
    PQsetnonblocking(conn_, 1);
    server_version_ = PQserverVersion(conn_);
    backend_pid_ = PQbackendPID(conn_);
    watch_socket();
}

void PgConnection::cancel_statement() {
    if (!conn_) return;
    PGcancel* request = PQgetCancel(conn_);
    if (!request) return;
    if (cancels_under_way.fetch_add(1) >= kMostCancels) {
        cancels_under_way.fetch_sub(1);
        PQfreeCancel(request);
        return;
    }
    std::thread([request] {
        char message[256];
        PQcancel(request, message, sizeof message);
        PQfreeCancel(request);
        cancels_under_way.fetch_sub(1);
    }).detach();
}

// -------------------------------------------------------------------------------------------------------------- errors

PgError::Fields PgConnection::failure(Outcome outcome, std::string message, std::string_view statement) const {
    PgError::Fields fields;
    fields.outcome = outcome;
    fields.side = side_;
    fields.database = database_;
    fields.message = std::move(message);
    fields.statement = shown(statement);
    return fields;
}

/// A backend that is being ended answers FATAL at a moment of its own: that says nothing about the transaction.
PgError::Fields PgConnection::server_error(const PGresult* result, const Sent& sent) const {
    PgError::Fields fields = failure(Outcome::refused, field(result, PG_DIAG_MESSAGE_PRIMARY), sent.statement);
    fields.sqlstate = field(result, PG_DIAG_SQLSTATE);
    fields.detail = field(result, PG_DIAG_MESSAGE_DETAIL);
    fields.hint = field(result, PG_DIAG_MESSAGE_HINT);
    if (fields.message.empty()) fields.message = without_newline(PQresultErrorMessage(result));
    if (field(result, PG_DIAG_SEVERITY_NONLOCALIZED) != "ERROR") fields.outcome = Outcome::unknown;
    return fields;
}

void PgConnection::lost(const Sent& sent) {
    PgError::Fields fields = failure(Outcome::unknown, without_newline(PQerrorMessage(conn_)), sent.statement);
    close();
    throw PgError(std::move(fields));
}

void PgConnection::interrupted(const Sent& sent) {
    const bool timed_out = expiry_->fired;
    cancel_statement();
    close();
    if (!timed_out) throw boost::system::system_error(asio::error::operation_aborted, "statement");
    PgError::Fields fields = failure(Outcome::unknown, "no answer before the deadline", sent.statement);
    fields.timed_out = true;
    throw PgError(std::move(fields));
}

// ------------------------------------------------------------------------------------------------------------- sending

bool PgConnection::usable(Sent& sent) {
    if (!conn_) {
        sent.failure = failure(Outcome::not_sent, "the connection is closed", sent.statement);
        return false;
    }
    if (outstanding_.empty()) {
        PQconsumeInput(conn_);
        PQisBusy(conn_);  // reads the server's last words, if there are any
    }
    if (ended_ || PQstatus(conn_) != CONNECTION_OK) {
        const std::string why = without_newline(PQerrorMessage(conn_));
        sent.failure =
            failure(Outcome::not_sent, why.empty() ? "the server has ended the session" : why, sent.statement);
        close();
        return false;
    }
    return true;
}

template <class Send>
void PgConnection::enqueue(const std::string& statement, Send send) {
    Sent sent{statement, std::nullopt};
    if (usable(sent)) {
        if (PQpipelineStatus(conn_) == PQ_PIPELINE_OFF) PQenterPipelineMode(conn_);
        if (!send() || !PQpipelineSync(conn_)) {
            sent.failure = failure(Outcome::not_sent, without_newline(PQerrorMessage(conn_)), statement);
        }
    }
    outstanding_.push_back(std::move(sent));
}

void PgConnection::enqueue_prepared(const std::string& name, const PgParam* params, std::size_t count) {
    enqueue(name, [&] {
        const auto values = pointers(params, count);
        return PQsendQueryPrepared(conn_, name.c_str(), static_cast<int>(count), values.data(), nullptr, nullptr, 0);
    });
}

void PgConnection::enqueue_params(const std::string& sql, const PgParam* params, std::size_t count) {
    enqueue(sql, [&] {
        const auto values = pointers(params, count);
        return PQsendQueryParams(conn_, sql.c_str(), static_cast<int>(count), nullptr, values.data(), nullptr, nullptr,
                                 0);
    });
}

asio::awaitable<PgResult> PgConnection::run(std::string sql, std::vector<PgParam> params,
                                            std::optional<Clock::time_point> deadline) {
    Sent sent{std::move(sql), std::nullopt};
    if (usable(sent)) {
        if (PQpipelineStatus(conn_) != PQ_PIPELINE_OFF) PQexitPipelineMode(conn_);
        const auto values = pointers(params.data(), params.size());
        const bool accepted = params.empty()
                                  ? PQsendQuery(conn_, sent.statement.c_str()) != 0
                                  : PQsendQueryParams(conn_, sent.statement.c_str(), static_cast<int>(params.size()),
                                                      nullptr, values.data(), nullptr, nullptr, 0) != 0;
        if (!accepted)
            sent.failure = failure(Outcome::not_sent, without_newline(PQerrorMessage(conn_)), sent.statement);
    }
    const auto until = deadline ? *deadline : Clock::now() + call_timeout_;
    co_return co_await read_answer(std::move(sent), until, false);
}

asio::awaitable<PgResult> PgConnection::query_with(std::string_view sql, std::vector<PgParam> params,
                                                   std::optional<Clock::time_point> deadline) {
    return run(std::string(sql), std::move(params), deadline);
}

asio::awaitable<void> PgConnection::prepare(std::string_view name, std::string_view sql) {
    return run_prepare(std::string(name), std::string(sql));
}

asio::awaitable<void> PgConnection::run_prepare(std::string name, std::string sql) {
    Sent sent{std::move(sql), std::nullopt};
    if (usable(sent)) {
        if (PQpipelineStatus(conn_) != PQ_PIPELINE_OFF) PQexitPipelineMode(conn_);
        if (!PQsendPrepare(conn_, name.c_str(), sent.statement.c_str(), 0, nullptr)) {
            sent.failure = failure(Outcome::not_sent, without_newline(PQerrorMessage(conn_)), sent.statement);
        }
    }
    co_await read_answer(std::move(sent), Clock::now() + call_timeout_, false);
}

asio::awaitable<PgResult> PgConnection::run_prepared(std::string name, std::vector<PgParam> params) {
    Sent sent{std::move(name), std::nullopt};
    if (usable(sent)) {
        if (PQpipelineStatus(conn_) != PQ_PIPELINE_OFF) PQexitPipelineMode(conn_);
        const auto values = pointers(params.data(), params.size());
        if (!PQsendQueryPrepared(conn_, sent.statement.c_str(), static_cast<int>(params.size()), values.data(), nullptr,
                                 nullptr, 0)) {
            sent.failure = failure(Outcome::not_sent, without_newline(PQerrorMessage(conn_)), sent.statement);
        }
    }
    co_return co_await read_answer(std::move(sent), Clock::now() + call_timeout_, false);
}

// ----------------------------------------------------------------------------------------------------------- receiving

asio::awaitable<PgResult> PgConnection::receive_by(Clock::time_point deadline) {
    if (outstanding_.empty()) throw std::logic_error("receive() without a send");
    Sent sent = std::move(outstanding_.front());
    outstanding_.pop_front();
    co_return co_await read_answer(std::move(sent), deadline, true);
}

/// Waits until libpq can give the next result without waiting.
asio::awaitable<void> PgConnection::until_input(const Sent& sent) {
    using namespace asio::experimental::awaitable_operators;
    using Wait = asio::posix::stream_descriptor;
    for (;;) {
        const int unsent = PQflush(conn_);
        if (unsent < 0) lost(sent);
        if (unsent == 0 && !PQisBusy(conn_)) co_return;
        boost::system::error_code error;
        if (unsent == 0) {
            std::tie(error) = co_await socket_.async_wait(Wait::wait_read, kTuple);
        } else {  // the server may be waiting for us to read before it reads on
            const auto first =
                co_await (socket_.async_wait(Wait::wait_read, kTuple) || socket_.async_wait(Wait::wait_write, kTuple));
            error = first.index() == 0 ? std::get<0>(std::get<0>(first)) : std::get<0>(std::get<1>(first));
        }
        if (!conn_) throw PgError(failure(Outcome::unknown, "the connection was closed", sent.statement));
        if (error || expiry_->fired) interrupted(sent);
        if (!PQconsumeInput(conn_)) lost(sent);
    }
}

asio::awaitable<PgResult> PgConnection::read_answer(Sent sent, Clock::time_point deadline, bool pipelined) {
    if (sent.failure) throw PgError(std::move(*sent.failure));
    if (!conn_) throw PgError(failure(Outcome::unknown, "the connection is closed", sent.statement));
    Deadline bound(*this, deadline);
    PgResult last;
    std::optional<PgError::Fields> error;
    // Without a pipeline NULL means ReadyForQuery; in one it only ends a statement's results, and its Sync's own result
    // means ReadyForQuery: not before that has the transaction ended.
    for (;;) {
        co_await until_input(sent);
        PGresult* raw = PQgetResult(conn_);
        if (!raw) {
            if (PQstatus(conn_) == CONNECTION_BAD) lost(sent);
            if (pipelined) continue;
            break;
        }
        PgResult result(raw);
        const ExecStatusType status = PQresultStatus(raw);
        if (status == PGRES_PIPELINE_SYNC) break;
        if (status == PGRES_FATAL_ERROR) {
            if (!error) error = server_error(raw, sent);
            if (PQstatus(conn_) == CONNECTION_BAD) break;
        } else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            close();
            throw PgError(failure(Outcome::unknown, "COPY is not for this kind of connection", sent.statement));
        } else {
            last = std::move(result);
        }
    }
    if (error) {
        if (PQstatus(conn_) == CONNECTION_BAD) {
            error->outcome = Outcome::unknown;
            close();
        }
        throw PgError(std::move(*error));
    }
    co_return last;
}

asio::awaitable<void> PgConnection::wait_until_lost() {
    while (is_alive()) {
        const auto [error] = co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read, kTuple);
        if (!is_alive()) co_return;
        if (error) throw boost::system::system_error(error);
        if (!PQconsumeInput(conn_) || PQstatus(conn_) != CONNECTION_OK) {
            close();
            co_return;
        }
        PQisBusy(conn_);  // has notices and parameter changes taken in
    }
}

// ------------------------------------------------------------------------------------------------------------- quoting

std::string PgConnection::identifier(std::string_view name) {
    std::string quoted = "\"";
    for (const char c : name) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + "\"";
}

std::string PgConnection::literal(std::string_view text) {
    std::string quoted = text.find('\\') == std::string_view::npos ? "'" : " E'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') quoted += c;
        quoted += c;
    }
    return quoted + "'";
}

}  // namespace turnout::control
