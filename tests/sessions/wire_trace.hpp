// Messages in the notation of libpq's PQtrace (as libpq_pipeline's traces have it), without the column of lengths:
//
//     F	Parse	 "" "SELECT $1" 0
//     B	ErrorResponse	 C "22012"
//
// Of errors and notices only the SQLSTATE is shown: their texts differ by version.
#pragma once

#include <string>
#include <string_view>

namespace turnout::test {

/// The bytes of a client's message from its line behind "F\t". Throws std::runtime_error for a line it cannot read.
std::string message_of(std::string_view line);

/// A server's message as a line, without "B\t".
std::string line_of(char type, std::string_view body);

}  // namespace turnout::test
