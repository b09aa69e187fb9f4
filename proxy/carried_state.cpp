#include "proxy/carried_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/sql_words.hpp"
#include "protocol/writer.hpp"

namespace turnout::proxy {
namespace {

using protocol::BackendType;

constexpr std::string_view kName = "turnout_question";

/// One command through our own statement and portal, which are closed again.
void add_command(std::string& out, std::string_view sql, const std::vector<std::string>& parameters = {}) {
    protocol::Parse parse;
    parse.statement = kName;
    parse.query = sql;
    protocol::append(out, parse);
    protocol::Bind bind;
    bind.portal = kName;
    bind.statement = kName;
    for (const std::string& parameter : parameters) bind.parameters.emplace_back(parameter);
    protocol::append(out, bind);
    protocol::append(out, protocol::Execute{kName, 0});
    protocol::append(out, protocol::Close{protocol::Target::portal, kName});
    protocol::append(out, protocol::Close{protocol::Target::statement, kName});
}

/// {"a","b"} with quotes and backslashes escaped (manual, "Array Input and Output Syntax").
std::string text_array(const std::vector<std::string>& items) {
    std::string out = "{";
    for (const std::string& item : items) {
        if (out.size() > 1) out += ',';
        out += '"';
        for (char c : item) {
            if (c == '"' || c == '\\') out += '\\';
            out += c;
        }
        out += '"';
    }
    return out + '}';
}

std::string quoted_identifier(std::string_view name) {
    std::string out = "\"";
    for (char c : name) {
        if (c == '"') out += '"';
        out += c;
    }
    return out + '"';
}

constexpr std::string_view kBegin = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY NOT DEFERRABLE";

// Rows of (kind, name, value). client_encoding comes first: what follows it is said in that encoding.
constexpr std::string_view kSettings = R"(
SELECT 'setting', name, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings
 WHERE source OPERATOR(pg_catalog.=) 'session'
   AND NOT (name OPERATOR(pg_catalog.=) ANY ('{transaction_isolation,transaction_read_only,transaction_deferrable}'::pg_catalog.text[]))
 ORDER BY name OPERATOR(pg_catalog.<>) 'client_encoding', name)";

constexpr std::string_view kQuestions = R"(
SELECT 'custom', n, pg_catalog.current_setting(n, true) FROM pg_catalog.unnest($1::pg_catalog.text[]) n
 WHERE pg_catalog.current_setting(n, true) IS NOT NULL
UNION ALL SELECT 'role', pg_catalog.current_setting('role'), NULL
UNION ALL SELECT 'authorization', SESSION_USER::pg_catalog.text, NULL
UNION ALL
SELECT 'statement', name, NULL FROM pg_catalog.pg_prepared_statements
 WHERE NOT from_sql AND name OPERATOR(pg_catalog.<>) 'turnout_question')";

// What has to be known before the gate opens. pg_class is not looked at by a session that has no temporary schema.
constexpr std::string_view kUrgent = R"(
SELECT 'sql_prepared', name, statement FROM pg_catalog.pg_prepared_statements WHERE from_sql
UNION ALL
SELECT 'temporary', pg_catalog.count(*)::pg_catalog.text, pg_catalog.min(relname)::pg_catalog.text
  FROM pg_catalog.pg_class WHERE pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
   AND relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
UNION ALL
SELECT 'holdable', name, NULL FROM pg_catalog.pg_cursors WHERE is_holdable
UNION ALL
SELECT 'listen', c, NULL FROM pg_catalog.pg_listening_channels() c
UNION ALL
SELECT CASE objsubid WHEN 1 THEN 'lock' ELSE 'lock2' END, pg_catalog.concat_ws(' ', classid, objid), mode
  FROM pg_catalog.pg_locks
 WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND granted
   AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())";

// Asked inside of a client's transaction, under its own time-outs.
constexpr std::string_view kTransaction = R"(
SELECT 'wrote', NULL::pg_catalog.text, NULL::pg_catalog.text
 WHERE pg_catalog.txid_current_if_assigned() IS NOT NULL
UNION ALL
SELECT 'lock', locktype, mode FROM pg_catalog.pg_locks
 WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND granted
   AND locktype OPERATOR(pg_catalog.<>) 'virtualxid'
   AND NOT (mode OPERATOR(pg_catalog.=) ANY ('{AccessShareLock,SIReadLock}'::pg_catalog.text[]))
UNION ALL
SELECT 'portal', statement, NULL FROM pg_catalog.pg_cursors WHERE name OPERATOR(pg_catalog.<>) 'turnout_question'
UNION ALL
SELECT 'listen', c, NULL FROM pg_catalog.pg_listening_channels() c)";

