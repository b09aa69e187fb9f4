// Strays: transactions that somebody committed on a side that was not the active one. The parked slot of the stream
// that leads away from that side tells them exactly: what the other stream applied there carries an Origin message, a
// stray does not. They are reported and never merged.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "control/lsn.hpp"
#include "control/pg_connection.hpp"
#include "control/replication.hpp"

namespace turnout::control {

/// One change of one stray transaction.
struct Stray {
    std::string database;
    std::uint32_t xid = 0;
    Lsn committed;          ///< the commit's position
    std::string operation;  ///< INSERT, UPDATE, DELETE, TRUNCATE
    std::string table;      ///< public.accounts
};

struct StrayReport {
    std::vector<Stray> strays;       ///< at most 100
    std::uint64_t transactions = 0;  ///< stray ones, all of them
    std::uint64_t changes = 0;
};

/// Reads the slot of a parked stream without moving it (pg_logical_slot_peek_binary_changes), from `from` on: commits
/// before it are not counted. `source`: a connection to the stream's database on its source. Control's own marker rows
/// are no strays. The cost grows with the WAL that the slot keeps.
asio::awaitable<StrayReport> read_strays(PgConnection& source, const Stream& stream, Lsn from);

/// One message of pgoutput, protocol version 1, as far as strays need it. Pure; for read_strays and its tests.
class StrayDecoder {
  public:
    StrayDecoder(std::string database, Lsn from) : database_(std::move(database)), from_(from) {}
    /// Throws std::runtime_error if the message is not pgoutput's.
    void message(std::string_view bytes);
    const StrayReport& report() const { return report_; }

  private:
    void change(const char* operation, std::uint32_t table);
    void commit();

    std::string database_;
    Lsn from_;
    StrayReport report_;
    std::map<std::uint32_t, std::string> tables_;  ///< by the source's OID, from Relation messages
    // The transaction that is being read.
    bool applied_ = false;  ///< it has an Origin message: the other stream applied it
    Lsn committed_;
    std::uint32_t xid_ = 0;
    std::vector<Stray> changes_;  ///< the first ones
    std::uint64_t count_ = 0;
};

}  // namespace turnout::control
