// Sequences are not replicated: their values are read on the active side and set on the standby, once when the copies
// are made and again in the window, there only those that have changed since.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "control/pg_connection.hpp"

namespace turnout::control {

struct SequenceValue {
    std::int64_t last = 0;
    bool called = false;  ///< nextval gives the one after `last`, not `last` itself
    friend bool operator==(const SequenceValue&, const SequenceValue&) = default;
};

/// By qualified and quoted name: "public"."a_id_seq".
using SequenceValues = std::map<std::string, SequenceValue, std::less<>>;

/// Those of `now` that `before` lacks or has otherwise.
SequenceValues changed(const SequenceValues& before, const SequenceValues& now);

/// Reads all sequences of one database (temporary ones and turnout's own excepted) over one connection.
class SequenceReader {
  public:
    explicit SequenceReader(PgConnection& connection) : connection_(connection) {}

    /// Reads them all and remembers what it read, for changes(). May be repeated.
    asio::awaitable<SequenceValues> prepare();
    /// Those that have another value than prepare() read, in one round trip that asks each for its value and for
    /// nothing else. One that had been called and counts as never called now costs one more. Throws PgError also if one
    /// of them was dropped; what was made since is not seen (the schema mark is for that).
    asio::awaitable<SequenceValues> changes();
    /// From now on changes() tells of those that differ from these.
    void took(const SequenceValues& values);

  private:
    struct Known {
        std::string name;
        SequenceValue value;
    };
    asio::awaitable<void> prepare_own_rows(const std::vector<std::string>& uncalled);

    PgConnection& connection_;
    bool prepared_ = false;
    std::vector<Known> known_;
    std::string oids_;      ///< of those, in their order: a parameter
    std::string uncalled_;  ///< the prepared statement for those never called; empty: there are none
    int serial_ = 0;        ///< part of its name: it is made anew by each prepare()
};

/// Prepared on a connection to a database of the standby (synchronous_commit off in the window: the activation's flush
/// takes it along).
inline constexpr const char* kSetSequences = "turnout_set_sequences";
asio::awaitable<void> prepare_set_sequences(PgConnection& standby);
/// Puts one setval for each into the pipeline, as one statement. Nothing to receive if `values` is empty: returns
/// false. The statement fails as a whole (42P01) if one is missing there.
bool send_set_sequences(PgConnection& standby, const SequenceValues& values);

}  // namespace turnout::control
