// The ledger's judgement itself: a loss or a duplicate that is planted must be found, and an uncertainty allowed for.
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "bench/ledger_book.hpp"

namespace turnout::bench {
namespace {

using Kind = Effect::Kind;

/// A book of writer 7 with three acknowledged entries, the second revised twice, the third deleted, and sums.
struct Ledgers {
    Book book{7};
    Snapshot before;
    Snapshot now;

    Ledgers() {
        for (std::int64_t i = 0; i < 3; ++i)
            book.settle({Kind::insert_entry, book.next_entry()}, Outcome::acknowledged);
        book.settle({Kind::revise_entry, 1}, Outcome::acknowledged);
        book.settle({Kind::revise_entry, 1}, Outcome::acknowledged);
        book.settle({Kind::delete_entry, 2}, Outcome::acknowledged);
        book.settle({Kind::bump_counter}, Outcome::acknowledged);
        book.settle({Kind::add_to_balance, 4, 5}, Outcome::acknowledged);
        book.settle({Kind::add_to_account, 9, 6}, Outcome::acknowledged);
        book.drew(100, 0);
        book.drew(101);
        before.balances = {{4, 1000}};
        before.accounts = {{9, -50}};
        now.rows = {{7, 0, 0, 100}, {7, 1, 2, 99}, {6, 0, 0, 5}};  // the last is an earlier run's
        now.counters = {{7, 1}, {6, 44}};
        now.balances = {{4, 1005}};
        now.accounts = {{9, -44}};
    }

