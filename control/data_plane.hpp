// What control may ask of whatever carries the sessions, and what that may ask of control. This header is the whole
// border between the two: proxy/ implements DataPlane, control/ implements RoleDirectory, and neither knows the other.
//
// Threads. Every function of DataPlane may be called from control's thread at any time and returns at once. Callbacks
// are invoked on control's executor, the one given to the data plane when it was made, exactly once each, and never
// from inside the call that was given them. RoleDirectory::look_up is called from worker threads.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace turnout {

/// The two servers, by name. Names never change; roles (active, standby) do.
enum class Side : std::uint8_t { blue = 0, green = 1 };

constexpr Side other(Side side) { return side == Side::blue ? Side::green : Side::blue; }
constexpr std::size_t index(Side side) { return static_cast<std::size_t>(side); }
constexpr std::string_view name(Side side) { return side == Side::blue ? "blue" : "green"; }

}  // namespace turnout

namespace turnout::control {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using Microseconds = std::chrono::microseconds;

// ------------------------------------------------------------------------------------------------------- settings

/// One place where a server may listen. A host that begins with '/' is the directory of a Unix socket.
struct Endpoint {
    std::string host;      ///< the name that a certificate is compared with
    std::string hostaddr;  ///< numeric address that saves the look-up; empty: resolve `host`
    std::uint16_t port = 5432;
};

/// libpq's sslmode, with its meaning (manual, "SSL Support" of libpq).
enum class SslMode { disable, allow, prefer, require, verify_ca, verify_full };

/// libpq's channel_binding: `require` takes SCRAM-SHA-256-PLUS and nothing else.
enum class ChannelBinding { disable, prefer, require };

/// What keeps a connection whose other end has vanished from living for ever; not for Unix sockets.
struct TcpSettings {
    bool keepalives = true;
    Milliseconds keepalives_idle{60000};      ///< whole seconds
    Milliseconds keepalives_interval{10000};  ///< whole seconds
    unsigned keepalives_count = 6;
    Milliseconds user_timeout{0};  ///< sent and not acknowledged for so long: it has gone; 0: the system's default
};

/// How sessions reach a side: what control's conninfo for that side says about host, port, TCP and TLS, and nothing
/// else.
struct ServerAddress {
    std::vector<Endpoint> endpoints;  ///< tried in order
    TcpSettings tcp;
    SslMode ssl_mode = SslMode::prefer;
    ChannelBinding channel_binding = ChannelBinding::prefer;
    std::string ssl_root_certificate;  ///< path; empty: none; "system": the system's own
    std::string ssl_certificate;       ///< path; empty: none
    std::string ssl_key;               ///< path; empty: none
    std::string ssl_crl;               ///< path of lists of revoked certificates; empty: none
    std::string ssl_crl_directory;     ///< the same by hashed names; empty: none
    Milliseconds connect_timeout{5000};
};

/// TLS towards clients. `require` refuses sessions without it (except on Unix sockets).
enum class TlsMode { disable, allow, require };
struct ListenTls {
    TlsMode mode = TlsMode::disable;
    std::string certificate;  ///< path
    std::string key;          ///< path
    std::string client_ca;    ///< path; empty: client certificates are not asked for
    std::string client_crl;   ///< path of lists of revoked ones; empty: none but those that stand in client_ca
};

/// How clients prove who they are. `md5` and `scram` need the role's verifier of that kind; with `md5` a role that has
/// a SCRAM verifier is asked for SCRAM, as PostgreSQL does. `password` is refused without TLS except on loopback.
enum class AuthMethod { trust, password, md5, scram };

struct DataPlaneSettings {
    std::vector<std::string> listen{"127.0.0.1:6432"};  ///< "host:port", "[v6]:port" or "unix:/directory"
    unsigned workers = 0;                               ///< 0: one per core
    ListenTls tls;
    /// Without an hba_file everyone proves himself by `auth`, and the two below hold; with one its rules alone decide.
    AuthMethod auth = AuthMethod::scram;
    bool trust_remote = false;       ///< `trust` from other hosts too
    bool superusers_remote = false;  ///< superusers from other hosts too
    std::string hba_file;            ///< path, in pg_hba.conf's format; empty: none
    std::string ident_file;          ///< path, in pg_ident.conf's format; empty: none
    TcpSettings tcp;                 ///< towards clients
    std::array<ServerAddress, 2> sides;
    std::vector<std::string> databases;  ///< the switched ones; a login to another is refused (3D000)
    std::size_t max_client_connections = 10000;
    std::size_t superuser_reserved_connections = 3;  ///< the last of these are kept for superusers
    std::size_t reserved_connections = 0;  ///< and so many before them for members of pg_use_reserved_connections
    /// The databases `turnout` and `pgbouncer` lead to control's console: see DataPlane::open_console.
    bool console = false;
    Milliseconds login_timeout{60000};    ///< accept to the first ReadyForQuery, without time spent at a closed gate
    Milliseconds client_idle_timeout{0};  ///< a session that is idle for so long is ended (57P05); 0: never
    Milliseconds claim_watchdog{10000};   ///< see DataPlane::claim
};

// ---------------------------------------------------------------------------------------------------------- roles

/// What control knows of a role that wants to log in, read from the side named (never cached beyond one login).
struct RoleFacts {
    bool exists = false;
    bool superuser = false;
    bool may_log_in = true;  ///< neither NOLOGIN nor past its VALID UNTIL; asked only where no server is
    /// From the auth_file, the auth_query or pg_authid.rolpassword; empty: none.
    std::string verifier;
    std::vector<std::string> member_of;  ///< itself and every role whose member it is, directly or not
    /// The value of default_transaction_read_only that the session would have had without turnout's fence (role in
    /// database, role, the database's own former value, server: in that order). nullopt: the database is not fenced on
    /// that side and nothing is to be sent.
    std::optional<std::string> read_only;
};

struct RoleUnknown {
    std::string message;  ///< why it cannot be told now, for the log and the client's DETAIL
};
using RoleAnswer = std::variant<RoleFacts, RoleUnknown>;

/// Implemented by control.
class RoleDirectory {
  public:
    virtual ~RoleDirectory() = default;
    /// Asks for a role as `side` knows it. Thread-safe. `done` is called once, on an unspecified thread; callers post.
    virtual void look_up(Side side, std::string user, std::string database, std::function<void(RoleAnswer)> done) = 0;
};

// ------------------------------------------------------------------------------------------------------- sessions

enum class Movable { now, boundary, pinned };

/// One session as `show sessions` tells it. A copy; nothing in it is live.
struct SessionView {
    std::uint64_t id = 0;
    std::string user;
    std::string database;
    std::string application;
    std::string address;
    std::string state;  ///< "login", "idle", "active", "idle in transaction", "failed transaction", "held", "moving"
    Movable movable = Movable::now;
    std::string reason;  ///< why it is at its boundary or pinned, for a DBA to act on; empty when movable now
    Side side = Side::blue;
    bool tls = false;
    bool armed = false;
    std::int32_t client_pid = 0;  ///< the pid handed out to the client
    std::int32_t server_pid = 0;  ///< of its present backend
    Microseconds connected{0};    ///< since accept
    Microseconds transaction{0};  ///< since its transaction began; 0 when idle
    std::uint64_t prepared_statements = 0;
    std::uint64_t queries = 0;
    std::string carries;  ///< what goes with it, as far as it was asked: "2 settings, 1 channel, 1 advisory lock"
};

// --------------------------------------------------------------------------------------------------------- policies

/// What happens to sessions that cannot be moved: wait for them, end them with 57P01 when the gate opens to the new
/// side, or refuse the switch.
enum class PinnedPolicy { wait, end, refuse };

// ----------------------------------------------------------------------------------------------------- arm and move

struct ArmRequest {
    Side standby = Side::green;
    unsigned simultaneous_logins = 16;
    Milliseconds login_timeout{5000};
    /// Functions exist that change session state behind a plain SELECT (preflight's scan): tags do not suffice, every
    /// session that spoke since its last reading is read again before it moves.
    bool hidden_state = false;
    std::vector<std::string> setting_names;  ///< custom settings known from function sources, to be asked of everyone
};

struct ArmReport {
    std::uint64_t total = 0;
    std::uint64_t armed = 0;               ///< have a logged-in backend on the standby with their state replayed
    std::vector<SessionView> not_movable;  ///< pinned, or could not be armed; with reasons
};

/// What the sessions went through because of one switch, complete when every move has finished.
struct MoveReport {
    std::uint64_t total = 0;  ///< sessions that existed when the gate opened
    std::uint64_t held = 0;   ///< had something to say while the gate was closed, at whichever attempt; each once
    std::uint64_t moved = 0;
    std::uint64_t ended = 0;           ///< by policy (57P01)
    std::uint64_t recovered = 0;       ///< a statement was run again, or a transaction taken over, unnoticed
    std::uint64_t failed = 0;          ///< the move failed; the client got an error that says so
    std::uint64_t left_behind = 0;     ///< finish a read-only transaction on the old side, and move when it ends
    std::vector<Microseconds> stalls;  ///< one for each time that a session was held, unordered
};

// -------------------------------------------------------------------------------------------------------- the gate

/// A session whose statement waits for an advisory lock on the active side. If it is left behind, closing the holder's
/// old backend would grant it there: two holders.
struct LockWaiter {
    std::int32_t server_pid = 0;
    std::uint64_t locks_held = 0;  ///< advisory locks (rows of pg_locks) that it was granted before
    /// Not later than the look that found it waiting. A statement that began after it is another one.
    Clock::time_point seen = Clock::now();
};

struct CloseRequest {
    std::uint64_t attempt = 0;  ///< greater than every one before
    /// Absolute. The gate closes at the first moment with few busy sessions, so that it is drained soonest, and at this
    /// one at the latest; what follows is moved by as much. nullopt: it closes at once.
    std::optional<Clock::time_point> lull_until;
    /// Absolute. When it passes before the claim, the gate opens towards the old side by itself.
    Clock::time_point deadline = Clock::time_point::max();
    PinnedPolicy pinned = PinnedPolicy::wait;
    /// Their statements are cancelled and run again where the session is then, unnoticed.
    std::vector<LockWaiter> lock_waiters;
    /// From then on the statements of sessions that are not at a safe point yet are cancelled: run again where that
    /// cannot be noticed, ended with 40001 otherwise; open transactions end with 40001. nullopt: they are waited for.
    std::optional<Clock::time_point> cancel_at;
    /// From then on open transactions that have read and written nothing are made read-only and left to finish on the
    /// old side, where nothing of theirs can be written any more; what cannot be left so is waited for. nullopt: all
    /// are waited for.
    std::optional<Clock::time_point> read_only_at;

