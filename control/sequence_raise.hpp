// Sequences of a side that is made active by force: what the lost side gave out since they were last set is known from
// the rows only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "control/pg_connection.hpp"

namespace turnout::control {

struct RaisedSequences {
    std::vector<std::string> raised;   ///< by qualified and quoted name
    std::vector<std::string> unknown;  ///< fill no column: nothing tells how far they were used
};

/// Sets every sequence of one database that fills columns (it is owned by one, or its nextval is one's default) to the
/// furthest value found there, unless it is beyond that already; never back. Reads those columns whole where no index
/// helps. Nobody else may use the sequences meanwhile. Throws PgError.
asio::awaitable<RaisedSequences> raise_sequences(PgConnection& connection);

}  // namespace turnout::control
