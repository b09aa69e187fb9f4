// One client's life in the proxy, from accept to close. Lives on its worker's thread alone.
//
// Coroutines of a session:
//   run()            login, then the pump from the client; its end is the session's end
//   read_backend()   one per backend: the present one forwards to the client, others are watched
//                    (both sleep while bytes go their usual way: Stream::read_by() calls take_from_…() for each read)
//   arm(), warm(), move…()
//                    give it a backend on the standby, bring its state there, have it plan, change over; never two at a
//                    time
//
//   bytes from the client:  socket -> worker's buffer -> [stash_ | inbox_] -> backend
//     stash_  the beginning of a message that is not complete yet (at most the inspect limit)
//     inbox_  whole messages that may not go on yet: the gate is closed, a question is being asked, a move is under way
//
// Whether a message may go on is decided before each message, by hold_back(). A session that is not at a safe point is
// let on, at a closed gate, up to its next Sync, Query or FunctionCall: otherwise a pipelined COMMIT, BEGIN never ends.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/data_plane.hpp"
#include "protocol/batch.hpp"
#include "protocol/framing.hpp"
#include "protocol/recent_statements.hpp"
#include "protocol/session_changes.hpp"
#include "protocol/session_ledger.hpp"
#include "protocol/startup.hpp"
#include "proxy/backend.hpp"
#include "proxy/carried_state.hpp"
#include "proxy/client_authentication.hpp"
#include "proxy/counters.hpp"
#include "proxy/event_loop.hpp"
#include "proxy/hba_rules.hpp"
#include "proxy/session_list.hpp"
#include "proxy/signal.hpp"
#include "proxy/statement_types.hpp"
#include "proxy/stream.hpp"
#include "proxy/unsent.hpp"

namespace turnout::proxy {

class Worker;

class Session : public std::enable_shared_from_this<Session>, public Linked<Session> {
  public:
    Session(Worker& worker, int socket, int family, std::uint64_t id);
    ~Session();

    void start();
    /// Ends at once, without a word. A backend with something under way is waited for first: what it still commits must
    /// not happen behind a barrier.
    void close();
    /// FATAL to the client, if that can be written now without tearing a message, and close.
    void end(std::string_view sqlstate, std::string_view message, std::string_view hint);
    /// The gate has changed, or a task has ended: look again whether held messages may go on.
    void wake() { may_go_on_.notify(); }
    /// While it waits at the gate: its client has closed the connection, and nothing that it still says is run.
    void client_hung_up() {
        hung_up_ = true;
        wake();
    }
    /// -1 once it is closed.
    int client_socket() const { return client_.open() ? client_.socket() : -1; }
    /// arm() or a move is over.
    void task_ended() {
        task_ended_.notify();
        wake();
    }
    /// A CancelRequest with this session's key has come. Ends when the server has taken notice.
    Task<void> cancel();

    bool logged_in() const { return current_ != nullptr && !closing_; }
    /// The worker has forgotten it; what it had under way may still be.
    bool finished() const { return finished_; }
    /// Everything forwarded is answered and no transaction is open, and nothing is being brought to the standby.
    bool safe() const { return !busy_ && !bringing_; }
    bool pinned() const { return !pin_reason().empty(); }
    /// A client of the console: no part of any switch, and not ended with the sessions.
    bool of_console() const { return console_ != nullptr; }
    /// Whether it may have become pinned, or ceased to be, since it was asked.
    bool may_be_pinned() const;
    /// Not carried to the other server: ended when the switch is over, and not waited for before.
    bool ends_with_switch() const { return replication_ != protocol::ReplicationKind::none; }
    bool armed() const { return armed_ != nullptr; }
    /// The standby, as it was when it was asked last.
    bool cannot_log_in() const { return cannot_log_in_; }
    control::SessionView view() const;

    /// At a closed gate: whether its open transaction can go on, or be ended, on either side, so that nobody waits for
    /// it. step_back() when the gate has opened to the old side.
    bool step_aside();
    void step_back();
    /// Cancels what runs; see session_interrupt.cpp. `locks`: advisory locks that it held before, if known.
    Task<void> interrupt(std::optional<std::uint64_t> locks, bool only_to_run_again);
    /// The gate has opened to the other side: a transaction that was made read-only finishes where it is.
    void stay_behind();
    /// Another switch ends open transactions.
    void stop_staying_behind();
    bool on(Side side) const { return current_ && current_->side == side; }
    std::int32_t server_pid() const { return current_ ? current_->pid : 0; }
    /// When it left its last safe point.
    control::Clock::time_point busy_since() const { return transaction_; }

