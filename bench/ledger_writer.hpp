// One connection of the ledger load, and the thread that drives it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "bench/ledger_book.hpp"
#include "bench/ledger_script.hpp"
#include "bench/waits.hpp"

namespace turnout::bench {

/// When a connection speaks.
struct Pace {
    /// Between two rounds; 0: as fast as the server answers.
    std::chrono::milliseconds think{0};
    /// Both set: it reads and writes by the clock instead, as the client of the thesis does.
    std::chrono::milliseconds read_every{0};
    std::chrono::milliseconds write_every{0};
    bool by_the_clock() const { return read_every.count() > 0; }
};

/// What writers count while they run. Monotonic; one copy is not atomic across fields.
struct Totals {
    std::uint64_t writes = 0;  ///< acknowledged transactions that changed something
    std::uint64_t reads = 0;
    std::uint64_t errors = 0;              ///< ErrorResponses, lost connections and logins that failed
    std::uint64_t reconnects = 0;          ///< logins after the first
    std::uint64_t unknown = 0;             ///< transactions whose outcome the connection took with it
    std::uint64_t back_in_time = 0;        ///< reads older than the connection's own last acknowledged write
    std::uint64_t unexplained = 0;         ///< reads newer than anything it wrote
    std::vector<std::string> error_texts;  ///< the first ones, at most kErrorTexts

    static constexpr std::size_t kErrorTexts = 20;
    Totals& operator+=(const Totals& other);
};

/// Writes, reads and keeps the book, from start() to stop(). The functions may be called from one other thread.
class Writer {
  public:
    struct Settings {
        std::string conninfo;
        Mode mode = Mode::simple;
        Pace pace;
        std::int64_t writer = 0;    ///< its number in the tables
        std::int64_t balances = 0;  ///< rows of ledger_balances, shared with the others; 0: none
        std::int64_t accounts = 0;  ///< rows of pgbench_accounts, shared with the others; 0: none
        std::uint64_t seed = 0;
    };

    explicit Writer(Settings settings);
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    ~Writer() { stop(std::chrono::milliseconds(0)); }

    void start();
    /// No transaction is begun after this; returns at once.
    void ask_to_stop() { thread_.request_stop(); }
    /// Lets the present transaction end, but not longer than `patience`: then the socket is cut (an error, counted).
    void stop(std::chrono::milliseconds patience);

    /// Ends the present round, but not longer than `patience`, and begins no other until release(). The connection
    /// stays. False: the round did not end in time.
    bool hold(std::chrono::milliseconds patience);
    void release();

    Totals totals() const;
    const WaitLog& waits() const { return waits_; }
    /// Only while held or after stop().
    const Book& book() const { return book_; }

  private:
    void work(const std::stop_token& stopping);
    void serve_connection(PGconn* connection, const std::stop_token& stopping);
    /// False: it is to stop.
    bool begin_round(const std::stop_token& stopping);
    void end_round();
    void round(Speaker& speaker, bool read_only);
    std::vector<Script> batch();
    Script pick_read();
    Script pick_write();
    Script transaction(Statement end);
    void settle(const Script& script, const std::vector<Reply>& replies);
    void judge(const Call& call, const Reply& reply);
    void count_failures(const std::vector<Reply>& replies);
    void error(const std::string& text);
    bool rest(const std::stop_token& stopping, Clock::time_point until);
    std::int64_t random(std::int64_t below);

    const Settings settings_;
    Book book_;
    WaitLog waits_;
    std::mt19937_64 engine_;

    mutable std::mutex mutex_;  ///< of all that follows
    std::condition_variable_any changed_;
    Totals totals_;
    bool ended_ = false;
    bool held_ = false;
    bool in_round_ = false;
    std::atomic<int> socket_{-1};
    std::jthread thread_;
};

}  // namespace turnout::bench