    /// What was to happen then happens so much later.
    void move(Clock::duration by) {
        if (deadline != Clock::time_point::max()) deadline += by;
        for (auto* moment : {&lull_until, &cancel_at, &read_only_at}) {
            if (*moment) **moment += by;
        }
    }
};

struct DrainReport {
    enum class Outcome { drained, expired, pinned };
    Outcome outcome = Outcome::expired;
    std::optional<Clock::time_point> closed_at;  ///< when the gate closed; nullopt: when that was asked for
    std::uint64_t busy_at_close = 0;             ///< sessions that were not at a safe point then
    std::vector<SessionView> holding_up;         ///< who was still busy at the deadline, or is pinned (at most 20)
};

/// What the sessions of one database have done since the start, in PgBouncer's terms.
struct DatabaseCounters {
    std::uint64_t assignments = 0;   ///< server connections given to a session: logins and moves
    std::uint64_t queries = 0;       ///< ReadyForQuery messages forwarded after something was asked
    std::uint64_t transactions = 0;  ///< of these: said `I`
    std::uint64_t client_bytes = 0;  ///< received from clients
    std::uint64_t server_bytes = 0;  ///< received from servers
    std::uint64_t parses = 0;        ///< Parse messages forwarded
    std::uint64_t binds = 0;
    std::uint64_t transaction_microseconds = 0;  ///< between leaving the idle state and being back in it
    std::uint64_t query_microseconds = 0;
    std::uint64_t wait_microseconds = 0;  ///< at a closed gate, and for a move
};

/// Totals since the start. Each is monotonic; a snapshot is not atomic across fields.
struct DataPlaneCounters {
    std::uint64_t logins = 0;
    std::uint64_t logins_failed = 0;
    std::uint64_t queries = 0;       ///< ReadyForQuery messages forwarded after something was asked
    std::uint64_t transactions = 0;  ///< of these: said `I`
    std::uint64_t client_bytes = 0;  ///< received from clients
    std::uint64_t server_bytes = 0;  ///< received from servers
    std::uint64_t cancels = 0;
    std::uint64_t moves = 0;
    std::uint64_t moves_failed = 0;
    std::uint64_t moves_recovered = 0;        ///< statements run again and transactions taken over
    std::uint64_t sessions_ended = 0;         ///< by a pinned policy
    std::array<std::uint64_t, 5> sessions{};  ///< gauge: login, idle, active, in transaction, held
    /// Query time (first byte of a Query/Sync group forwarded to its ReadyForQuery), cumulative histogram per side over
    /// kQuerySecondsBounds; sum in µs.
    static constexpr std::array<double, 14> kQuerySecondsBounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                                0.025,  0.05,    0.1,    0.25,  0.5,    1.0,   5.0};
    std::array<std::array<std::uint64_t, 15>, 2> query_buckets{};  ///< last: +Inf; not cumulative
    std::array<std::uint64_t, 2> query_microseconds{};
    /// Errors that a server has sent to a client, by side, and connections to it that were lost.
    std::array<std::uint64_t, 2> query_errors{};
    /// From a move's first question to its change-over, over the same bounds.
    std::array<std::uint64_t, 15> move_buckets{};  ///< last: +Inf; not cumulative
    std::uint64_t move_microseconds = 0;
    std::map<std::string, DatabaseCounters> databases;  ///< of those that had a session; physical replication: ""
};