    /// Worker's arming and moving; see the .cpp.
    Task<void> arm(control::ArmRequest request);
    void disarm();
    /// Whether its armed backend may be made to plan what the client uses: not for one that was silent for so long.
    bool can_be_warmed(control::Clock::time_point spoke_since) const;
    control::Clock::time_point spoke_last() const { return asked_; }
    /// Has the armed backend plan what it has not planned yet; nothing is executed.
    Task<void> warm();
    /// Asks its backend, if that can be done now and something uncertain depends on it.
    Task<void> look_again();
    /// In the window, when all of the worker's sessions are at safe points: what has to stand on the standby before the
    /// gate opens. The worker counts it as busy until bring_holdings() ends.
    bool has_to_bring(Side standby) const;
    Task<void> bring_holdings(Side standby);
    /// The gate has opened to the old side: what is still being brought is given up.
    void stop_bringing();
    /// Why bringing failed; empty: it did not.
    const std::string& bring_failure() const { return bring_failure_; }
    Task<void> move_in_background();
    /// Closes the backend on the side that was left.
    void leave_former();
    /// Ends a session that has been idle, outside a transaction, for longer than `timeout`.
    void end_if_idle(control::Milliseconds timeout);

  private:
    // session.cpp
    Task<void> run();
    Task<void> outlive_client();
    void finish();
    void log_internal_error(const std::exception_ptr& failure) const;
    void send_fatal(std::string_view sqlstate, std::string_view message, std::string_view hint);
    void set_busy(bool busy);
    void set_phase(Phase phase);
    std::string pin_reason() const;
    bool streams_replication() const;
    std::string carries() const;

    // session_login.cpp
    Task<bool> log_in();
    Task<bool> read_startup();
    Task<bool> begin_tls();
    bool begin_request(bool& asked, const char* name);
    bool take_startup(const protocol::StartupMessage& startup);
    Task<void> serve_cancel_request(std::int32_t pid, std::string secret);
    void bound_login(control::Clock::duration left);
    void login_timed_out();
    void refuse_unreachable(std::string_view reason);
    Task<BackendResult> open_unfenced(Side side);
    Task<bool> open_first_backend();
    Task<control::RoleAnswer> look_up_anywhere();
    bool is_served();
    bool may_take_slot(const control::RoleFacts& role);
    Task<bool> greet();
    Parameters startup_for(const control::RoleFacts& role) const;
    void refuse(std::string_view sqlstate, std::string_view message, std::string_view detail = {},
                std::string_view hint = {});

    // session_authentication.cpp
    Task<control::RoleAnswer> look_up_role(Side side);
    struct Reason {
        std::string detail;
        std::string hint;
    };
    std::optional<Reason> why_not_this_role(const control::RoleFacts& role) const;
    std::optional<std::string> why_not_this_name(const HbaRule& rule, const control::RoleFacts& role) const;
    Task<std::string> look_up_host_name(NetAddress address);
    Task<std::optional<HbaRule>> choose_rule(const control::RoleFacts& role);
    void refuse_login(std::string_view sqlstate, std::string_view message, std::string_view reason);
    void refuse_login(std::string_view sqlstate, std::string_view message, const Reason& reason);
    Task<bool> authenticate(control::RoleFacts role);
    Task<bool> prove(control::AuthMethod method, control::RoleFacts role);
    Task<bool> read_login_message(std::string& body);

    // session_console.cpp
    bool wants_console() const;
    static std::optional<Reason> why_not_the_console(const control::RoleFacts& role);
    Task<void> carry_console();
    Task<void> carry(Stream& from, Stream& to);

    // session_from_client.cpp
    enum class Hold { no, gate, reply };
    Task<void> pump_client();
    Stream::Status take_from_client();
    Task<bool> work_off_inbox();
    Hold hold_back(char type) const;
    std::string_view forward(std::string_view bytes);
    void note_frontend(const protocol::Frame& frame);
    void send_to_server(std::string_view bytes);
    Task<bool> flush_server();
    Task<bool> wait_for_permission();
    bool next_ends_unnamed() const;
    bool refuse_held_statement();

    // session_from_server.cpp
    void read_in_background(const std::shared_ptr<Backend>& backend);
    Task<void> read_backend(std::shared_ptr<Backend> backend);
    Stream::Status take_from_backend(Backend& backend);
    bool relay(Backend& backend, char* data, std::size_t size);
    bool take_frame(Backend& backend, const protocol::Frame& frame, char* body, bool& forward);
    void note_tag(std::string_view tag);
    void transaction_over();
    void answered(const protocol::Reply& reply, protocol::BackendType type);
    void transaction_ended(control::Clock::time_point now);
    void collect(Backend& backend, const protocol::Frame& frame);
    void watch(Backend& backend, const protocol::Frame& frame, char* body, std::string_view whole);
    bool may_keep(std::size_t waiting, std::string_view notification);
    void readdress(const Backend& backend, const protocol::Frame& frame, char* body) const;
    void note_parameter(std::string_view name, std::string_view value);
    void backend_lost(const std::shared_ptr<Backend>& backend);
    void probe_if_unsure();
    void send_to_client(std::string_view bytes);
    Task<bool> flush_client();
    void flush_client_later();
    void tell_changed_parameters(const Backend& backend);

