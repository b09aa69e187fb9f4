#include "tests/support/writers_plane.hpp"

#include <libpq-fe.h>

#include <boost/asio/post.hpp>

namespace turnout::support {

using control::Clock;
using control::Microseconds;

const char* const kWritersSchema =
    "CREATE TABLE ledger (id bigserial PRIMARY KEY, writer int NOT NULL, n bigint NOT NULL, UNIQUE (writer, n));"
    "CREATE TABLE counter (writer int PRIMARY KEY, n bigint NOT NULL);";
const char* const kWritersRows = "INSERT INTO counter SELECT w, 0 FROM generate_series(0, 63) w";

// ------------------------------------------------------------------------------------------------------------ writers

class WritersPlane::Writer {
  public:
    Writer(WritersPlane& plane, int number, std::string database, std::int64_t acknowledged_before)
        : acknowledged(acknowledged_before), plane_(plane), number_(number) {
        account_.database = std::move(database);
        account_.acknowledged = acknowledged_before;
        for (const Side side : {Side::blue, Side::green}) {
            const std::string conninfo = plane.options_.conninfo[index(side)] + " dbname=" + account_.database +
                                         " application_name=writer options='-c default_transaction_read_only=off'";
            connections_[index(side)] = PQconnectdb(conninfo.c_str());
        }
        thread_ = std::thread([this] { run(); });
    }
    ~Writer() {
        join();
        for (PGconn* connection : connections_) PQfinish(connection);
    }
    void join() {
        if (thread_.joinable()) thread_.join();
    }

    std::int32_t pid(Side side) const { return PQbackendPID(connections_[index(side)]); }
    const WriterAccount& account() const { return account_; }
    int number() const { return number_; }
    std::atomic<std::int64_t> acknowledged;

  private:
    void run() {
        Side side = Side::blue;
        Side last = Side::blue;
        bool seen = false;  ///< the present side, over this connection
        while (account_.errors.empty() && plane_.enter(side)) {
            PGconn* connection = connections_[index(side)];
            if (PQstatus(connection) != CONNECTION_OK) {
                PQreset(connection);
                ++account_.reconnects;
                seen = false;
            }
            seen = seen && side == last;
            last = side;
            if (PQstatus(connection) == CONNECTION_OK && (seen || look_back(connection))) {
                seen = true;
                write(connection, account_.acknowledged + 1);
            }
            plane_.leave();
        }
    }

    /// The first thing on a new side or connection: is what was acknowledged there? What was under way when the
    /// connection was lost counts as the server says.
    bool look_back(PGconn* connection) {
        const std::string sql = "SELECT n FROM counter WHERE writer = " + std::to_string(number_);
        PGresult* result = PQexec(connection, sql.c_str());
        const bool fine = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
        if (fine) {
            const std::int64_t found = std::stoll(PQgetvalue(result, 0, 0));
            if (found < account_.acknowledged || found > account_.acknowledged + (in_doubt_ ? 1 : 0)) {
                ++account_.went_back;
            }
            account_.acknowledged = std::max(account_.acknowledged, found);
            in_doubt_ = false;
        } else {
            fail(connection);
        }
        PQclear(result);
        return fine;
    }

    void fail(PGconn* connection) {
        if (PQstatus(connection) == CONNECTION_OK) account_.errors.emplace_back(PQerrorMessage(connection));
    }

    void write(PGconn* connection, std::int64_t n) {
        const std::string writer = std::to_string(number_);
        const std::string insert = "INSERT INTO ledger (writer, n) VALUES (" + writer + "," + std::to_string(n) + ")";
        const std::string update = "UPDATE counter SET n = " + std::to_string(n) + " WHERE writer = " + writer;
        const bool in_one = n % 2 == 0;
        const std::vector<std::string> commands = in_one
                                                      ? std::vector<std::string>{"WITH i AS (" + insert + ") " + update}
                                                      : std::vector<std::string>{"BEGIN", insert, update, "COMMIT"};
        in_doubt_ = true;
        for (const std::string& command : commands) {
            PGresult* result = PQexec(connection, command.c_str());
            const bool fine = PQresultStatus(result) == PGRES_COMMAND_OK;
            PQclear(result);
            if (!fine) return fail(connection);
        }
        in_doubt_ = false;
        account_.acknowledged = n;
        acknowledged = n;
    }

    WritersPlane& plane_;
    int number_;
    WriterAccount account_;
    std::array<PGconn*, 2> connections_{};
    bool in_doubt_ = false;  ///< a transaction was sent and not answered
    std::thread thread_;
};

WritersPlane::WritersPlane(boost::asio::any_io_executor executor, WritersOptions options)
    : executor_(executor), options_(std::move(options)), lull_(executor), deadline_(executor) {
    for (int i = 0; i < options_.writers; ++i) {
        const std::string& database = options_.databases[static_cast<std::size_t>(i) % options_.databases.size()];
        const auto before = options_.acknowledged.empty() ? 0 : options_.acknowledged[static_cast<std::size_t>(i)];
        writers_.push_back(std::make_unique<Writer>(*this, i, database, before));
    }
}

WritersPlane::~WritersPlane() { stop(); }

std::vector<WriterAccount> WritersPlane::stop() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    std::vector<WriterAccount> accounts;
    for (const auto& writer : writers_) {
        writer->join();
        accounts.push_back(writer->account());
    }
    return accounts;
}

std::int64_t WritersPlane::acknowledged() const {
    std::int64_t all = 0;
    for (const auto& writer : writers_) all += writer->acknowledged;
    return all;
}

Side WritersPlane::side() const {
    const std::lock_guard lock(mutex_);
    return side_;
}

