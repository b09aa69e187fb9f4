// `verify`: compares the data of both sides at one logical moment. The gate closes for about a millisecond, the standby
// catches up with what was committed, a snapshot is opened on both sides, the gate opens again; the rows are compared
// at leisure within the snapshots (verify_rows.hpp), in chunks by primary key, several at a time; what differs is named
// by its key and its columns.
//
// Sequences: that they exist on both sides with the same definition, and that the standby's has not run ahead (only a
// stray could do that, and no stream would show it). Their values are set by the switch itself.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/answer.hpp"
#include "control/data_plane.hpp"
#include "control/side.hpp"

namespace turnout::control {

struct VerifyRequest {
    Side active = Side::blue;
    Milliseconds max_pause{100};                  ///< the longest that one attempt holds clients
    Milliseconds deadline{60'000};                ///< for finding the moment, not for the comparison
    std::function<std::uint64_t()> next_attempt;  ///< numbers for DataPlane::close_gate
};

/// A row, a table or a sequence that is not the same on both sides.
struct Difference {
    std::string database;
    std::string object;    ///< "public.accounts"
    std::string row;       ///< "id = '42'"; empty: the table or sequence as a whole
    std::string sentence;  ///< "the row differs in balance", "10 rows on blue, 9 on green"
};

struct VerifyReport {
    std::uint64_t tables = 0;
    std::uint64_t rows = 0;   ///< on the active side
    std::uint64_t bytes = 0;  ///< of the tables there, without indexes
    std::uint64_t chunks = 0;
    std::uint64_t sequences = 0;
    Microseconds pause{0};    ///< how long the gate was closed, in the attempt that succeeded
    Microseconds elapsed{0};  ///< of the comparison, in which the snapshots hold back VACUUM on both sides
    std::vector<Difference> differences;
};

/// It cannot be done now; a sentence with the remedy. The gate is open.
class VerifyRefused : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Compares every table of the publication in every switched database. Throws VerifyRefused, PgError, or
/// system_error(operation_aborted); the gate is open in any case.
boost::asio::awaitable<VerifyReport> verify(const Cluster& cluster, DataPlane& data_plane, VerifyRequest request,
                                            Progress progress);

/// {"outcome": "equal" | "different", "tables", "rows", "bytes", "chunks", "sequences", "pause_us", "seconds",
/// "differences": [{"database", "object", "row", "sentence"}]}. Exit status 1 if something differs.
Answer verify_answer(const VerifyReport& report, Side active);

}  // namespace turnout::control
