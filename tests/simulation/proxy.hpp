// A model of one turnout process: workers with sessions behind the real gate (proxy/gate.hpp), and control with the
// real machine, the real recovery and the real settle plan, carrying out steps on the model servers over a network that
// delays, loses and forgets. It can be killed, or stopped and woken when another process has taken its place.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/recovery.hpp"
#include "control/switch_machine.hpp"
#include "proxy/gate.hpp"
#include "tests/simulation/server.hpp"
#include "tests/simulation/world.hpp"

namespace turnout::simulation {

/// What outlives a process.
struct Ground {
    World& world;
    std::array<Server, 2> servers;
    control::ServedState state_file;
    int last_process = 0;
    std::int64_t last_token = 0;
    std::int64_t last_beat = 0;
    std::vector<std::int64_t> acknowledged;
    double trouble = 0;          ///< probability that a statement goes wrong
    std::array<bool, 2> cut{};   ///< by side: control's statements do not get there, and nobody is told
    bool servers_apart = false;  ///< neither stream gets through
    /// Is told of each moment of each step: 0 before, 1 within, 2 after.
    std::function<void(const control::SwitchStep&, int)> watch;
    std::uint64_t switched = 0, given_up = 0, cleared_up = 0, recovered_forward = 0;

    explicit Ground(World& it) : world(it), servers{Server(it, Side::blue), Server(it, Side::green)} {}
    Server& server(Side side) { return servers[index(side)]; }
};

class Proxy : public std::enable_shared_from_this<Proxy> {
  public:
    static constexpr int kWorkers = 3;
    static constexpr int kSessions = 9;
    static constexpr control::Milliseconds kMaxPause{100};

    explicit Proxy(Ground& ground) : ground_(ground), world_(ground.world), number_(++ground.last_process) {}

    /// Recovers, again and again until somebody can be served, then serves and settles.
    void start();
    /// As by SIGKILL. What it has sent stays under way.
    void kill() { alive_ = false; }
    /// As by SIGSTOP, and SIGCONT.
    void stop() { stopped_ = true; }
    void wake();

    bool alive() const { return alive_; }
    bool serving() const { return serving_; }
    bool switching() const { return machine_ != nullptr; }
    bool settled() const { return settled_; }
    Side side() const { return gate_.view().side; }
    int number() const { return number_; }
    /// Begins a switch to the other side.
    void begin_switch();

  private:
    struct Session {
        int worker = 0;
        bool busy = false;
        std::optional<Clock::time_point> held_since;
    };
    using Effect = std::function<std::optional<control::SwitchReply>(Server&)>;
    using Answer = std::function<void(control::SwitchReply)>;

    // proxy.cpp: sessions and gate
    void after(Duration delay, std::function<void()> what);
    Duration latency();
    void session_wants(std::size_t session);
    void session_begins(std::size_t session);
    void session_ended(std::size_t session);
    void serve(Side side, std::int64_t generation);
    void close_gate(control::Ticket ticket, const control::CloseRequest& request);
    void close_now(control::Ticket ticket, const control::CloseRequest& request);
    void look_for_drain();
    void release_held();

    // proxy_control.cpp: steps of a switch
    void feed(control::SwitchEvent event);
    void carry_out(control::SwitchCommand command);
    void perform(const control::SwitchCommand& command);
    void answer(control::Ticket ticket, control::SwitchReply reply);
    void set_alarm();
    void over();
    /// Sends a statement of control's; it may go wrong in every way. `run`: over a connection that was opened in that
    /// run of the server; nothing: over one of now.
    void send(Side side, Effect effect, Answer done, std::optional<int> run = std::nullopt);
    void step_on(control::Ticket ticket, Side side, Effect effect, std::optional<int> run = std::nullopt);
    void catch_up(control::Ticket ticket);
    void look_for_beat(control::Ticket ticket, std::int64_t beat);
    void carry_sequences(control::Ticket ticket, bool set);
    bool quiesce();
    control::SwitchReply note(control::ServedState state);
    void look_at_moment(control::Ticket ticket);

    // proxy_recovery.cpp: start and settling
    void recover();
    void act_on(const control::Decision& decision);
    void settle(Side active, std::int64_t generation, Clock::time_point deadline, int epoch,
                std::function<void(std::vector<std::string>)> done);
    void settle_step(const control::PairState& state, const control::SettleStep& step, Answer done);
    control::PairState look_at_pair(Side active);
    void settle_in_background();

    Ground& ground_;
    World& world_;
    int number_;
    bool alive_ = true;
    bool stopped_ = false;
    bool woken_ = false;                         ///< was stopped: nothing can be promised for that time
    std::vector<std::function<void()>> missed_;  ///< while stopped
    bool serving_ = false;
    bool settled_ = false;
    std::int64_t generation_ = 0;

    proxy::Gate gate_;
    std::vector<Session> sessions_;
    std::uint64_t last_attempt_ = 0;
    std::array<bool, kWorkers> drained_{};  ///< by worker: the close was seen, and nobody is busy
    control::Ticket drain_ticket_ = 0;
    Clock::time_point closed_at_{};
    bool activation_sent_ = false;  ///< of the present attempt
    int warm_run_ = 0;              ///< the standby's when the window's connections were opened

    std::unique_ptr<control::SwitchMachine> machine_;
    std::map<control::Ticket, control::SwitchStep> asked_;  ///< and not answered
    std::map<std::uint64_t, Answer> waiting_;  ///< for answers to control's statements; cancelled by quiesce()
    std::uint64_t last_sent_ = 0;
    int epoch_ = 0;  ///< of control's connections: what was sent over earlier ones can be ended
    std::uint64_t alarms_ = 0;
};

}  // namespace turnout::simulation
