#include "chatter.hpp"

#include <fmt/format.h>

#include "protocol/frontend_messages.hpp"

namespace turnout::test {

const char* const kChatterSchema = R"(
CREATE ROLE alice;
CREATE ROLE bob;
CREATE ROLE carol LOGIN IN ROLE alice, bob;
ALTER ROLE carol SET work_mem = '9MB';
ALTER ROLE carol SET app.born_with = 'it';
CREATE FUNCTION log_in_as(tenant text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.tenant_id', tenant, false);
    SET work_mem = '11MB';
    RETURN 'welcome ' || tenant;
END $$;
CREATE FUNCTION listen_quietly() RETURNS int LANGUAGE plpgsql AS $$ BEGIN LISTEN quiet; RETURN 1; END $$;
CREATE FUNCTION lock_quietly(key int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN RETURN pg_try_advisory_lock(key); END $$;
)";

std::vector<std::string> chatter_inventory() {
    return {
        "SELECT name, setting, reset_val, source FROM pg_settings WHERE category NOT LIKE 'Preset%' AND "
        "name NOT LIKE 'plpgsql.%' AND name NOT IN "
        "('port', 'data_directory', 'config_file', 'hba_file', 'ident_file', 'unix_socket_directories', "
        "'external_pid_file', 'cluster_name') ORDER BY name",
        "SELECT n, current_setting(n, true) FROM (VALUES ('app.tenant_id'), ('app.a'), ('app.b'), ('app.born_with')) "
        "v(n)",
        "SELECT current_user, session_user, current_setting('role'), current_schemas(true)",
        "SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name",
        "SELECT * FROM pg_listening_channels() ORDER BY 1",
        "SELECT classid, objid, objsubid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() "
        "ORDER BY 1, 2, 3, 4",
        "SELECT name, is_holdable FROM pg_cursors ORDER BY name",
    };
}

std::string Chatter::one_of(std::initializer_list<std::string_view> choices) {
    return std::string(*(choices.begin() + pick(static_cast<unsigned>(choices.size()))));
}

std::string Chatter::setting() {
    const unsigned n = pick(9);
    return one_of({
        fmt::format("SET work_mem = '{}MB'", n + 1),
        fmt::format("SET LOCAL work_mem = '{}MB'", n + 20),
        "RESET work_mem",
        "SET work_mem TO DEFAULT",
        fmt::format("SET statement_timeout = '{}s'", n + 50),
        "SET DateStyle = 'German'",
        "SET datestyle TO SQL, DMY",
        "SET TIME ZONE 'Asia/Kathmandu'",
        fmt::format("SET TIME ZONE -{}", n),
        "SET search_path = pg_catalog, public",
        "SET search_path = public",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SET default_transaction_isolation = 'read committed'",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET default_transaction_read_only = off",
        "SET default_transaction_deferrable = on",
        fmt::format("SET application_name = 'application {}'", n),
        "RESET application_name",
        fmt::format("SELECT set_config('lock_timeout', '{}s', {})", n + 1, n % 2 == 0 ? "true" : "false"),
        "SET extra_float_digits = 0",
        "SET bytea_output = 'escape'",
        "SET IntervalStyle = 'iso_8601'",
        "SET client_encoding = 'LATIN1'",
        "SET NAMES 'UTF8'",
        "SET standard_conforming_strings = off",
        "SET standard_conforming_strings = on",
        "SET no_such_setting = 1",
        "SET work_mem = 'nonsense'",
        "RESET ALL",
        "SHOW work_mem",
        "SHOW TimeZone",
        "SHOW lock_timeout",
    });
}

std::string Chatter::custom_setting() {
    const unsigned n = pick(9);
    const std::string name = one_of({"app.a", "app.b", "app.tenant_id", "app.born_with"});
    const std::string quiet = fmt::format("SELECT log_in_as('{}')", n);
    return one_of({
        fmt::format("SET {} = 'value {}'", name, n),
        fmt::format("SET LOCAL {} = 'local {}'", name, n),
        fmt::format("SELECT set_config('{}', 'by function {}', false)", name, n),
        fmt::format("SELECT set_config('{}', 'locally {}', true)", name, n),
        fmt::format("RESET {}", name),
        fmt::format("SHOW {}", name),
        fmt::format("SELECT current_setting('{}', true)", name),
        fmt::format("DO $x$ BEGIN PERFORM set_config('{}', 'in a block {}', false); END $x$", name, n),
        functions_ ? quiet : "SELECT current_setting('app.tenant_id', true)",
    });
}

std::string Chatter::role() {
    return one_of({"SET ROLE alice", "SET ROLE bob", "SET ROLE NONE", "RESET ROLE", "SET LOCAL ROLE alice",
                   "SET SESSION AUTHORIZATION alice", "SET SESSION AUTHORIZATION carol", "RESET SESSION AUTHORIZATION",
                   "SET SESSION AUTHORIZATION DEFAULT", "SET ROLE nobody_at_all", "SELECT current_user, session_user"});
}

std::string Chatter::sql_statement() {
    const unsigned n = pick(3);
    return one_of({
        fmt::format("PREPARE p{} AS SELECT {}", n, n + 100),
        fmt::format("PREPARE p{} (int, text) AS SELECT $1 + 1, $2", n),
        fmt::format("prepare p{} as select current_setting('work_mem')", n),
        fmt::format("EXECUTE p{}", n),
        fmt::format("EXECUTE p{} (1, 'x')", n),
        fmt::format("DEALLOCATE p{}", n),
        fmt::format("DEALLOCATE s{}", n),
        "DEALLOCATE ALL",
        "DISCARD PLANS",
        "DISCARD ALL",
    });
}

std::string Chatter::listening() {
    const unsigned n = pick(3);
    return one_of({
        fmt::format("LISTEN channel{}", n),
        fmt::format("LISTEN \"Odd \"\"channel\"\" {}\"", n),
        fmt::format("UNLISTEN channel{}", n),
        "UNLISTEN *",
        fmt::format("NOTIFY channel{}, 'payload {}'", n, pick(1000)),
        fmt::format("NOTIFY channel{}, 'payload {}'", n, pick(1000)),
        fmt::format("SELECT pg_notify('Odd \"channel\" {}', '{}')", n, pick(1000)),
        "SELECT * FROM pg_listening_channels() ORDER BY 1",
        functions_ ? "SELECT listen_quietly()" : "SELECT 1",
    });
}

std::string Chatter::lock() {
    const unsigned n = pick(4);
    const std::string key = n % 2 == 0 ? fmt::format("{}", n) : fmt::format("{}, {}", n, -1 - static_cast<int>(n));
    const std::string shared = pick(2) == 0 ? "" : "_shared";
    return one_of({
        fmt::format("SELECT pg_try_advisory_lock{}({})", shared, key),
        fmt::format("SELECT pg_try_advisory_lock{}({})", shared, key),
        fmt::format("SELECT pg_try_advisory_lock{}({}), pg_try_advisory_lock{}({})", shared, key, shared, key),
        fmt::format("SELECT pg_advisory_unlock{}({})", shared, key),
        fmt::format("SELECT pg_advisory_unlock{}({})", shared, key),
        fmt::format("SELECT pg_try_advisory_xact_lock{}({})", shared, key),
        "SELECT pg_try_advisory_lock(9223372036854775807)",
        "SELECT pg_advisory_unlock_all()",
        functions_ ? fmt::format("SELECT lock_quietly({})", n) : std::string("SELECT 2"),
    });
}

std::string Chatter::look() {
    const std::vector<std::string> questions = chatter_inventory();
    return questions[pick(static_cast<unsigned>(questions.size()))];
}

std::string Chatter::statement() {
    switch (pick(13)) {
        case 0:
        case 1:
        case 2: return setting();
        case 3:
        case 4: return custom_setting();
        case 5: return role();
        case 6: return sql_statement();
        case 7:
        case 8: return listening();
        case 9:
        case 10: return lock();
        case 11:
            return one_of({"SELECT 1/0", "SELEC 1", "", "SELECT 'text' AS a, 2 AS b", "VALUES (1), (2)",
                           fmt::format("{}; {}", setting(), custom_setting()),
                           fmt::format("{}; SELECT 1/0; {}", custom_setting(), setting())});
        default: return look();
    }
}

void Chatter::say(Block& block, Form form, const std::vector<std::string>& texts) {
    if (form == Form::pipelined) {
        Step step;
        for (const std::string& text : texts) {
            append(step.bytes, protocol::Parse{"", text, {}});
            append(step.bytes, protocol::Bind{});
            append(step.bytes, protocol::Describe{protocol::Target::portal, ""});
            append(step.bytes, protocol::Execute{});
            step.said += fmt::format("[{}] ", text);
        }
        protocol::append_sync(step.bytes);
        step.ready = 1;
        block.push_back(std::move(step));
        return;
    }
    for (const std::string& text : texts) {
        if (form == Form::extended) {
            say(block, Form::pipelined, {text});
            continue;
        }
        Step step;
        append(step.bytes, protocol::Query{text});
        step.ready = 1;
        step.said = text;
        block.push_back(std::move(step));
    }
}

void Chatter::transaction(Block& block) {
    std::vector<std::string> texts{
        one_of({"BEGIN", "START TRANSACTION READ ONLY", "BEGIN ISOLATION LEVEL SERIALIZABLE"})};
    for (unsigned n = pick(4) + 1; n > 0; --n) texts.push_back(statement());
    if (pick(3) == 0) {
        texts.emplace_back("SAVEPOINT a");
        texts.push_back(statement());
        texts.push_back(one_of({"ROLLBACK TO a", "RELEASE a"}));
        texts.push_back(statement());
    }
    const std::string end = one_of({"COMMIT", "ROLLBACK", "END"});
    texts.push_back(end);
    const Form form = Form(pick(3));
    say(block, form, texts);
    // A pipeline that failed has skipped its end.
    if (form == Form::pipelined) say(block, Form::simple, {"ROLLBACK"});
}

void Chatter::protocol_statements(Block& block) {
    Step step;
    const std::string name = one_of({"s0", "s1", "s2", ""});
    const auto execute = [&](std::vector<std::optional<std::string_view>> parameters) {
        protocol::Bind bind;
        bind.statement = name;
        bind.parameters = std::move(parameters);
        append(step.bytes, protocol::Describe{protocol::Target::statement, name});
        append(step.bytes, bind);
        append(step.bytes, protocol::Execute{});
        step.said += fmt::format("execute \"{}\" ", name);
    };
    const auto parse = [&](std::string_view text, std::vector<std::uint32_t> types) {
        append(step.bytes, protocol::Parse{name, text, std::move(types)});
        step.said += fmt::format("parse \"{}\" [{}] ", name, text);
    };
    switch (pick(9)) {
        case 0: parse("SELECT $1::int + 1", {}); break;
        case 1: parse("SELECT $1, $2", {23, 1082}); break;
        case 2: parse("SELECT current_setting('app.tenant_id', true), $1", {25}); break;
        case 3: parse("SELEC nothing", {}); break;
        case 4:
            append(step.bytes, protocol::Close{protocol::Target::statement, name});
            step.said = fmt::format("close \"{}\" ", name);
            break;
        case 5: parse("SELECT count(*) FROM pg_class WHERE relname = $1", {}); [[fallthrough]];
        default:
            execute(pick(4) == 0 ? decltype(protocol::Bind::parameters){"1", "2024-02-29"}
                                 : decltype(protocol::Bind::parameters){"41"});
    }
    protocol::append_sync(step.bytes);
    step.ready = 1;
    block.push_back(std::move(step));
}

/// set_config whose name comes with Bind, by a statement that lives on.
void Chatter::parameters(Block& block) {
    const std::string name = one_of({"app.a", "app.b", "work_mem", "app.tenant_id"});
    const std::string value =
        name == "work_mem" ? fmt::format("{}MB", 30 + pick(9)) : fmt::format("bound {}", pick(99));
    const std::string_view local = pick(4) == 0 ? "t" : "f";
    Step step;
    append(step.bytes, protocol::Close{protocol::Target::statement, "setter"});
    append(step.bytes, protocol::Parse{"setter", "SELECT set_config($1, $2, $3)", {}});
    protocol::Bind bind;
    bind.statement = "setter";
    bind.parameters = {name, value, local};
    append(step.bytes, bind);
    append(step.bytes, protocol::Execute{});
    protocol::append_sync(step.bytes);
    step.ready = 1;
    step.said = fmt::format("set_config({}, {}, {}) by Bind", name, value, local);
    block.push_back(std::move(step));
}

Block Chatter::block() {
    Block block;
    switch (pick(8)) {
        case 0:
        case 1: transaction(block); break;
        case 2: parameters(block); break;
        case 3:
        case 4: protocol_statements(block); break;
        case 5: {
            std::vector<std::string> texts;
            for (unsigned n = pick(3) + 1; n > 0; --n) texts.push_back(statement());
            say(block, Form::pipelined, texts);
            break;
        }
        case 6: {
            // Several Queries at once.
            Block single;
            for (unsigned n = pick(3) + 1; n > 0; --n) say(single, Form::simple, {statement()});
            Step all;
            for (const Step& step : single) {
                all.bytes += step.bytes;
                all.ready += step.ready;
                all.said += step.said + " | ";
            }
            block.push_back(std::move(all));
            break;
        }
        default: say(block, Form(pick(2)), {statement()}); break;
    }
    return block;
}

}  // namespace turnout::test