    Audit audit() const { return compare({&book}, before, now); }
};

TEST(LedgerBook, WhatStandsAsAcknowledgedIsClean) {
    const Audit audit = Ledgers().audit();
    EXPECT_TRUE(audit.clean()) << audit.summary();
    EXPECT_EQ(audit.rows, 3U);
}

struct Planted {
    const char* what;
    std::function<void(Ledgers&)> plant;
    std::uint64_t Audit::*count;
};

TEST(LedgerBook, EveryPlantedFaultIsFoundAndNamed) {
    const std::vector<Planted> faults{
        {"a lost entry", [](Ledgers& l) { l.now.rows.erase(l.now.rows.begin()); }, &Audit::lost},
        {"a lost revision", [](Ledgers& l) { l.now.rows[1].revision = 1; }, &Audit::lost},
        {"a lost deletion",
         [](Ledgers& l) {
             l.now.rows.push_back({7, 2, 0, 98});
         },
         &Audit::lost},
        {"an entry twice",
         [](Ledgers& l) {
             l.now.rows.push_back({7, 0, 0, 97});
         },
         &Audit::duplicated},
        {"a revision twice", [](Ledgers& l) { l.now.rows[1].revision = 3; }, &Audit::duplicated},
        {"an entry nobody wrote",
         [](Ledgers& l) {
             l.now.rows.push_back({7, 3, 0, 96});
         },
         &Audit::unexplained},
        {"a counter too low", [](Ledgers& l) { l.now.counters[7] = 0; }, &Audit::counters_low},
        {"a counter's row lost", [](Ledgers& l) { l.now.counters.erase(7); }, &Audit::counters_low},
        {"a counter too high", [](Ledgers& l) { l.now.counters[7] = 2; }, &Audit::counters_high},
        {"a balance too low", [](Ledgers& l) { l.now.balances[4] = 1000; }, &Audit::counters_low},
        {"a balance added to twice", [](Ledgers& l) { l.now.balances[4] = 1010; }, &Audit::counters_high},
        {"an account too low", [](Ledgers& l) { l.now.accounts[9] = -50; }, &Audit::counters_low},
        {"an account that became 0", [](Ledgers& l) { l.now.accounts.erase(9); }, &Audit::counters_high},
        {"another's account", [](Ledgers& l) { l.now.accounts[10] = 1; }, &Audit::counters_high},
        {"a ticket in two rows", [](Ledgers& l) { l.now.rows[1].ticket = 100; }, &Audit::tickets_doubled},
        {"a drawn ticket in a row", [](Ledgers& l) { l.now.rows[1].ticket = 101; }, &Audit::tickets_doubled},
        {"a ticket drawn twice", [](Ledgers& l) { l.book.drew(101); }, &Audit::tickets_doubled},
    };
    for (const Planted& fault : faults) {
        SCOPED_TRACE(fault.what);
        Ledgers ledgers;
        fault.plant(ledgers);
        const Audit audit = ledgers.audit();
        EXPECT_FALSE(audit.clean());
        EXPECT_EQ(audit.*fault.count, 1U) << audit.summary();
        EXPECT_EQ(audit.examples.size(), 1U);
    }
}

TEST(LedgerBook, ARefusedStatementMustHaveLeftNothing) {
    Ledgers ledgers;
    const std::int64_t entry = ledgers.book.next_entry();
    ledgers.book.settle({Kind::insert_entry, entry}, Outcome::refused);
    ledgers.book.settle({Kind::bump_counter}, Outcome::refused);
    EXPECT_TRUE(ledgers.audit().clean());
    ledgers.now.rows.push_back({7, entry, 0, 95});
    ledgers.now.counters[7] = 2;
    EXPECT_EQ(ledgers.audit().unexplained, 1U);
    EXPECT_EQ(ledgers.audit().counters_high, 1U);
}

TEST(LedgerBook, AnUnknownOutcomeMayHaveHappenedButNotTwice) {
    Ledgers ledgers;
    const std::int64_t entry = ledgers.book.next_entry();
    ledgers.book.settle({Kind::insert_entry, entry}, Outcome::unknown);
    ledgers.book.settle({Kind::revise_entry, 1}, Outcome::unknown);
    ledgers.book.settle({Kind::delete_entry, 0}, Outcome::unknown);
    ledgers.book.settle({Kind::bump_counter}, Outcome::unknown);
    EXPECT_TRUE(ledgers.audit().clean()) << "it did not happen";
    ledgers.now.rows = {{7, 1, 3, 99}, {7, entry, 0, 95}};
    ledgers.now.counters[7] = 2;
    EXPECT_TRUE(ledgers.audit().clean()) << "it happened";
    ledgers.now.rows.push_back({7, entry, 0, 94});
    ledgers.now.counters[7] = 3;
    EXPECT_EQ(ledgers.audit().duplicated, 1U);
    EXPECT_EQ(ledgers.audit().counters_high, 1U);
}

TEST(LedgerBook, AReadIsJudgedByTheWritersOwnLastWord) {
    const Ledgers ledgers;
    const Book& book = ledgers.book;
    EXPECT_EQ(book.judge_entry(1, 2), Verdict::as_told);
    EXPECT_EQ(book.judge_entry(1, 1), Verdict::back_in_time);
    EXPECT_EQ(book.judge_entry(1, std::nullopt), Verdict::back_in_time);
    EXPECT_EQ(book.judge_entry(1, 3), Verdict::unexplained);
    EXPECT_EQ(book.judge_entry(2, 0), Verdict::back_in_time) << "it had been deleted";
    EXPECT_EQ(book.judge_entry(2, std::nullopt), Verdict::as_told);
    EXPECT_EQ(book.judge_counter(1), Verdict::as_told);
    EXPECT_EQ(book.judge_counter(0), Verdict::back_in_time);
    EXPECT_EQ(book.judge_counter(2), Verdict::unexplained);
}

TEST(LedgerBook, ExamplesAreFewHoweverMuchIsLost) {
    Book book(1);
    for (int i = 0; i < 100; ++i) book.settle({Kind::insert_entry, book.next_entry()}, Outcome::acknowledged);
    const Audit audit = compare({&book}, {}, {});
    EXPECT_EQ(audit.lost, 100U);
    EXPECT_EQ(audit.examples.size(), Audit::kExamples);
}

TEST(LedgerBook, SeveralWritersAddToTheSameBalance) {
    Book one(1);
    Book two(2);
    one.settle({Kind::add_to_balance, 3, 5}, Outcome::acknowledged);
    two.settle({Kind::add_to_balance, 3, 2}, Outcome::unknown);
    Snapshot now;
    for (const std::int64_t sum : {5, 7}) {
        now.balances = {{3, sum}};
        EXPECT_TRUE(compare({&one, &two}, {}, now).clean());
    }
    now.balances = {{3, 4}};
    EXPECT_EQ(compare({&one, &two}, {}, now).counters_low, 1U);
    now.balances = {{3, 8}};
    EXPECT_EQ(compare({&one, &two}, {}, now).counters_high, 1U);
}

}  // namespace
}  // namespace turnout::bench
