#include "proxy/carried_state.hpp"

#include <fmt/format.h>

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

// Rows of (kind, name, value). The time-outs are read before they are switched off for the questions that follow.
constexpr std::string_view kTimeouts =
    "SELECT 'setting', n, pg_catalog.current_setting(n) FROM (VALUES ('statement_timeout'), ('lock_timeout')) v(n)";

constexpr std::string_view kQuestions = R"(
SELECT 'setting', name, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings
 WHERE source OPERATOR(pg_catalog.=) 'session'
   AND NOT (name OPERATOR(pg_catalog.=) ANY ('{statement_timeout,lock_timeout,transaction_isolation,transaction_read_only,transaction_deferrable}'::pg_catalog.text[]))
UNION ALL
SELECT 'custom', n, pg_catalog.current_setting(n, true) FROM pg_catalog.unnest($1::pg_catalog.text[]) n
 WHERE pg_catalog.current_setting(n, true) IS NOT NULL
UNION ALL SELECT 'role', pg_catalog.current_setting('role'), NULL
UNION ALL SELECT 'authorization', SESSION_USER::pg_catalog.text, NULL
UNION ALL SELECT 'listen', c, NULL FROM pg_catalog.pg_listening_channels() c
UNION ALL
SELECT CASE WHEN from_sql THEN 'sql_prepared' ELSE 'statement' END, name, statement
  FROM pg_catalog.pg_prepared_statements WHERE name OPERATOR(pg_catalog.<>) 'turnout_question'
UNION ALL
SELECT 'temporary', pg_catalog.count(*)::pg_catalog.text, pg_catalog.min(relname)::pg_catalog.text
  FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
UNION ALL
SELECT 'holdable', name, NULL FROM pg_catalog.pg_cursors WHERE is_holdable
UNION ALL
SELECT 'advisory', pg_catalog.count(*)::pg_catalog.text, NULL FROM pg_catalog.pg_locks
 WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
)";

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

void take_row(CarriedState& out, std::string_view login_user, const protocol::DataRow& row) {
    const std::string_view kind = value_or_empty(row, 0), a = value_or_empty(row, 1), b = value_or_empty(row, 2);
    if (kind == "setting" || kind == "custom") {
        out.settings.emplace_back(a, b);
    } else if (kind == "role") {
        out.role = a;
    } else if (kind == "authorization") {
        if (a != login_user) out.session_authorization = a;
    } else if (kind == "listen") {
        out.channels.emplace_back(a);
    } else if (kind == "statement") {
        out.protocol_statements.emplace_back(a);
    } else if (kind == "sql_prepared") {
        take_sql_prepared(out, a, b);
    } else if (kind == "temporary" && a != "0") {
        pin(out, fmt::format("has {} temporary relation{} (\"{}\"{}): drop them or end the session", a,
                             a == "1" ? "" : "s", b, a == "1" ? "" : ", …"));
    } else if (kind == "holdable") {
        pin(out, fmt::format("has the holdable cursor \"{}\": close it", a));
    } else if (kind == "advisory" && a != "0") {
        pin(out, fmt::format("holds {} session advisory lock{}: release them", a, a == "1" ? "" : "s"));
    }
}

}  // namespace

std::string questions(const std::vector<std::string>& setting_names) {
    std::string out;
    add_command(out, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY NOT DEFERRABLE");
    add_command(out, kTimeouts);
    add_command(out, "SET LOCAL statement_timeout = 0");
    add_command(out, "SET LOCAL lock_timeout = 0");
    add_command(out, kQuestions, {text_array(setting_names)});
    add_command(out, "COMMIT");
    protocol::append_sync(out);
    return out;
}

std::string read_answers(const Exchange& replies, std::string_view login_user, CarriedState& out) {
    if (std::string error = replies.error(); !error.empty()) return error;
    out = {};
    protocol::DataRow row;
    for (const Exchange::Message& message : replies.messages) {
        if (message.type != static_cast<char>(BackendType::data_row)) continue;
        if (protocol::parse(message.body, row) || row.values.size() != 3) return "the server's answer is malformed";
        take_row(out, login_user, row);
    }
    if (out.role.empty()) return "the server's answer is incomplete";
    return {};
}

Replay replay_state(const CarriedState& state, bool again) {
    Replay replay;
    const auto simple = [&](std::string_view text) {
        protocol::append(replay.bytes, protocol::Query{text});
        ++replay.ready;
    };
    if (again) simple("DISCARD ALL");
    if (!state.settings.empty()) {
        for (const auto& [name, value] : state.settings) {
            add_command(replay.bytes, "SELECT pg_catalog.set_config($1, $2, false)", {name, value});
        }
        protocol::append_sync(replay.bytes);
        ++replay.ready;
    }
    if (!state.session_authorization.empty()) {
        simple("SET SESSION AUTHORIZATION " + quoted_identifier(state.session_authorization));
    }
    if (state.role != "none") simple("SET ROLE " + quoted_identifier(state.role));
    // Parse refuses a text of several commands before anything runs; Query would run them.
    for (const std::string& prepare : state.sql_prepared) add_command(replay.bytes, prepare);
    for (const std::string& channel : state.channels) add_command(replay.bytes, "LISTEN " + quoted_identifier(channel));
    if (!state.sql_prepared.empty() || !state.channels.empty()) {
        protocol::append_sync(replay.bytes);
        ++replay.ready;
    }
    return replay;
}

Replay replay_statements(const protocol::StatementDifference& difference) {
    Replay replay;
    for (std::string_view name : difference.close) {
        protocol::append(replay.bytes, protocol::Close{protocol::Target::statement, name});
    }
    for (std::string_view body : difference.parse) {
        protocol::Writer(replay.bytes).begin(protocol::FrontendType::parse).bytes(body).end();
    }
    if (replay.bytes.empty()) return replay;
    protocol::append_sync(replay.bytes);
    replay.ready = 1;
    return replay;
}

}  // namespace turnout::proxy
