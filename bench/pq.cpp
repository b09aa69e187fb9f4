#include "bench/pq.hpp"

#include <charconv>

namespace turnout::bench {

namespace {

void drop_notice(void*, const char*) {}

std::string trimmed(const char* text) {
    std::string message = text == nullptr ? "" : text;
    while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.pop_back();
    return message;
}

std::string sqlstate_of(const PGresult* result) {
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state == nullptr ? "" : state;
}

}  // namespace

Connection try_connect(const std::string& conninfo) {
    Connection connection{PQconnectdb(conninfo.c_str())};
    PQsetNoticeProcessor(connection.get(), drop_notice, nullptr);
    return connection;
}

Connection connect(const std::string& conninfo) {
    Connection connection = try_connect(conninfo);
    if (PQstatus(connection.get()) != CONNECTION_OK) throw Failure(trimmed(PQerrorMessage(connection.get())), "");
    return connection;
}

Result run(PGconn* connection, const std::string& sql) {
    Result result{PQexec(connection, sql.c_str())};
    const ExecStatusType status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
        throw Failure(trimmed(PQerrorMessage(connection)) + " (in: " + sql.substr(0, 200) + ")",
                      sqlstate_of(result.get()));
    return result;
}

std::optional<std::string> value(PGconn* connection, const std::string& sql) {
    const Result result = run(connection, sql);
    if (PQntuples(result.get()) == 0 || PQgetisnull(result.get(), 0, 0) != 0) return std::nullopt;
    return std::string(field(result, 0, 0));
}

std::int64_t number(PGconn* connection, const std::string& sql) {
    const Result result = run(connection, sql);
    if (PQntuples(result.get()) == 0) throw Failure("no row (in: " + sql + ")", "02000");
    return field_number(result, 0, 0);
}

std::string_view field(const Result& result, int row, int column) {
    return {PQgetvalue(result.get(), row, column), static_cast<std::size_t>(PQgetlength(result.get(), row, column))};
}

std::int64_t field_number(const Result& result, int row, int column) {
    const std::string_view text = field(result, row, column);
    if (text.empty()) return 0;
    std::int64_t parsed = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
    if (error != std::errc{} || end != text.data() + text.size())
        throw std::invalid_argument("not a number: " + std::string(text));
    return parsed;
}

std::string with(const std::string& conninfo, std::string_view keyword, std::string_view replacement) {
    std::string quoted;
    for (const char c : replacement) {
        if (c == '\'' || c == '\\') quoted.push_back('\\');
        quoted.push_back(c);
    }
    // libpq lets the last of several equal keywords win.
    return conninfo + " " + std::string(keyword) + "='" + quoted + "'";
}

}  // namespace turnout::bench