/// A transaction in which nothing waits for others and no time-out strikes.
void begin_undisturbed(std::string& out) {
    add_command(out, kBegin);
    add_command(out, "SET LOCAL statement_timeout = 0");
    add_command(out, "SET LOCAL lock_timeout = 0");
}

void commit(Replay& replay) {
    add_command(replay.bytes, "COMMIT");
    protocol::append_sync(replay.bytes);
    ++replay.ready;
}

void pin(CarriedState& out, std::string reason) {
    if (!out.pinned.empty()) out.pinned += "; ";
    out.pinned += reason;
}

std::string_view value_or_empty(const protocol::DataRow& row, std::size_t column) {
    return row.values[column] ? *row.values[column] : std::string_view();
}

void take_sql_prepared(CarriedState& out, std::string_view name, std::string_view text) {
    const protocol::SqlReading reading = protocol::what_it_may_change(text);
    // pg_prepared_statements keeps the whole Query string; only a text that is one PREPARE may ever be sent again.
    if (reading.commands == 1 && reading.first_word == "prepare") {
        out.sql_prepared.emplace_back(text);
    } else {
        pin(out,
            fmt::format("statement \"{}\" was prepared by SQL inside a multi-statement query: DEALLOCATE it", name));
    }
}

bool take_holding(Holdings& out, const protocol::DataRow& row) {
    const std::string_view kind = value_or_empty(row, 0), a = value_or_empty(row, 1), b = value_or_empty(row, 2);
    if (kind == "listen") {
        out.channels.emplace_back(a);
        return true;
    }
    if (kind != "lock" && kind != "lock2") return false;
    AdvisoryLock lock;
    const std::size_t blank = std::min(a.find(' '), a.size());
    std::from_chars(a.data(), a.data() + blank, lock.classid);
    std::from_chars(a.data() + std::min(blank + 1, a.size()), a.data() + a.size(), lock.objid);
    lock.two_keys = kind == "lock2";
    lock.shared = b == "ShareLock";
    out.locks.push_back(lock);
    return true;
}

/// The call of a function of the pg_advisory family for this lock; its arguments go to `parameters`.
std::string call(std::string_view function, const AdvisoryLock& lock, std::vector<std::string>& parameters) {
    const std::string_view shared = lock.shared ? "_shared" : "";
    if (lock.two_keys) {
        parameters = {std::to_string(static_cast<std::int32_t>(lock.classid)),
                      std::to_string(static_cast<std::int32_t>(lock.objid))};
        return fmt::format("pg_catalog.{}{}($1::pg_catalog.int4, $2::pg_catalog.int4)", function, shared);
    }
    const std::uint64_t key = std::uint64_t{lock.classid} << 32U | lock.objid;
    parameters = {std::to_string(static_cast<std::int64_t>(key))};
    return fmt::format("pg_catalog.{}{}($1::pg_catalog.int8)", function, shared);
}

void add_taking(std::string& out, const AdvisoryLock& lock, std::uint64_t times) {
    std::vector<std::string> parameters;
    std::string sql = "SELECT " + call("pg_advisory_lock", lock, parameters);
    if (times > 1) sql = fmt::format("{} FROM pg_catalog.generate_series(1, {})", sql, times);
    add_command(out, sql, parameters);
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
}

void take_row(CarriedState& out, std::string_view login_user, const protocol::DataRow& row) {
    const std::string_view kind = value_or_empty(row, 0), a = value_or_empty(row, 1), b = value_or_empty(row, 2);
    if (kind == "setting" || kind == "custom") {
        out.settings.emplace_back(a, b);
    } else if (kind == "role") {
        out.role = a;
    } else if (kind == "authorization") {
        if (a != login_user) out.session_authorization = a;
    } else if (take_holding(out.holdings, row)) {
        return;
    } else if (kind == "statement") {
        out.protocol_statements.emplace_back(a);
    } else if (kind == "sql_prepared") {
        take_sql_prepared(out, a, b);
    } else if (kind == "temporary" && a != "0") {
        pin(out, fmt::format("has {} temporary relation{} (\"{}\"{}): drop them or end the session", a,
                             a == "1" ? "" : "s", b, a == "1" ? "" : ", …"));
    } else if (kind == "holdable") {
        pin(out, fmt::format("has the holdable cursor \"{}\": close it", a));
    }
}

}  // namespace

std::string questions(const std::vector<std::string>& setting_names, Timeouts timeouts) {
    std::string out;
    add_command(out, kBegin);
    if (timeouts == Timeouts::off) {
        add_command(out,
                    "SELECT 'setting', n, pg_catalog.current_setting(n) FROM (VALUES ('statement_timeout'), "
                    "('lock_timeout')) v(n)");
        add_command(out, "SET LOCAL statement_timeout = 0");
    }
    add_command(out, kSettings);
    add_command(out, kQuestions, {text_array(setting_names)});
    add_command(out, kUrgent);
    add_command(out, "COMMIT");
    protocol::append_sync(out);
    return out;
}