bool WritersPlane::enter(Side& side) {
    std::unique_lock lock(mutex_);
    if (gate_ != Gate::open && !ending_) {
        const auto since = Clock::now();
        changed_.wait(lock, [this] { return gate_ == Gate::open || ending_; });
        stalls_.push_back(std::chrono::duration_cast<Microseconds>(Clock::now() - since));
    }
    if (ending_) return false;
    side = side_;
    ++busy_;
    return true;
}

void WritersPlane::leave() {
    const std::lock_guard lock(mutex_);
    --busy_;
    drained_if_quiet();
}

// ----------------------------------------------------------------------------------------------------------- the gate

void WritersPlane::drained_if_quiet() {
    if (!drained_ || awaits_lull_ || busy_ > 0) return;
    control::DrainReport report;
    report.closed_at = closed_;
    report.outcome = control::DrainReport::Outcome::drained;
    report.busy_at_close = busy_at_close_;
    boost::asio::post(executor_, [done = std::exchange(drained_, {}), report] { done(report); });
}

void WritersPlane::let_go(Gate gate) {
    gate_ = gate;
    changed_.notify_all();
}

void WritersPlane::serve(Side side, std::uint64_t) {
    const std::lock_guard lock(mutex_);
    side_ = side;
    let_go(Gate::open);
}

void WritersPlane::serve_nobody(std::string, std::string) {
    const std::lock_guard lock(mutex_);
    gate_ = Gate::shut;
}

void WritersPlane::warm(Callback<> done) {
    ++asked_to_plan;
    if (plans) boost::asio::post(executor_, std::move(done));
}

void WritersPlane::arm(const control::ArmRequest&, Callback<control::ArmReport> done) {
    control::ArmReport report;
    report.total = report.armed = writers_.size();
    boost::asio::post(executor_, [done = std::move(done), report] { done(report); });
}

void WritersPlane::close_gate(const control::CloseRequest& request, Callback<control::DrainReport> done) {
    const std::lock_guard lock(mutex_);
    request_ = request;
    drained_ = std::move(done);
    asked_ = Clock::now();
    awaits_lull_ = request.lull_until.has_value();
    if (!awaits_lull_) return close_now();
    lull_.expires_at(*request.lull_until);
    lull_.async_wait([this, attempt = request.attempt](boost::system::error_code error) {
        if (error) return;
        const std::lock_guard again(mutex_);
        if (awaits_lull_ && attempt == request_.attempt) close_now();
    });
}

void WritersPlane::want_lull(bool now) {
    const std::lock_guard lock(mutex_);
    if (!now) ++lulls_unwanted;
    if (now && awaits_lull_) close_now();
}

void WritersPlane::close_now() {
    awaits_lull_ = false;
    closed_ = Clock::now();
    gate_ = Gate::closed;
    busy_at_close_ = static_cast<std::uint64_t>(busy_);
    stalls_.clear();
    request_.move(closed_ - asked_);
    deadline_.expires_at(request_.deadline);
    deadline_.async_wait([this, attempt = request_.attempt](boost::system::error_code error) {
        if (!error) expire(attempt);
    });
    drained_if_quiet();
}

bool WritersPlane::is_gate_open() const {
    const std::lock_guard lock(mutex_);
    return gate_ == Gate::open;
}

void WritersPlane::expire(std::uint64_t attempt) {
    const std::lock_guard lock(mutex_);
    if (attempt != request_.attempt || gate_ != Gate::closed) return;
    let_go(Gate::open);
    if (!drained_) return;
    boost::asio::post(executor_, [done = std::exchange(drained_, {})] { done({}); });
}

bool WritersPlane::claim(std::uint64_t attempt) {
    const std::lock_guard lock(mutex_);
    if (attempt != request_.attempt || gate_ != Gate::closed) return false;
    gate_ = Gate::claimed;
    return true;
}

void WritersPlane::give_up(std::uint64_t attempt) {
    const std::lock_guard lock(mutex_);
    if (attempt != request_.attempt) return;
    awaits_lull_ = false;
    drained_ = {};
    if (gate_ != Gate::closed && gate_ != Gate::claimed) return;
    let_go(Gate::open);
}

void WritersPlane::open_to(std::uint64_t attempt, Side side, std::uint64_t, Callback<Clock::time_point> done) {
    const std::lock_guard lock(mutex_);
    if (attempt == request_.attempt && gate_ == Gate::claimed) {
        side_ = side;
        let_go(Gate::open);
    }
    boost::asio::post(executor_, [done = std::move(done), at = Clock::now()] { done(at); });
}

void WritersPlane::finish_moves(Callback<control::MoveReport> done) {
    control::MoveReport report;
    {
        const std::lock_guard lock(mutex_);
        report.total = report.moved = writers_.size();
        report.stalls = stalls_;
        report.held = stalls_.size();
    }
    boost::asio::post(executor_, [done = std::move(done), report] { done(report); });
}

void WritersPlane::pause(Callback<> done) { boost::asio::post(executor_, std::move(done)); }
void WritersPlane::resume() {}

void WritersPlane::sessions(Callback<std::vector<control::SessionView>> done) {
    std::vector<control::SessionView> views;
    const Side now = side();
    for (const auto& writer : writers_) {
        control::SessionView view;
        view.id = static_cast<std::uint64_t>(writer->number());
        view.user = "postgres";
        view.database = writer->account().database;
        view.application = "writer";
        view.state = "active";
        view.side = now;
        view.server_pid = writer->pid(now);
        views.push_back(view);
    }
    boost::asio::post(executor_, [done = std::move(done), views] { done(views); });
}

void WritersPlane::shut_down(Clock::time_point, Callback<> done) { boost::asio::post(executor_, std::move(done)); }

}  // namespace turnout::support
