// libpq, owned: connections and results that free themselves, failures that carry the server's words.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::bench {

struct FinishConnection {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
struct ClearResult {
    void operator()(PGresult* result) const noexcept { PQclear(result); }
};

/// A connection, closed when it goes. Not for use by two threads at once.
using Connection = std::unique_ptr<PGconn, FinishConnection>;
/// A result; views into it live as long as it does.
using Result = std::unique_ptr<PGresult, ClearResult>;

/// A statement or a login that did not succeed, in the server's or libpq's own words.
class Failure : public std::runtime_error {
  public:
    Failure(const std::string& text, std::string state) : std::runtime_error(text), sqlstate(std::move(state)) {}
    /// Five characters; empty where the connection was lost or never came about.
    const std::string sqlstate;
};

/// Logs in; throws Failure with libpq's message. Notices are dropped.
Connection connect(const std::string& conninfo);

/// As connect(), but the caller looks at PQstatus itself.
Connection try_connect(const std::string& conninfo);

/// Runs one simple Query and throws Failure unless it succeeded. Waits without bound.
Result run(PGconn* connection, const std::string& sql);

/// The text of the first column of the first row; nullopt where there is no row or it is NULL. Throws Failure.
std::optional<std::string> value(PGconn* connection, const std::string& sql);

/// The first column of the first row as a number; throws Failure where it is none.
std::int64_t number(PGconn* connection, const std::string& sql);

/// The text of a field; empty for NULL. Lives as long as the result.
std::string_view field(const Result& result, int row, int column);
/// A field as a number; 0 for NULL. Throws std::invalid_argument where it is not one.
std::int64_t field_number(const Result& result, int row, int column);

/// A conninfo with keywords replaced or added. Values are quoted as libpq asks.
std::string with(const std::string& conninfo, std::string_view keyword, std::string_view replacement);

}  // namespace turnout::bench
