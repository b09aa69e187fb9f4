// What a verb answers, in the three forms in which it is asked for: rows, JSON, text.
#pragma once

#include <boost/json/value.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::control {

/// PostgreSQL types that the console's rows may have.
enum class ColumnType { text, bigint, real, boolean, json };

struct Column {
    std::string name;
    ColumnType type = ColumnType::text;
};

/// A value in PostgreSQL's text form ("t", "42", "0.5"); nothing is NULL.
using Cell = std::optional<std::string>;
using Row = std::vector<Cell>;

/// Rows under columns; each row has as many cells as there are columns.
struct Table {
    std::vector<Column> columns;
    std::vector<Row> rows;
};

/// Exit statuses of the program, and of a verb.
enum class ExitStatus : int {
    done = 0,
    refused = 1,       ///< refused or given up; the clients are served by the old side as before
    usage = 2,         ///< the command or the configuration is wrong
    needs_person = 3,  ///< the state is uncertain
};

/// Everything a verb has to say when it is over.
struct Answer {
    ExitStatus exit_status = ExitStatus::done;
    /// Of five characters where the verb failed: the console then sends ErrorResponse. Empty otherwise, also for a
    /// check that found something: that is an answer.
    std::string sqlstate;
    std::string message;      ///< of the error: one sentence; or a last remark that is sent as NOTICE
    std::string detail;       ///< of the error
    std::string hint;         ///< of the error: what to do
    Table table;              ///< for psql and drivers
    boost::json::value json;  ///< for --json; null where a verb has nothing but its exit status to tell
    std::string text;         ///< for people; empty: the table, aligned

    bool failed() const { return !sqlstate.empty(); }
};

/// SQLSTATEs that verbs answer with.
namespace sqlstate {
inline constexpr std::string_view syntax_error = "42601";
inline constexpr std::string_view invalid_value = "22023";
inline constexpr std::string_view refused = "55000";       ///< not in prerequisite state
inline constexpr std::string_view running = "55006";       ///< another verb is running
inline constexpr std::string_view cancelled = "57014";     ///< cancelled and undone
inline constexpr std::string_view given_up = "55P03";      ///< no good moment before the deadline
inline constexpr std::string_view unreachable = "08001";   ///< a side cannot be reached
inline constexpr std::string_view needs_person = "58000";  ///< nobody knows by itself who is active
inline constexpr std::string_view internal = "XX000";
}  // namespace sqlstate

/// A verb that failed with exit status 1.
Answer refusal(std::string_view sqlstate, std::string message, std::string hint = {}, std::string detail = {});

/// What one line of progress is, as it becomes a NOTICE and a line on standard error.
using Progress = std::function<void(std::string line)>;

/// One row, two columns `item` and `value`, for each member of an object; nested values as JSON.
Table items_table(const boost::json::object& object);
/// The columns of items_table().
std::vector<Column> items_columns();

/// An array of objects, one per row, members named and typed by the columns.
boost::json::array rows_json(const Table& table);

/// The answer to a SHOW that is a list: the table, and the same as JSON.
Answer table_answer(Table table);
/// The answer to a verb or SHOW that is one object: the object, the same as rows, and `text` for people.
Answer object_answer(boost::json::object object, std::string text = {});

/// A table for people: columns aligned, numbers to the right, no trailing spaces; ends with a line feed.
std::string table_text(const Table& table);

/// Members of an object as aligned "name  value" lines.
std::string items_text(const boost::json::object& object);

}  // namespace turnout::control