// ------------------------------------------------------------------------------------------------------ the console

/// A client that has asked for the console and has proved who it is.
struct ConsoleClient {
    /// A connected Unix stream socket, the receiver's to close. It begins with a StartupMessage; AuthenticationOk and
    /// all behind it are the receiver's to say.
    int socket = -1;
    std::string user;
};

/// Where such clients go. Both are called on a worker's thread.
struct ConsoleDoor {
    std::function<void(ConsoleClient)> admit;
    /// A CancelRequest that fits no session: perhaps it is for one of the console's.
    std::function<void(std::int32_t pid, std::string secret)> cancel;
};

// ------------------------------------------------------------------------------------------------- the data plane

/// Carries the sessions. See the file's head for threads and callbacks.
class DataPlane {
  public:
    template <class... Args>
    using Callback = std::function<void(Args...)>;

    virtual ~DataPlane() = default;

    /// Binds the listeners and starts the workers; throws std::runtime_error that names the address which failed. Until
    /// serve() is called clients are answered 57P03.
    virtual void start(const DataPlaneSettings& settings) = 0;

    /// Before start(): where clients go that ask for one of the databases `turnout` and `pgbouncer`, as long as
    /// DataPlaneSettings::console allows it. They are let in by the same rules as others, also while nobody is served.
    virtual void open_console(ConsoleDoor door) = 0;

