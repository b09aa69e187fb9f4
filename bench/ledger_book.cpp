#include "bench/ledger_book.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace turnout::bench {

void Bounds::add(std::int64_t amount, Outcome outcome) {
    if (outcome == Outcome::refused) return;
    if (outcome == Outcome::acknowledged || amount < 0) least += amount;
    if (outcome == Outcome::acknowledged || amount > 0) greatest += amount;
}

Bounds& Bounds::operator+=(const Bounds& other) {
    least += other.least;
    greatest += other.greatest;
    return *this;
}

std::int64_t Book::next_entry() {
    entries_.emplace_back();
    return static_cast<std::int64_t>(entries_.size()) - 1;
}

void Book::drew(std::int64_t ticket) { tickets_.push_back({ticket, -1 - static_cast<std::int64_t>(tickets_.size())}); }

void Book::settle(const Effect& effect, Outcome outcome) {
    using Kind = Effect::Kind;
    if (effect.kind == Kind::bump_counter) counter_.add(effect.amount, outcome);
    if (effect.kind == Kind::add_to_balance) balances_[effect.key].add(effect.amount, outcome);
    if (effect.kind == Kind::add_to_account) accounts_[effect.key].add(effect.amount, outcome);
    if (outcome == Outcome::refused) return;
    const bool certain = outcome == Outcome::acknowledged;
    if (effect.kind == Kind::insert_entry) {
        Entry& entry = entries_.at(static_cast<std::size_t>(effect.key));
        entry.may_exist = true;
        entry.must_exist = certain;
    } else if (effect.kind == Kind::revise_entry) {
        entries_.at(static_cast<std::size_t>(effect.key)).revision.add(1, outcome);
    } else if (effect.kind == Kind::delete_entry) {
        Entry& entry = entries_.at(static_cast<std::size_t>(effect.key));
        entry.must_exist = false;
        if (certain) entry.may_exist = false;
        entry.deleted = certain;
    }
}

Verdict Book::judge_entry(std::int64_t key, std::optional<std::int64_t> revision) const {
    const Entry& entry = entries_.at(static_cast<std::size_t>(key));
    if (!revision) return entry.must_exist ? Verdict::back_in_time : Verdict::as_told;
    if (!entry.may_exist) return entry.deleted ? Verdict::back_in_time : Verdict::unexplained;
    if (*revision < entry.revision.least) return Verdict::back_in_time;
    return *revision > entry.revision.greatest ? Verdict::unexplained : Verdict::as_told;
}

Verdict Book::judge_counter(std::int64_t n) const {
    if (n < counter_.least) return Verdict::back_in_time;
    return n > counter_.greatest ? Verdict::unexplained : Verdict::as_told;
}

std::optional<std::int64_t> Book::last_certain() const {
    for (std::size_t i = entries_.size(); i > oldest_; --i)
        if (entries_[i - 1].must_exist) return static_cast<std::int64_t>(i) - 1;
    return std::nullopt;
}

std::optional<std::int64_t> Book::first_certain() const {
    // An entry that has ceased to be certain never becomes so again. One that is being written now may be passed over.
    while (oldest_ < entries_.size() && !entries_[oldest_].must_exist && oldest_ + 1 < entries_.size()) ++oldest_;
    if (oldest_ < entries_.size() && entries_[oldest_].must_exist) return static_cast<std::int64_t>(oldest_);
    return std::nullopt;
}

bool Audit::clean() const {
    return lost == 0 && duplicated == 0 && unexplained == 0 && counters_low == 0 && counters_high == 0 &&
           tickets_doubled == 0;
}

std::string Audit::summary() const {
    return fmt::format(
        "{} rows: {} lost, {} duplicated, {} unexplained, counters {} low {} high, {} sequence values twice", rows,
        lost, duplicated, unexplained, counters_low, counters_high, tickets_doubled);
}

namespace {

/// Carries the findings while the parts are compared.
class Comparison {
  public:
    explicit Comparison(Audit& audit) : audit_(audit) {}

    template <class... Args>
    void found(std::uint64_t& count, std::uint64_t by, fmt::format_string<Args...> format, Args&&... args) {
        count += by;
        if (audit_.examples.size() < Audit::kExamples)
            audit_.examples.push_back(fmt::format(format, std::forward<Args>(args)...));
    }

    void entries(const Book& book, const std::vector<Snapshot::Row>& rows);
    void counter(std::string_view what, std::int64_t key, const Bounds& bounds, std::int64_t actual);
    void tickets(const std::vector<const Book*>& books, const Snapshot& now);

  private:
    void entry(const Book& book, std::size_t key, const std::vector<Snapshot::Row>& rows, std::size_t first,
               std::size_t count);

