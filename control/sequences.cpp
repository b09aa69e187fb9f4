#include "control/sequences.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

namespace turnout::control {

namespace {

constexpr const char* kAll = "turnout_sequences";
/// As many of those never called are asked in one statement: a plan for thousands takes seconds to make.
constexpr std::size_t kOwnRows = 200;

/// NULL in the third column: never called (or set so that it counts as that); the sequence's own row must be asked.
constexpr const char* kAllSql = R"(
SELECT c.oid, format('%I.%I', n.nspname, c.relname), pg_sequence_last_value(c.oid)
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND n.nspname <> 'turnout')";

/// Those of {sequences} whose value is not the one of {values}. Both stand in the statement, so that they are read when
/// it is planned.
std::string called_sql(std::string_view sequences, std::string_view values) {
    return fmt::format(
        "SELECT sequence, pg_sequence_last_value(sequence) FROM unnest('{{{}}}'::oid[], '{{{}}}'::bigint[]) "
        "AS asked (sequence, known) WHERE pg_sequence_last_value(sequence) IS DISTINCT FROM known",
        sequences, values);
}

/// Asking for its value locks a sequence as nextval does, which a restart waits for; reading its row would not.
std::string hold_sql(std::string_view sequences) {
    return fmt::format("SELECT count(pg_sequence_last_value(sequence)) FROM unnest('{{{}}}'::oid[]) AS sequence",
                       sequences);
}
constexpr const char* kHold = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// Longer is not waited for a lock that somebody else has.
constexpr const char* kHoldPatience = "SET LOCAL lock_timeout = '20ms'";

/// One statement that asks each of these for its own row.
std::string own_rows_sql(std::span<const std::string> sequences) {
    std::string sql;
    for (const std::string& name : sequences) {
        if (!sql.empty()) sql += " UNION ALL ";
        sql += fmt::format("SELECT {}, last_value, is_called FROM {}", PgConnection::literal(name), name);
    }
    return sql;
}

void append(std::string& list, std::string_view element) {
    if (!list.empty()) list += ',';
    list += element;
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

SequenceReader::SequenceReader(PgConnection& connection, std::vector<PgConnection*> helpers) {
    shares_.push_back({.connection = &connection});
    for (PgConnection* helper : helpers) shares_.push_back({.connection = helper});
}

asio::awaitable<SequenceValues> SequenceReader::prepare() {
    PgConnection& connection = *shares_.front().connection;
    if (!prepared_) co_await connection.prepare(kAll, kAllSql);
    prepared_ = true;
    const PgResult all = co_await connection.exec_prepared(kAll);
    deal(all);
    for (Share& share : shares_) co_await prepare_share(share);
    co_return known_;
}

/// Each connection gets as many of those called, and as many of the others, which take longer.
void SequenceReader::deal(const PgResult& all) {
    known_.clear();
    for (Share& share : shares_) share = {.connection = share.connection, .statements = std::move(share.statements)};
    std::size_t called = 0;
    std::size_t uncalled = 0;
    for (int i = 0; i < all.rows(); ++i) {
        const std::string name = all.as<std::string>(i, 1);
        const bool has_value = !all.is_null(i, 2);
        Share& share = shares_[(has_value ? called++ : uncalled++) % shares_.size()];
        append(share.all, all.get(i, 0));
        if (!has_value) {
            share.uncalled.push_back(name);
            continue;
        }
        share.called.emplace(all.get(i, 0), name);
        append(share.oids, all.get(i, 0));
        append(share.values, all.get(i, 2));
        known_[name] = {all.as<std::int64_t>(i, 2), true};
    }
}

asio::awaitable<void> SequenceReader::prepare_share(Share& share) {
    for (const std::string& old : std::exchange(share.statements, {})) {
        co_await share.connection->query("DEALLOCATE " + old);
    }
    if (!share.called.empty()) co_await prepare_statement(share, called_sql(share.oids, share.values));
    for (std::size_t from = 0; from < share.uncalled.size(); from += kOwnRows) {
        const std::size_t to = std::min(share.uncalled.size(), from + kOwnRows);
        const PgResult rows =
            co_await prepare_statement(share, own_rows_sql(std::span(share.uncalled).subspan(from, to - from)));
        take_own_rows(rows, known_);
    }
}

/// It is run as well, so that its plan is made.
asio::awaitable<PgResult> SequenceReader::prepare_statement(Share& share, std::string sql) {
    const std::string name = fmt::format("turnout_sequences_{}", ++serial_);
    co_await share.connection->prepare(name, sql);
    share.statements.push_back(name);
    co_return co_await share.connection->exec_prepared(name);
}

void SequenceReader::ask() {
    for (const Share& share : shares_) {
        for (const std::string& statement : share.statements) share.connection->send_prepared(statement);
    }
    asked_ = true;
}

asio::awaitable<SequenceValues> SequenceReader::changes() {
    if (!asked_) ask();
    asked_ = false;
    SequenceValues values;
    std::vector<std::string> reset;
    for (const Share& share : shares_) {
        const std::vector<std::string> more = co_await receive_share(share, values);
        reset.insert(reset.end(), more.begin(), more.end());
    }
    if (reset.empty()) co_return values;
    const PgResult rows = co_await shares_.front().connection->query(own_rows_sql(reset));
    take_own_rows(rows, values);
    co_return values;
}

/// What was asked once in the transaction has its locks, and all that the server looks up for it.
asio::awaitable<bool> SequenceReader::hold() {
    for (const Share& share : shares_) {
        share.connection->send(kHold);
        share.connection->send(kHoldPatience);
        share.connection->send(hold_sql(share.all));
        for (const std::string& statement : share.statements) share.connection->send_prepared(statement);
    }
    bool held = true;
    for (const Share& share : shares_) {
        while (share.connection->outstanding() != 0) {
            try {
                co_await share.connection->receive();
            } catch (const PgError& error) {
                if (error.outcome() != Outcome::refused) throw;
                held = false;
            }
        }
    }
    if (held) co_return true;
    for (const Share& share : shares_) co_await share.connection->query("ROLLBACK");
    co_return false;
}

asio::awaitable<std::vector<std::string>> SequenceReader::receive_share(const Share& share, SequenceValues& values) {
    std::vector<std::string> reset;
    SequenceValues own_rows;
    for (std::size_t k = 0; k < share.statements.size(); ++k) {
        const PgResult rows = co_await share.connection->receive();
        if (k > 0 || share.called.empty()) {
            take_own_rows(rows, own_rows);
            continue;
        }
        for (int i = 0; i < rows.rows(); ++i) {
            const std::string& name = share.called.at(rows.as<std::string>(i, 0));
            const auto last = rows.maybe<std::int64_t>(i, 1);
            if (last)
                values[name] = {*last, true};
            else
                reset.push_back(name);
        }
    }
    values.merge(changed(known_, own_rows));
    co_return reset;
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