    /// From now on clients are served by `side`. Only at start, after recovery; a switch uses open_to().
    virtual void serve(Side side, std::uint64_t generation) = 0;

    /// Nobody is served: sessions are ended with 57P01; new ones and logins under way get 57P03, this message and hint.
    virtual void serve_nobody(std::string message, std::string hint) = 0;

    /// Replaces what RELOAD may change (TLS files, auth, limits, databases, side addresses); all or nothing: returns
    /// why it could not, or nothing.
    virtual std::optional<std::string> reload(const DataPlaneSettings& settings) = 0;

    /// While a switch runs: asks the system that the data plane's threads, and the one that calls, need not wait for a
    /// processor until somebody else's slice has passed (3 ms and more, where the whole window has 2).
    virtual void hurry(bool /*on*/) {}

    /// Gives each session a logged-in backend on the standby and replays its state there; keeps doing so for sessions
    /// that come, change or lose theirs, until disarm() or the end of finish_moves(). `done`: when the first round is
    /// over.
    virtual void arm(const ArmRequest& request, Callback<ArmReport> done) = 0;
    /// Has the backends that arm() opened plan the statements that their clients have used lately, without executing
    /// any, so that the first ones behind the window need not load what a fresh backend lacks. What was planned once is
    /// not again. `done`: when that is over, or given up because the gate closes; a server that hangs may delay it.
    virtual void warm(Callback<> done) { done(); }
    /// Closes what arm() opened and that did not become a session's backend.
    virtual void disarm() = 0;

