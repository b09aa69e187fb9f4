// What one writer was told, and what a table must therefore hold. Pure: no connection, no clock, no threads.
//
// A book keeps bounds, not a history: an acknowledged statement moves both bounds, one whose answer was lost moves only
// the upper one (it may have happened, but not twice), one that was refused moves none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace turnout::bench {

/// What a writer knows about a statement's end.
enum class Outcome { acknowledged, refused, unknown };

/// One change that a statement makes if it commits.
struct Effect {
    enum class Kind { none, insert_entry, revise_entry, delete_entry, bump_counter, add_to_balance, add_to_account };
    Kind kind = Kind::none;
    std::int64_t key = 0;     ///< the entry's number within its writer, the balance's id or the account's aid
    std::int64_t amount = 1;  ///< what is added to a balance or an account
};

/// The least and the greatest value that a counter may have.
struct Bounds {
    std::int64_t least = 0;
    std::int64_t greatest = 0;
    void add(std::int64_t amount, Outcome outcome);
    Bounds& operator+=(const Bounds& other);
};

/// How a writer's read compares with what the writer was told before it.
enum class Verdict { as_told, back_in_time, unexplained };

/// One writer's ledger.
class Book {
  public:
    /// What must be true of one entry.
    struct Entry {
        bool may_exist = false;
        bool must_exist = false;
        bool deleted = false;  ///< an acknowledged DELETE removed it
        Bounds revision;
    };

    /// A value of the tickets' sequence and what it was drawn for: an entry, or (negative) a SELECT of its own.
    struct Ticket {
        std::int64_t value = 0;
        std::int64_t entry = 0;
    };

    explicit Book(std::int64_t writer) : writer_(writer) {}

    std::int64_t writer() const { return writer_; }

    /// A number for a new entry, never given before.
    std::int64_t next_entry();

    /// Notes how a change ended. An entry's key must come from next_entry().
    void settle(const Effect& effect, Outcome outcome);

    /// Notes a value of the tickets' sequence that a SELECT returned, or an INSERT of an entry.
    void drew(std::int64_t ticket);
    void drew(std::int64_t ticket, std::int64_t entry) { tickets_.push_back({ticket, entry}); }

    /// Judges a read of an entry: its revision, or nullopt where no row was found.
    Verdict judge_entry(std::int64_t key, std::optional<std::int64_t> revision) const;
    /// Judges a read of the writer's own counter.
    Verdict judge_counter(std::int64_t n) const;

    /// The last entry that is known to exist; nullopt where there is none.
    std::optional<std::int64_t> last_certain() const;
    /// The oldest entry that is known to exist; nullopt where there is none.
    std::optional<std::int64_t> first_certain() const;

    const std::vector<Entry>& entries() const { return entries_; }
    const Bounds& counter() const { return counter_; }
    const std::map<std::int64_t, Bounds>& balances() const { return balances_; }
    const std::unordered_map<std::int64_t, Bounds>& accounts() const { return accounts_; }
    const std::vector<Ticket>& tickets() const { return tickets_; }

  private:
    std::int64_t writer_;
    std::vector<Entry> entries_;
    Bounds counter_;
    std::map<std::int64_t, Bounds> balances_;
    std::unordered_map<std::int64_t, Bounds> accounts_;
    std::vector<Ticket> tickets_;
    mutable std::size_t oldest_ = 0;  ///< where the search for first_certain() goes on
};

/// What a server holds of the ledger's tables, read in one snapshot.
struct Snapshot {
    struct Row {
        std::int64_t writer = 0;
        std::int64_t entry = 0;
        std::int64_t revision = 0;
        std::int64_t ticket = 0;
    };
    std::vector<Row> rows;
    std::unordered_map<std::int64_t, std::int64_t> counters;  ///< by writer
    std::unordered_map<std::int64_t, std::int64_t> balances;  ///< by id
    std::unordered_map<std::int64_t, std::int64_t> accounts;  ///< by aid; those that are not 0
};

/// How a server's rows differ from what its writers were told. All zero: nothing was lost and nothing happened twice.
struct Audit {
    std::uint64_t rows = 0;             ///< looked at
    std::uint64_t lost = 0;             ///< acknowledged entries, revisions and deletions that are not there
    std::uint64_t duplicated = 0;       ///< entries that stand twice, revisions made twice
    std::uint64_t unexplained = 0;      ///< entries nobody was told of, or whose statement was refused
    std::uint64_t counters_low = 0;     ///< counters, balances and accounts below what was acknowledged
    std::uint64_t counters_high = 0;    ///< above what could have happened
    std::uint64_t tickets_doubled = 0;  ///< values of a sequence that were handed out more than once
    std::vector<std::string> examples;  ///< the first findings in words, at most kExamples

    static constexpr std::size_t kExamples = 20;

    bool clean() const;
    /// One line with all the counts.
    std::string summary() const;
};

/// Compares. `before` is the same server's state when the books were begun: balances and accounts count from there.
Audit compare(const std::vector<const Book*>& books, const Snapshot& before, const Snapshot& now);

}  // namespace turnout::bench
