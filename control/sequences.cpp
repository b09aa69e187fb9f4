#include "control/sequences.hpp"

#include <fmt/format.h>

#include <string_view>

namespace turnout::control {

namespace {

constexpr const char* kCalled = "turnout_sequences";

/// NULL in the second column: never called (or set so that it counts as that).
constexpr const char* kCalledSql = R"(
SELECT format('%I.%I', n.nspname, c.relname), pg_sequence_last_value(c.oid)
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND n.nspname <> 'turnout')";

/// One statement that asks each of these for its own row.
std::string own_rows_sql(const std::vector<std::string>& sequences) {
    std::string sql;
    for (const std::string& name : sequences) {
        if (!sql.empty()) sql += " UNION ALL ";
        sql += fmt::format("SELECT {}, last_value, is_called FROM {}", PgConnection::literal(name), name);
    }
    return sql;
}

void take_own_rows(const PgResult& result, SequenceValues& values) {
    for (int i = 0; i < result.rows(); ++i) {
        values[result.as<std::string>(i, 0)] = {result.as<std::int64_t>(i, 1), result.as<bool>(i, 2)};
    }
}

/// Takes what is known and returns the names of the others.
std::vector<std::string> take_called(const PgResult& result, SequenceValues& values) {
    std::vector<std::string> uncalled;
    for (int i = 0; i < result.rows(); ++i) {
        if (result.is_null(i, 1)) {
            uncalled.push_back(result.as<std::string>(i, 0));
        } else {
            values[result.as<std::string>(i, 0)] = {result.as<std::int64_t>(i, 1), true};
        }
    }
    return uncalled;
}

}  // namespace

SequenceValues changed(const SequenceValues& before, const SequenceValues& now) {
    SequenceValues difference;
    for (const auto& [name, value] : now) {
        const auto old = before.find(name);
        if (old == before.end() || old->second != value) difference.emplace(name, value);
    }
    return difference;
}

asio::awaitable<void> SequenceReader::prepare() {
    if (!prepared_) co_await connection_.prepare(kCalled, kCalledSql);
    prepared_ = true;
    SequenceValues values;
    const PgResult result = co_await connection_.exec_prepared(kCalled);
    const std::vector<std::string> uncalled = take_called(result, values);
    if (!uncalled_.empty()) co_await connection_.query("DEALLOCATE " + uncalled_);
    uncalled_.clear();
    if (uncalled.empty()) co_return;
    const std::string name = fmt::format("turnout_uncalled_{}", ++serial_);
    co_await connection_.prepare(name, own_rows_sql(uncalled));
    uncalled_ = name;
    co_await connection_.exec_prepared(uncalled_);
}

void SequenceReader::send() {
    connection_.send_prepared(kCalled);
    if (!uncalled_.empty()) connection_.send_prepared(uncalled_);
}

asio::awaitable<SequenceValues> SequenceReader::receive() {
    SequenceValues values;
    SequenceValues own_rows;
    const bool asked = !uncalled_.empty();
    const PgResult called = co_await connection_.receive();
    if (asked) {
        const PgResult rows = co_await connection_.receive();
        take_own_rows(rows, own_rows);
    }
    std::vector<std::string> unknown;
    for (std::string& name : take_called(called, values)) {
        const auto found = own_rows.find(name);
        if (found != own_rows.end()) {
            values.insert(*found);
        } else {
            unknown.push_back(std::move(name));
        }
    }
    if (unknown.empty()) co_return values;
    const PgResult rows = co_await connection_.query(own_rows_sql(unknown));
    take_own_rows(rows, values);
    co_return values;
}

asio::awaitable<SequenceValues> SequenceReader::read() {
    send();
    return receive();
}

asio::awaitable<void> prepare_set_sequences(PgConnection& standby) {
    co_await standby.prepare(kSetSequences,
                             "SELECT count(setval(name::regclass, last, called)) "
                             "FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS s (name, last, called)");
    co_await standby.exec_prepared(kSetSequences, "{}", "{}", "{}");
}

bool send_set_sequences(PgConnection& standby, const SequenceValues& values) {
    if (values.empty()) return false;
    std::vector<std::string> sequences;
    std::string last = "{";
    std::string called = "{";
    for (const auto& [name, value] : values) {
        if (!sequences.empty()) {
            last += ',';
            called += ',';
        }
        sequences.push_back(name);
        last += std::to_string(value.last);
        called += value.called ? 't' : 'f';
    }
    standby.send_prepared(kSetSequences, sequences, last + "}", called + "}");
    return true;
}

}  // namespace turnout::control