    /// Closes the gate: one store that every worker sees, so that no session begins a new transaction and no login goes
    /// on; a busy session is let through to its next safe point. `done`: when all are at one, or the deadline passed.
    /// Under PinnedPolicy::wait and refuse a pinned session makes the outcome `pinned` (the gate stays closed until
    /// give_up() or the deadline).
    virtual void close_gate(const CloseRequest& request, Callback<DrainReport> done) = 0;
    /// Whether a moment with few busy sessions is one to close the gate at, while close_gate() waits for one: first it
    /// is. Its time ends all the same.
    virtual void want_lull(bool /*now*/) {}
    /// Who has begun to wait since CloseRequest::lock_waiters were looked for: treated as those are. No effect unless
    /// the gate is closed for this attempt.
    virtual void interrupt_lock_waiters(std::uint64_t /*attempt*/, const std::vector<LockWaiter>& /*waiters*/) {}
    /// Whether the gate lets pass as far as attempts are concerned: false from its closing on. Thread-safe.
    virtual bool is_gate_open() const { return false; }
    /// Compare-and-set: closed becomes claimed; from here the deadline no longer opens it. False: it has expired, the
    /// clients go on with the old side. Thread-safe. A claim that is neither opened nor fed by claim_alive() for
    /// DataPlaneSettings::claim_watchdog ends the process (exit status 70), so that recovery decides.
    virtual bool claim(std::uint64_t attempt) = 0;
    virtual void claim_alive(std::uint64_t attempt) = 0;
    /// Opens towards the old side, claimed or not; one that waits for a lull is not closed any more. No effect on an
    /// attempt that has expired or was opened.
    virtual void give_up(std::uint64_t attempt) = 0;
    /// After the activation: opens towards the new side. `done`: when every worker has let its held sessions go, with
    /// the moment at which the last one did.
    virtual void open_to(std::uint64_t attempt, Side side, std::uint64_t generation,
                         Callback<Clock::time_point> done) = 0;
    /// Finishes the moves that the switch left (speakers go first anyway), then closes the backends on the old side.
    virtual void finish_moves(Callback<MoveReport> done) = 0;

    /// PgBouncer's PAUSE and RESUME: nobody begins a transaction until resume(). `done`: when all are at a safe point.
    virtual void pause(Callback<> done) = 0;
    virtual void resume() = 0;

    virtual void sessions(Callback<std::vector<SessionView>> done) = 0;
    virtual DataPlaneCounters counters() const = 0;

    /// Stops listening; sessions end at their safe points, at `deadline` with 57P01. `done`: when all are gone.
    virtual void shut_down(Clock::time_point deadline, Callback<> done) = 0;
};

}  // namespace turnout::control
