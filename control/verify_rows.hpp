// The rows of one database, compared within two snapshots: in chunks by primary key, several at a time. A chunk whose
// sums differ is read row by row, and what differs is named by its key and its columns.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "control/verify.hpp"
#include "control/verify_table.hpp"

namespace turnout::control {

/// One database on both sides, in its snapshots.
struct VerifyPair {
    std::string database;
    PgConnection::Ptr active;
    PgConnection::Ptr standby;
    PgConnection::Ptr nudge;  ///< commits the marker: the other one must not have a snapshot yet
};

/// Compares one database; used once. Everything on one executor of one thread; the references must outlive run().
class RowComparison {
  public:
    RowComparison(const Cluster& cluster, Side active, VerifyPair& pair, VerifyReport& report, const Progress& progress,
                  boost::asio::any_io_executor executor);

    /// Both connections of the pair stand in their snapshots. Throws PgError, also when `deadline` passes.
    boost::asio::awaitable<void> run(Clock::time_point deadline);

  private:
    struct Worker {
        std::array<PgConnection::Ptr, 2> connections;  ///< active, standby
    };
    /// By bucket: "rows sums".
    using Sums = std::map<std::string, std::string>;
    /// Rows by name: their hashes; several where rows have no key.
    using Rows = std::multimap<std::string, std::string>;
    struct Tally {
        std::int64_t rows_active = 0;
        std::int64_t rows_standby = 0;
        std::uint64_t named = 0;
        std::uint64_t unread_chunks = 0;  ///< differ, and were not read row by row: enough was named
    };

    boost::asio::awaitable<void> find_tables();
    boost::asio::awaitable<Worker> open_worker(std::array<std::string, 2> snapshots);
    boost::asio::awaitable<std::array<std::string, 2>> export_snapshots();
    boost::asio::awaitable<void> cut();
    boost::asio::awaitable<void> push(VerifyChunk chunk);
    boost::asio::awaitable<void> work(Worker& worker);
    boost::asio::awaitable<void> work_all();
    boost::asio::awaitable<Sums> sum(PgConnection& connection, const VerifyChunk& chunk, std::int64_t& rows);
    boost::asio::awaitable<Rows> read_rows(PgConnection& connection, std::string sql);
    boost::asio::awaitable<void> compare(Worker& worker, VerifyChunk chunk);
    boost::asio::awaitable<void> name_rows(Worker& worker, const VerifyChunk& chunk, std::string buckets);
    boost::asio::awaitable<std::string> differing_columns(Worker& worker, const VerifyChunk& chunk, std::string row);
    void add(std::size_t table, std::string row, std::string sentence);
    void tell(std::size_t table);
    void conclude();

    const Cluster& cluster_;
    const Side active_;
    VerifyPair& pair_;
    VerifyReport& report_;
    const Progress& progress_;
    Clock::time_point deadline_;
    Clock::time_point told_;

    std::vector<VerifyTable> tables_;
    std::vector<Tally> tallies_;
    std::vector<Worker> workers_;
    std::deque<VerifyChunk> chunks_;
    bool cut_all_ = false;
    boost::asio::steady_timer changed_;
};

}  // namespace turnout::control
