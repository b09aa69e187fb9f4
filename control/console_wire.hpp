// The console's rows and reports as messages of the PostgreSQL protocol.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/answer.hpp"
#include "control/command.hpp"

namespace turnout::control {

/// The parameter, reported like a setting before each ReadyForQuery, by which the command line learns a verb's exit
/// status. Drivers ignore parameters that they do not know.
inline constexpr std::string_view kExitStatusParameter = "turnout.exit_status";

/// Result formats as Bind gives them: none: all text; one: for all; else one each (0 text, 1 binary).
using ResultFormats = std::vector<std::int16_t>;

/// RowDescription.
void append_columns(std::string& out, std::span<const Column> columns, const ResultFormats& formats);

/// DataRow: binary where asked for, which for text and JSON is the same bytes.
void append_row(std::string& out, std::span<const Column> columns, const Row& row, const ResultFormats& formats);

/// The rows of an answer in the form that the command asks for; they have the columns of columns_of(command).
std::vector<Row> rows_of(const Command& command, const Answer& answer);

/// ErrorResponse of an answer that failed. With AS JSON the report goes into DETAIL, so that it is not lost.
void append_failure(std::string& out, const Command& command, const Answer& answer);

/// NoticeResponse: a line of progress.
void append_notice(std::string& out, std::string_view line);

}  // namespace turnout::control