    // session_interrupt.cpp
    /// A transaction that is open while the session lets the gate close: only BEGIN was said; it has failed; the switch
    /// ends it; it finishes where it is.
    enum class Aside { none, begun, failed, cancelled, read_only };
    /// A batch that may be cancelled and said again, and what is known of its advisory locks.
    struct Again {
        bool possible = false;
        std::optional<AdvisoryLock> waits_for;  ///< it does nothing but wait for this one
        std::optional<std::uint64_t> locks;     ///< if they must be as many as before; how many those were
    };
    Again can_run_again(std::optional<std::uint64_t> locks) const;
    Task<bool> undone(const Again& again);
    void finish_interrupt(std::string_view again);
    bool take_interrupted(const protocol::Frame& frame, std::string_view bytes);
    std::string begin_text() const;
    Task<std::string> leave_transaction(Backend& backend);
    Task<std::string> enter_transaction(Backend& backend, Aside aside);
    bool refuse_in_ended_transaction(const protocol::Frame& frame);
    void at_rest();
    void count_recovered();

    // session_read_only.cpp
    bool may_become_read_only() const;
    Task<void> ask_whether_read_only();
    void transaction_broken();
    Task<std::string> make_read_only();
    void no_longer_behind();
    bool may_go_behind(const protocol::Frame& frame);
    bool may_run_behind(std::string_view text);
    void refuse_behind(const protocol::Frame& frame);
    bool take_read_only(const protocol::Frame& frame);
    void at_rest_behind();
    Task<void> look_behind();
    Task<void> come_after();
    void answer_refused();

    // session_move.cpp
    Task<std::string> ask(Backend& backend, std::string_view bytes, Exchange& exchange);
    bool holdings_uncertain() const;
    bool needs_reading() const;
    std::vector<std::string> names_to_ask() const;
    Task<void> roll_back_question(Backend& backend);
    Task<std::string> read_state();
    Task<std::string> read_urgent();
    Task<std::string> look_in_window();
    Task<std::string> try_to_bring(Side standby);
    enum class Locks { later, too };
    Task<std::string> replay(Backend& backend, Locks locks);
    bool can_be_asked() const;
    Task<std::string> carry_lock_counts(Backend& to);
    Task<std::string> open_armed(Side side);
    Task<std::string> move(Side side);
    bool can_move_without(const Backend& lost) const;
    void change_over();
    Task<bool> move_or_end(Side side);

    // session_warm.cpp
    void note_used();
    std::optional<protocol::UsedStatement> as_planned_on(const Backend& backend,
                                                         protocol::UsedStatement statement) const;
    Task<bool> plan_on_armed();

    // session_statements.cpp
    Task<std::string> ask_type_names(Backend& backend, const std::set<std::uint32_t>& types, TypeNames& out);
    Task<std::string> learn_statements();
    void keep_descriptions(const std::vector<std::string>& names,
                           const std::vector<std::optional<StatementTypes>>& descriptions, const TypeNames& type_names,
                           Side side);
    Task<std::string> replay_statements(Backend& backend);
    Task<std::string> drop_statements_that_differ(Backend& backend);

    Worker& worker_;
    const std::uint64_t id_;
    Stream client_;
    const std::string address_;
    const bool local_;
    const control::Clock::time_point connected_ = control::Clock::now();
    std::shared_ptr<const Runtime> runtime_;
    Timer login_timer_;

    // Identity, fixed once logged in.
    std::string user_, database_;
    Parameters startup_;  ///< the client's own parameters, user and database among them
    protocol::ProtocolVersion version_;
    protocol::ReplicationKind replication_ = protocol::ReplicationKind::none;
    Credentials credentials_;
    std::int32_t handed_out_pid_ = 0;
    std::string handed_out_secret_;

    // Backends.
    std::shared_ptr<Backend> current_;
    std::shared_ptr<Backend> armed_;      ///< logged in on the standby, state replayed
    std::shared_ptr<Backend> opening_;    ///< logged in, and not yet known to be without the fence
    std::shared_ptr<Backend> former_;     ///< on the side that was left; only its notifications count
    std::shared_ptr<Stream> console_;     ///< in their stead: control's end of a client of the console
    DatabaseCounts* traffic_ = nullptr;   ///< of its database, once it has a backend
    control::Clock::time_point began_{};  ///< the transaction that PgBouncer's xact_time counts
    Parameters told_;                     ///< reported settings as the client knows them
    bool retell_ = false;                 ///< told_ may differ from the present backend's