std::string question(std::string_view sql, const std::vector<std::string>& values) {
    std::string out;
    begin_undisturbed(out);
    add_command(out, sql, {text_array(values)});
    add_command(out, "COMMIT");
    protocol::append_sync(out);
    return out;
}

std::string read_rows(const Exchange& replies, const std::function<void(const protocol::DataRow&)>& take) {
    if (std::string error = replies.error(); !error.empty()) return error;
    protocol::DataRow row;
    for (const Exchange::Message& message : replies.messages) {
        if (message.type != static_cast<char>(BackendType::data_row)) continue;
        if (protocol::parse(message.body, row) || row.values.size() != 3) return "the server's answer is malformed";
        take(row);
    }
    return {};
}

namespace {

void sort(Holdings& holdings) {
    std::sort(holdings.channels.begin(), holdings.channels.end());
    std::sort(holdings.locks.begin(), holdings.locks.end());
}

}  // namespace

std::string read_answers(const Exchange& replies, std::string_view login_user, CarriedState& out) {
    out = {};
    std::string error = read_rows(replies, [&](const protocol::DataRow& row) { take_row(out, login_user, row); });
    if (error.empty() && out.role.empty()) error = "the server's answer is incomplete";
    sort(out.holdings);
    return error;
}

std::string urgent_questions() {
    std::string out;
    begin_undisturbed(out);
    add_command(out, kUrgent);
    add_command(out, "COMMIT");
    protocol::append_sync(out);
    return out;
}

std::string read_urgent_answers(const Exchange& replies, CarriedState& out) {
    CarriedState now;
    std::string error = read_rows(replies, [&](const protocol::DataRow& row) { take_row(now, {}, row); });
    sort(now.holdings);
    out.holdings = std::move(now.holdings);
    out.pinned = std::move(now.pinned);
    return error;
}

std::string statement_timeout_question() {
    std::string out;
    add_command(out, kBegin);
    add_command(out,
                "SELECT pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.current_setting('statement_timeout')::"
                "pg_catalog.interval) OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8, NULL, NULL");
    add_command(out, "COMMIT");
    protocol::append_sync(out);
    return out;
}

std::string read_statement_timeout(const Exchange& replies, control::Milliseconds& out) {
    std::int64_t milliseconds = -1;
    std::string error = read_rows(replies, [&](const protocol::DataRow& row) {
        const std::string_view text = value_or_empty(row, 0);
        std::from_chars(text.data(), text.data() + text.size(), milliseconds);
    });
    if (error.empty() && milliseconds < 0) error = "the server's answer is incomplete";
    out = control::Milliseconds(milliseconds);
    return error;
}

Replay replay_state(const CarriedState& state, bool again) {
    Replay replay;
    const auto simple = [&](std::string_view text) {
        protocol::append(replay.bytes, protocol::Query{text});
        ++replay.ready;
    };
    // Not DISCARD ALL: that would give up what is held there.
    if (again) simple("RESET SESSION AUTHORIZATION; RESET ALL; DEALLOCATE ALL");
    if (!state.settings.empty()) {
        add_command(replay.bytes, kBegin);
        for (const auto& [name, value] : state.settings) {
            add_command(replay.bytes, "SELECT pg_catalog.set_config($1, $2, false)", {name, value});
        }
        commit(replay);
    }
    if (!state.session_authorization.empty()) {
        simple("SET SESSION AUTHORIZATION " + quoted_identifier(state.session_authorization));
    }
    simple(state.role == "none" ? "SET ROLE NONE" : "SET ROLE " + quoted_identifier(state.role));
    if (!state.sql_prepared.empty()) {
        begin_undisturbed(replay.bytes);
        // Parse refuses a text of several commands before anything runs; Query would run them.
        for (const std::string& prepare : state.sql_prepared) add_command(replay.bytes, prepare);
        commit(replay);
    }
    return replay;
}

Replay replay_holdings(const Holdings& there, const Holdings& wanted) {
    Replay replay;
    if (there == wanted) return replay;
    begin_undisturbed(replay.bytes);
    for (const std::string& channel : there.channels) {
        if (!contains(wanted.channels, channel)) add_command(replay.bytes, "UNLISTEN " + quoted_identifier(channel));
    }
    for (const std::string& channel : wanted.channels) {
        if (!contains(there.channels, channel)) add_command(replay.bytes, "LISTEN " + quoted_identifier(channel));
    }
    if (there.locks != wanted.locks) {
        if (!there.locks.empty()) add_command(replay.bytes, "SELECT pg_catalog.pg_advisory_unlock_all()");
        for (const AdvisoryLock& lock : wanted.locks) add_taking(replay.bytes, lock, 1);
    }
    commit(replay);
    return replay;
}

