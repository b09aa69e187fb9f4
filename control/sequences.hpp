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

/// Reads all sequences of one database (temporary ones and turnout's own excepted) over one connection, or in changes()
/// over several at once, each of which asks for its share: a server takes microseconds for each.
class SequenceReader {
  public:
    /// All of them are to the same database, and outlive this object.
    explicit SequenceReader(PgConnection& connection, std::vector<PgConnection*> helpers = {});

    /// Reads them all and remembers what it read, for changes(). May be repeated.
    asio::awaitable<SequenceValues> prepare();
    /// Those that have another value than prepare() read, in one round trip that asks each for its value and is
    /// answered with those alone. One that had been called and counts as never called now costs one more. Throws
    /// PgError also if one of them was dropped; what was made since is not seen (the schema mark is for that).
    asio::awaitable<SequenceValues> changes();
    /// Sends the questions of the next changes() ahead of it, into the pipelines: what was sent there before is to be
    /// received before that.
    void ask();
    /// What prepare() read.
    const SequenceValues& known() const { return known_; }
    /// Locks them, in a transaction on each connection: from then on changes() takes about a third less, and nobody can
    /// restart or drop one. nextval and setval go on. False: somebody else is doing that now; nothing is held then. Who
    /// holds them ends those connections. May throw PgError.
    asio::awaitable<bool> hold();

  private:
    /// What one connection asks for.
    struct Share {
        PgConnection* connection = nullptr;
        std::map<std::string, std::string> called;  ///< names, by OID
        std::vector<std::string> uncalled;          ///< names
        std::string oids, values;                   ///< of those called: elements of arrays
        std::string all;                            ///< the OIDs of the others, too
        std::vector<std::string> statements;        ///< prepared; the first is for those called, if there are any
    };
    void deal(const PgResult& all);
    asio::awaitable<void> prepare_share(Share& share);
    asio::awaitable<PgResult> prepare_statement(Share& share, std::string sql);
    /// Puts what changed into `values`; returns the called ones that count as never called now.
    asio::awaitable<std::vector<std::string>> receive_share(const Share& share, SequenceValues& values);

    bool prepared_ = false;
    bool asked_ = false;
    std::vector<Share> shares_;
    SequenceValues known_;
    int serial_ = 0;  ///< part of the statements' names: they are made anew by each prepare()
};

/// Prepared on a connection to a database of the standby (synchronous_commit off in the window: the activation's flush
/// takes it along).
inline constexpr const char* kSetSequences = "turnout_set_sequences";
asio::awaitable<void> prepare_set_sequences(PgConnection& standby);
/// Puts one setval for each into the pipeline, as one statement. Nothing to receive if `values` is empty: returns
/// false. The statement fails as a whole (42P01) if one is missing there.
bool send_set_sequences(PgConnection& standby, const SequenceValues& values);

}  // namespace turnout::control