    // The conversation.
    protocol::SessionLedger ledger_;
    protocol::FrameScanner from_client_{protocol::Stream::frontend};
    std::string stash_, inbox_;
    Unsent to_server_, to_client_;
    std::string late_notifications_;  ///< whole messages that came in the middle of another
    Signal may_go_on_;
    Signal replied_;
    Signal task_ended_;
    Signal cancel_ended_;
    unsigned cancels_ = 0;  ///< CancelRequests on their way to the present backend
    bool waiting_for_reply_ = false;
    std::uint64_t drop_ = 0;     ///< bytes still to come of a message that the proxy has refused
    bool skip_to_sync_ = false;  ///< the proxy answered for a held batch: its rest is dropped
    /// It moved without its unnamed statement: the message that ends that must go to the server.
    bool unnamed_passed_over_ = false;
    bool busy_ = false;
    bool closing_ = false;
    bool finished_ = false;
    bool ended_by_client_ = false;
    bool hung_up_ = false;   ///< the client has gone while it was held
    bool task_ = false;      ///< arm() or a move is under way
    bool asking_ = false;    ///< a question is on the session's own backend: the client's messages wait
    bool bringing_ = false;  ///< bring_holdings() is under way

    // The present batch, and what becomes of it or of its transaction when the server changes.
    protocol::Batch batch_;
    protocol::RecentStatements used_;  ///< while there is an armed backend: what that should plan
    bool batch_from_idle_ = false;     ///< it began at a safe point
    bool batch_answered_ = false;      ///< the client has heard something of it
    bool batch_locks_certain_ = true;  ///< when it began, its advisory locks were known
    bool savepoint_ = false;           ///< the open transaction has one, perhaps
    bool snapshot_ = false;            ///< the open transaction has one, for certain
    bool notifies_ = false;            ///< it will notify, or listen, when it commits
    Aside aside_ = Aside::none;
    bool owes_failure_ = false;  ///< the switch has ended the transaction, and the client does not know yet
    bool drop_message_ = false;  ///< the rest of a message that was refused

    // A transaction that finishes on the side that was left, one command at a time.
    enum class Executing { none, runs, answered, ended };
    enum class Refused { no, alone, in_batch };
    bool made_read_only_ = false;
    bool stays_behind_ = false;
    bool counted_behind_ = false;            ///< in Shared::left_behind
    bool looking_ = false;                   ///< its transaction is looked at, or ended: the client's messages wait
    bool swallow_ready_ = false;             ///< the next ReadyForQuery answers a Sync of our own
    bool locked_behind_ = false;             ///< it has taken session advisory locks there, perhaps
    bool to_savepoint_ = false;              ///< what runs is ROLLBACK TO
    bool told_failure_ = false;              ///< the client has got an error since the last ReadyForQuery
    Executing executing_ = Executing::none;  ///< the command that is at work
    Refused refused_ = Refused::no;          ///< what is to be answered with 40001

    bool interrupting_ = false;
    bool interrupt_answered_ = false;
    bool client_cancelled_ = false;
    bool keeping_back_ = false;
    bool kept_back_cancelled_ = false;  ///< the answer is 57014
    std::string kept_back_;
    Phase phase_ = Phase::login;
    control::Clock::time_point asked_{}, transaction_{};
    std::uint64_t queries_ = 0;
    std::uint64_t held_in_ = 0;  ///< the arming in which it was held last

    // What it carries.
    protocol::SessionChanges changes_;
    bool unreadable_ = false;                              ///< the last reading failed
    bool spoke_ = false;                                   ///< since the last reading
    std::set<std::string, std::less<>> names_to_ask_for_;  ///< custom settings that functions may set
    CarriedState state_;
    std::uint64_t state_version_ = 0;  ///< of state_; 0: nothing was ever set
    /// A prepared statement as the server on which the client made it describes it.
    struct KnownStatement {
        std::uint64_t born;  ///< as in the book: a name may be used again
        Side side;
        std::string types;   ///< by name; empty: it could not be described
        TypeNames of_parse;  ///< the unstable types in its Parse
    };
    std::map<std::string, KnownStatement, std::less<>> known_statements_;
    std::string arm_failure_, bring_failure_;
    bool cannot_log_in_ = false;  ///< on the standby, as arm_failure_ says
    std::string replay_refusal_;  ///< why its state cannot stand on the standby, as that said when it was armed
};

}  // namespace turnout::proxy
