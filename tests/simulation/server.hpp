// A model of one PostgreSQL server, as far as a switch can tell it from a real one: a log of commits, rows with ids
// from a sequence, the journal's registers, the fence, a subscription to the other side and a slot for it. It crashes,
// freezes, and carries out statements whose sender is long gone.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "control/journal.hpp"
#include "control/settle.hpp"
#include "tests/simulation/world.hpp"

namespace turnout::simulation {

/// One committed transaction. Positions in the log count from 1.
struct Entry {
    bool marker = false;
    bool local = true;                ///< committed here, not applied from the other side
    std::int64_t token = 0;           ///< a client's write, or a marker's beat; unique
    std::int64_t id = 0;              ///< from the sequence
    std::size_t source_position = 0;  ///< of an applied one
};

class Server {
  public:
    Server(World& world, Side side) : world_(world), side_(side) { journal_.side = side; }

    // ---- statements
    /// A statement under way. It is carried out as soon as the server can, unless its backend was ended before.
    struct Statement {
        int owner = 0;        ///< the process that sent it
        int epoch = 0;        ///< of its control's connections
        bool client = false;  ///< a session's, not control's
        int run = 0;          ///< Server::run() when it was sent: no connection outlives a crash
        /// True: done. False: it has to wait (for a lock); it is tried again.
        std::function<bool()> carry_out;
        std::function<void()> lost;  ///< the connection broke before it was carried out
    };
    /// Arrives now. A server that is down loses it, and so does one that has ended its backend meanwhile.
    void submit(Statement statement);
    /// pg_terminate_backend: nothing that was sent over these connections is carried out any more, nor what arrives
    /// late. Control's of one process, of earlier epochs; control's of all earlier processes; sessions of earlier
    /// processes.
    void end_control(int owner, int before_epoch);
    void end_control_before(int owner);
    void end_clients_before(int owner);
    /// Counts crashes.
    int run() const { return run_; }
    /// Can be asked now.
    bool answers() const { return up_ && !frozen_; }

    void crash();
    void start();
    void freeze() { frozen_ = true; }
    void thaw();

    // ---- what statements do
    std::int64_t write(std::int64_t token);
    std::size_t commit_marker(std::int64_t beat);
    bool has_seen(std::int64_t beat) const { return beats_.count(beat) != 0; }
    void advance_origin(std::size_t position);
    /// False: the row is locked by an activation that is not visible yet.
    bool can_decide() const { return world_.now() >= locked_until_; }
    bool arm(control::AttemptId id);
    std::optional<control::Lsn> activate(control::AttemptId id);
    control::Verdict void_or_obey(std::int64_t generation);
    void retire(std::int64_t generation);
    /// As others see it.
    control::JournalView view() const;
    control::JournalView& journal() { return journal_; }
    /// An activation from now on is durable at once and visible only after this time.
    void delay_visibility(Duration time) { visible_late_ = time; }

    // ---- replication: this side's subscription to the other one, and the slot here that the other one's uses
    struct Subscription {
        bool enabled = true;
        bool narrowed = false;
        std::size_t progress = 0;  ///< the origin's: what was applied
    };
    Subscription subscription;
    std::size_t slot = 0;  ///< confirmed by the other side's subscription
    std::int64_t sequence = 0;
    bool fenced = false;

    /// One look of the apply worker here and the walsender there.
    void apply_from(Server& source);

    Side side() const { return side_; }
    bool up() const { return up_; }
    std::size_t position() const { return log_.size(); }
    const std::set<std::int64_t>& tokens() const { return tokens_; }
    /// Tokens that the log holds beyond a position and that were committed here: strays, on a side that is not active.
    std::size_t local_writes_after(std::size_t position) const;

  private:
    void flush() {
        flushed_ = log_.size();
        flushed_sequence_ = sequence;
    }
    void append(Entry entry);
    void carry_out_all();
    void remake_rows();
    bool ended(const Statement& statement) const;
    void end_those_ended();

    World& world_;
    Side side_;
    bool up_ = true;
    int run_ = 0;
    bool frozen_ = false;
    std::list<Statement> statements_;
    bool retries_ = false;
    std::map<int, int> control_epochs_;  ///< by process: the first whose connections still stand
    int control_from_ = 0;               ///< the first process whose connections still stand
    int clients_from_ = 0;

    std::vector<Entry> log_;
    std::size_t flushed_ = 0;  ///< what survives a crash
    std::int64_t flushed_sequence_ = 0;
    std::size_t advanced_ = 0;  ///< pg_replication_origin_advance, durable
    std::set<std::int64_t> tokens_;
    std::set<std::int64_t> ids_;
    std::set<std::int64_t> beats_;

    control::JournalView journal_;
    Clock::time_point locked_until_{};
    std::int64_t locked_generation_ = 0;
    Duration visible_late_{0};
};

}  // namespace turnout::simulation