    Audit& audit_;
};

void Comparison::entries(const Book& book, const std::vector<Snapshot::Row>& rows) {
    std::size_t at = 0;
    for (std::size_t key = 0; key < book.entries().size(); ++key) {
        std::size_t end = at;
        while (end < rows.size() && rows[end].entry == static_cast<std::int64_t>(key)) ++end;
        entry(book, key, rows, at, end - at);
        at = end;
    }
    for (; at < rows.size(); ++at)
        found(audit_.unexplained, 1, "writer {} never wrote entry {}", book.writer(), rows[at].entry);
}

void Comparison::entry(const Book& book, std::size_t key, const std::vector<Snapshot::Row>& rows, std::size_t first,
                       std::size_t count) {
    const Book::Entry& told = book.entries()[key];
    if (count == 0) {
        if (told.must_exist) found(audit_.lost, 1, "writer {}: acknowledged entry {} is lost", book.writer(), key);
        return;
    }
    if (!told.may_exist) {
        if (told.deleted)
            found(audit_.lost, 1, "writer {}: entry {} is back after an acknowledged DELETE", book.writer(), key);
        else
            found(audit_.unexplained, 1, "writer {}: entry {} exists, though it was refused", book.writer(), key);
        return;
    }
    if (count > 1)
        found(audit_.duplicated, count - 1, "writer {}: entry {} stands {} times", book.writer(), key, count);
    const std::int64_t revision = rows[first].revision;
    if (revision < told.revision.least)
        found(audit_.lost, static_cast<std::uint64_t>(told.revision.least - revision),
              "writer {}: entry {} has revision {}, acknowledged was {}", book.writer(), key, revision,
              told.revision.least);
    if (revision > told.revision.greatest)
        found(audit_.duplicated, static_cast<std::uint64_t>(revision - told.revision.greatest),
              "writer {}: entry {} has revision {}, at most {} were made", book.writer(), key, revision,
              told.revision.greatest);
}

void Comparison::counter(std::string_view what, std::int64_t key, const Bounds& bounds, std::int64_t actual) {
    if (actual < bounds.least)
        found(audit_.counters_low, 1, "{} {} is {}, acknowledged was {}", what, key, actual, bounds.least);
    if (actual > bounds.greatest)
        found(audit_.counters_high, 1, "{} {} is {}, at most {} can be", what, key, actual, bounds.greatest);
}

void Comparison::tickets(const std::vector<const Book*>& books, const Snapshot& now) {
    // What an INSERT returned stands in its row as well: a value is doubled when it has two different owners.
    std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>> owners;
    for (const Book* book : books)
        for (const Book::Ticket& ticket : book->tickets())
            owners.emplace_back(ticket.value, book->writer(), ticket.entry);
    for (const Snapshot::Row& row : now.rows) owners.emplace_back(row.ticket, row.writer, row.entry);
    std::sort(owners.begin(), owners.end());
    owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
    for (std::size_t i = 1; i < owners.size(); ++i)
        if (std::get<0>(owners[i]) == std::get<0>(owners[i - 1]))
            found(audit_.tickets_doubled, 1, "sequence value {} was handed out twice", std::get<0>(owners[i]));
}

std::int64_t at_or_zero(const std::unordered_map<std::int64_t, std::int64_t>& values, std::int64_t key) {
    const auto found = values.find(key);
    return found == values.end() ? 0 : found->second;
}

/// Every key that was counted, or stood somewhere before or now.
template <class Map>
void compare_totals(Comparison& comparison, std::string_view what, const std::vector<const Book*>& books,
                    const Map& (Book::*kept)() const, const std::unordered_map<std::int64_t, std::int64_t>& before,
                    const std::unordered_map<std::int64_t, std::int64_t>& now) {
    std::map<std::int64_t, Bounds> totals;
    for (const auto& [key, n] : now) totals[key];
    for (const auto& [key, n] : before) totals[key];
    for (const Book* book : books)
        for (const auto& [key, bounds] : (book->*kept)()) totals[key] += bounds;
    for (const auto& [key, bounds] : totals)
        comparison.counter(what, key, bounds, at_or_zero(now, key) - at_or_zero(before, key));
}

}  // namespace

Audit compare(const std::vector<const Book*>& books, const Snapshot& before, const Snapshot& now) {
    Audit audit;
    audit.rows = now.rows.size();
    Comparison comparison(audit);
    std::unordered_map<std::int64_t, std::vector<Snapshot::Row>> by_writer;
    for (const Snapshot::Row& row : now.rows) by_writer[row.writer].push_back(row);
    for (const Book* book : books) {
        std::vector<Snapshot::Row>& rows = by_writer[book->writer()];
        std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.entry < b.entry; });
        comparison.entries(*book, rows);
        comparison.counter("counter of writer", book->writer(), book->counter(),
                           at_or_zero(now.counters, book->writer()));
    }
    compare_totals(comparison, "balance", books, &Book::balances, before.balances, now.balances);
    compare_totals(comparison, "account", books, &Book::accounts, before.accounts, now.accounts);
    comparison.tickets(books, now);
    return audit;
}

}  // namespace turnout::bench