void append_command(std::string& out, std::string_view sql) { add_command(out, sql); }

std::string rollback_batch() {
    std::string out;
    protocol::append(out, protocol::Close{protocol::Target::statement, kName});
    add_command(out, "ROLLBACK");
    protocol::append_sync(out);
    return out;
}

std::string begin_batch(std::string_view text) {
    std::string out;
    add_command(out, text);
    protocol::append_sync(out);
    return out;
}

std::string failed_transaction_batch() {
    std::string out;
    add_command(out, "BEGIN");
    protocol::append(out, protocol::Execute{"turnout_no_such_portal", 0});
    protocol::append_sync(out);
    return out;
}

std::string transaction_question() {
    std::string out;
    add_command(out, kTransaction);
    protocol::append_sync(out);
    return out;
}

std::string read_transaction_facts(const Exchange& replies, TransactionFacts& out) {
    return read_rows(replies, [&](const protocol::DataRow& row) {
        const std::string_view kind = value_or_empty(row, 0), a = value_or_empty(row, 1);
        if (kind == "wrote") out.wrote = true;
        if (kind == "lock") out.locked = true;
        if (kind == "lock" && a == "advisory") out.advisory = true;
        if (kind == "portal") out.portals.emplace_back(a);
        if (kind == "listen") out.channels.emplace_back(a);
    });
}

std::string read_only_batch() {
    std::string out;
    add_command(out, "SET TRANSACTION READ ONLY");
    protocol::append_sync(out);
    return out;
}

std::string unlock_all_batch() {
    std::string out;
    add_command(out, "SELECT pg_catalog.pg_advisory_unlock_all()");
    protocol::append_sync(out);
    return out;
}

Replay close_statements(const std::vector<std::string_view>& names) {
    Replay replay;
    for (const std::string_view name : names) {
        protocol::append(replay.bytes, protocol::Close{protocol::Target::statement, name});
    }
    if (names.empty()) return replay;
    protocol::append_sync(replay.bytes);
    ++replay.ready;
    return replay;
}

Replay make_statements(const std::vector<std::string>& names, const std::vector<std::string>& bodies) {
    Replay replay;
    for (std::size_t i = 0; i < names.size(); ++i) {
        protocol::Writer(replay.bytes).begin(protocol::FrontendType::parse).bytes(bodies[i]).end();
        protocol::append(replay.bytes, protocol::Describe{protocol::Target::statement, names[i]});
        protocol::append_sync(replay.bytes);
        ++replay.ready;
    }
    return replay;
}

Replay release_and_count(const std::vector<AdvisoryLock>& locks) {
    Replay replay;
    if (locks.empty()) return replay;
    begin_undisturbed(replay.bytes);
    for (const AdvisoryLock& lock : locks) {
        std::vector<std::string> parameters;
        const std::string unlock = call("pg_advisory_unlock", lock, parameters);
        add_command(replay.bytes,
                    fmt::format("WITH RECURSIVE released(held) AS (SELECT {0} UNION ALL SELECT {0} FROM released WHERE "
                                "held) SELECT pg_catalog.count(*), NULL, NULL FROM released WHERE held",
                                unlock),
                    parameters);
    }
    commit(replay);
    return replay;
}

std::string read_counts(const Exchange& replies, std::vector<std::uint64_t>& out) {
    out.clear();
    return read_rows(replies, [&](const protocol::DataRow& row) {
        const std::string_view text = value_or_empty(row, 0);
        std::from_chars(text.data(), text.data() + text.size(), out.emplace_back());
    });
}

Replay take_again(const std::vector<AdvisoryLock>& locks, const std::vector<std::uint64_t>& counts) {
    Replay replay;
    for (std::size_t i = 0; i < std::min(locks.size(), counts.size()); ++i) {
        if (counts[i] <= 1) continue;
        if (replay.bytes.empty()) begin_undisturbed(replay.bytes);
        add_taking(replay.bytes, locks[i], counts[i] - 1);
    }
    if (!replay.bytes.empty()) commit(replay);
    return replay;
}

Replay take_if_free(const std::vector<AdvisoryLock>& locks) {
    Replay replay;
    if (locks.empty()) return replay;
    begin_undisturbed(replay.bytes);
    for (const AdvisoryLock& lock : locks) {
        std::vector<std::string> parameters;
        const std::string sql = "SELECT " + call("pg_try_advisory_lock", lock, parameters);
        add_command(replay.bytes, sql, parameters);
    }
    commit(replay);
    return replay;
}

}  // namespace turnout::proxy
