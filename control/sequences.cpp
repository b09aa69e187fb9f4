#include "control/sequences.hpp"

#include <fmt/format.h>

#include <string_view>

namespace turnout::control {

namespace {

constexpr const char* kAll = "turnout_sequences";
constexpr const char* kLast = "turnout_sequence_values";

/// NULL in the third column: never called (or set so that it counts as that); the sequence's own row must be asked.
constexpr const char* kAllSql = R"(
SELECT c.oid, format('%I.%I', n.nspname, c.relname), pg_sequence_last_value(c.oid)
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND n.nspname <> 'turnout')";

/// In the order of the parameter, which a function scan keeps.
constexpr const char* kLastSql = "SELECT pg_sequence_last_value(sequence) FROM unnest($1::oid[]) AS sequence";

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

}  // namespace

SequenceValues changed(const SequenceValues& before, const SequenceValues& now) {
    SequenceValues difference;
    for (const auto& [name, value] : now) {
        const auto old = before.find(name);
        if (old == before.end() || old->second != value) difference.emplace(name, value);
    }
    return difference;
}

asio::awaitable<SequenceValues> SequenceReader::prepare() {
    if (!prepared_) {
        co_await connection_.prepare(kAll, kAllSql);
        co_await connection_.prepare(kLast, kLastSql);
    }
    prepared_ = true;
    SequenceValues values;
    std::vector<std::string> uncalled;
    known_.clear();
    oids_ = "{";
    const PgResult all = co_await connection_.exec_prepared(kAll);
    for (int i = 0; i < all.rows(); ++i) {
        known_.push_back({all.as<std::string>(i, 1), {all.maybe<std::int64_t>(i, 2).value_or(0), !all.is_null(i, 2)}});
        oids_.append(i == 0 ? "" : ",").append(all.get(i, 0));
        if (!known_.back().value.called) uncalled.push_back(known_.back().name);
    }
    oids_ += "}";
    co_await prepare_own_rows(uncalled);
    if (!uncalled_.empty()) {
        const PgResult rows = co_await connection_.exec_prepared(uncalled_);
        take_own_rows(rows, values);
    }
    co_await connection_.exec_prepared(kLast, oids_);
    for (Known& known : known_) {
        const auto own = values.find(known.name);
        if (own != values.end()) known.value = own->second;
        values[known.name] = known.value;
    }
    co_return values;
}

asio::awaitable<void> SequenceReader::prepare_own_rows(const std::vector<std::string>& uncalled) {
    if (!uncalled_.empty()) co_await connection_.query("DEALLOCATE " + uncalled_);
    uncalled_.clear();
    if (uncalled.empty()) co_return;
    const std::string name = fmt::format("turnout_uncalled_{}", ++serial_);
    co_await connection_.prepare(name, own_rows_sql(uncalled));
    uncalled_ = name;
}

void SequenceReader::took(const SequenceValues& values) {
    for (Known& known : known_) {
        const auto value = values.find(known.name);
        if (value != values.end()) known.value = value->second;
    }
}

asio::awaitable<SequenceValues> SequenceReader::changes() {
    SequenceValues own_rows;
    const bool asked = !uncalled_.empty();
    connection_.send_prepared(kLast, oids_);
    if (asked) connection_.send_prepared(uncalled_);
    const PgResult last = co_await connection_.receive();
    if (asked) {
        const PgResult rows = co_await connection_.receive();
        take_own_rows(rows, own_rows);
    }
    SequenceValues values;
    std::vector<std::string> unknown;
    for (int i = 0; i < last.rows(); ++i) {
        const Known& known = known_.at(static_cast<std::size_t>(i));
        SequenceValue now{0, true};
        if (!last.is_null(i, 0)) {
            now.last = last.as<std::int64_t>(i, 0);
        } else if (const auto own = own_rows.find(known.name); own != own_rows.end()) {
            now = own->second;
        } else {
            unknown.push_back(known.name);
            continue;
        }
        if (now != known.value) values.emplace(known.name, now);
    }
    if (unknown.empty()) co_return values;
    const PgResult rows = co_await connection_.query(own_rows_sql(unknown));
    take_own_rows(rows, values);
    co_return values;
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
