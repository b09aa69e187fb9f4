// The ledger load: connections that write, each keeping account of what was acknowledged, and the audit that compares
// the accounts with the tables. It is how turnout shows that nothing is lost and nothing happens twice.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/ledger_book.hpp"
#include "bench/ledger_writer.hpp"
#include "bench/waits.hpp"

namespace turnout::bench {

struct LedgerSettings {
    std::string conninfo;  ///< what every connection uses
    unsigned writers = 16;
    Pace pace;
    /// Given to the writers in turn.
    std::vector<Mode> modes{Mode::simple, Mode::extended, Mode::prepared, Mode::pipelined};
    /// Also rows that all writers share are written: ledger_balances, and pgbench_accounts where it exists. Nobody but
    /// the ledgers that are audited together may write there meanwhile.
    bool shared_rows = true;
    std::uint64_t seed = 1;
};

/// Makes the ledger's tables and sequences where they do not exist yet. Throws Failure.
void install_ledger(const std::string& conninfo);

/// What of the ledger's tables an audit reads.
struct Scope {
    bool balances = true;
    bool accounts = false;  ///< pgbench_accounts
};

/// Reads the ledger's tables in one snapshot. Throws Failure.
Snapshot read_ledger(const std::string& conninfo, const Scope& scope);

/// A run of the load. Rows of earlier runs do not disturb it.
class Ledger {
  public:
    explicit Ledger(LedgerSettings settings) : settings_(std::move(settings)) {}

    /// Notes what stands in the tables and starts the connections. Throws Failure if the server does not answer.
    void start();
    /// Ends the connections; each may finish its transaction within `patience`.
    void stop(std::chrono::milliseconds patience = std::chrono::seconds(20));

    /// Lets every connection end its round and begin no other until release(); they stay connected. Throws
    /// std::runtime_error if one does not end its round within `patience`.
    void hold(std::chrono::milliseconds patience = std::chrono::seconds(20));
    void release();

    /// Any time.
    Totals totals() const;
    Waits waits(Clock::time_point from, Clock::time_point to) const;

  private:
    friend Audit audit(const std::vector<const Ledger*>& ledgers, const std::string& conninfo);

    LedgerSettings settings_;
    Scope scope_;
    Snapshot before_;
    std::vector<std::unique_ptr<Writer>> writers_;
};

/// Compares what all ledgers were told with what the server has; while all are held or
/// stopped. They ran in the same database,
/// the first of the list was started first, and nobody else wrote to its tables meanwhile. Throws Failure.
Audit audit(const std::vector<const Ledger*>& ledgers, const std::string& conninfo);

}  // namespace turnout::bench
