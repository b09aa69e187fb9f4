#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <set>
#include <sstream>

#include "control/names.hpp"
#include "control/sync.hpp"
#include "control/sync_steps.hpp"

namespace turnout::control {

namespace {

constexpr std::string_view kEntryMark = "\n--\n-- Name: ";

/// The environment of a dump: control's own connection, free of the fence and of the role's own settings.
Conninfo::Parameters dump_environment(const Cluster& cluster, Side source, const std::string& database) {
    return cluster.conninfo(source).for_control(database).environment();
}

/// What must exist before rows are applied: primary keys and replica identities.
struct EarlyIndexes {
    std::set<std::string> objects;      ///< "2606 16412" (a constraint), "1259 16420" (an index)
    std::vector<std::string> attached;  ///< " INDEX ATTACH public a_pkey "
};

asio::awaitable<EarlyIndexes> early_indexes(PgConnection& source) {
    const PgResult result = co_await source.query(
        "SELECT coalesce(k.oid, c.oid), k.oid IS NOT NULL, n.nspname, c.relname FROM pg_index i "
        "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN "
        "('p','u','x') "
        "WHERE i.indisprimary OR i.indisreplident");
    EarlyIndexes early;
    for (int i = 0; i < result.rows(); ++i) {
        early.objects.insert(fmt::format("{} {}", result.as<bool>(i, 1) ? 2606 : 1259, result.get(i, 0)));
        early.attached.push_back(fmt::format(" INDEX ATTACH {} {} ", result.get(i, 2), result.get(i, 3)));
    }
    co_return early;
}

/// A line of pg_restore's list: "3456; 2606 16412 CONSTRAINT public accounts accounts_pkey owner".
bool is_early(const std::string& line, const EarlyIndexes& early) {
    const auto semicolon = line.find("; ");
    if (semicolon == std::string::npos) return false;
    std::istringstream words(line.substr(semicolon + 2));
    std::string catalog;
    std::string object;
    words >> catalog >> object;
    if (early.objects.contains(catalog + " " + object)) return true;
    return std::any_of(early.attached.begin(), early.attached.end(),
                       [&](const std::string& part) { return line.find(part) != std::string::npos; });
}

/// Publications and event triggers of turnout's own are made by turnout, on each side its own.
bool is_ours(const std::string& line) {
    if (line.find(" EVENT TRIGGER ") != std::string::npos && line.find(" turnout_") != std::string::npos) return true;
    return line.find(" PUBLICATION ") != std::string::npos &&
           (line.find(names::kTablesPublication) != std::string::npos ||
            line.find(names::kMarkerPublication) != std::string::npos);
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        lines.emplace_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return lines;
}

/// It is there already: an earlier sync made it.
bool is_repetition(const PgError& error) {
    constexpr std::string_view kDuplicates[] = {"42P07", "42710", "42P16", "42723", "42P06"};
    return error.refused() &&
           std::find(std::begin(kDuplicates), std::end(kDuplicates), error.sqlstate()) != std::end(kDuplicates);
}

/// A foreign key locks two tables, and the apply worker, which goes on meanwhile, may lock them the other way round.
/// The server then refuses one of the two: the worker begins again by itself, and so does this.
asio::awaitable<void> restore_entry(PgConnection& target, const std::string& statement) {
    constexpr std::string_view kDeadlock = "40P01";
    constexpr int kTries = 20;
    for (int tries = 1;; ++tries) {
        try {
            co_await target.query_by(Clock::time_point::max(), statement);
            co_return;
        } catch (const PgError& error) {
            if (is_repetition(error)) co_return;
            if (error.sqlstate() != kDeadlock || tries == kTries) throw;
        }
    }
}

/// From 15 on the schema `public` belongs to whoever owns the database, and nobody else may make anything in it. A dump
/// says nothing of that; an older server begins otherwise.
asio::awaitable<void> make_public_as_from_15_on(PgConnection& target) {
    const PgResult commands = co_await target.query(
        "SELECT format('ALTER SCHEMA public OWNER TO %I; REVOKE CREATE ON SCHEMA public FROM PUBLIC', coalesce((SELECT "
        "rolname FROM pg_roles WHERE rolname = 'pg_database_owner'), pg_get_userbyid(datdba))) FROM pg_database, "
        "pg_namespace WHERE datname = current_database() AND nspname = 'public'");
    if (commands.empty()) co_return;
    const auto script = commands.as<std::string>(0, 0);
    co_await target.query_by(Clock::time_point::max(), script);
}

}  // namespace

std::string without_client_lines(std::string_view script) {
    std::string kept;
    for (const std::string& line : lines_of(script)) {
        if (line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ")) continue;
        if (line == "SET transaction_timeout = 0;") continue;
        kept += line + "\n";
    }
    return kept;
}

std::vector<std::string> split_entries(std::string_view script) {
    std::vector<std::string> entries;
    for (std::size_t begin = 0; begin < script.size();) {
        const std::size_t end = std::min(script.find(kEntryMark, begin + 1), script.size());
        entries.emplace_back(script.substr(begin, end - begin));
        begin = end;
    }
    return entries;
}

asio::awaitable<std::unique_ptr<SchemaCopy>> SchemaCopy::dump(const Cluster& cluster, Side source, std::string database,
                                                              PgTools tools) {
    std::unique_ptr<SchemaCopy> copy(new SchemaCopy(database, std::move(tools), other(source)));
    std::vector<std::string> arguments;
    for (const char* argument : {"--format=custom", "--schema-only", "--no-subscriptions", "--no-tablespaces",
                                 "--exclude-schema=turnout", "--no-password", "--lock-wait-timeout=30s"}) {
        arguments.emplace_back(argument);
    }
    arguments.push_back("--file=" + copy->archive_.path());
    co_await run_program(copy->tools_.folder / "pg_dump", std::move(arguments),
                         dump_environment(cluster, source, database));
    co_return copy;
}

asio::awaitable<std::vector<std::string>> SchemaCopy::contents(std::string section) {
    std::vector<std::string> arguments;
    arguments.emplace_back("--list");
    arguments.push_back("--section=" + section);
    arguments.push_back(archive_.path());
    const std::string list =
        co_await run_program(tools_.folder / "pg_restore", std::move(arguments), Conninfo::Parameters());
    std::vector<std::string> entries;
    for (std::string& line : lines_of(list)) {
        if (!line.empty() && line[0] != ';' && !is_ours(line)) entries.push_back(std::move(line));
    }
    co_return entries;
}

asio::awaitable<std::string> SchemaCopy::script(std::vector<std::string> entries) {
    PrivateFile list;
    std::string text;
    for (const std::string& entry : entries) text += entry + "\n";
    list.write(text);
    std::vector<std::string> arguments;
    arguments.emplace_back("--file=-");
    arguments.emplace_back("--no-tablespaces");
    arguments.push_back("--use-list=" + list.path());
    arguments.push_back(archive_.path());
    const std::string sql =
        co_await run_program(tools_.folder / "pg_restore", std::move(arguments), Conninfo::Parameters());
    co_return without_client_lines(sql);
}

asio::awaitable<void> SchemaCopy::restore_before(const Cluster& cluster, PgConnection& source) {
    const EarlyIndexes early = co_await early_indexes(source);
    std::vector<std::string> entries = co_await contents("pre-data");
    for (std::string& entry : co_await contents("post-data")) {
        if (is_early(entry, early)) entries.push_back(std::move(entry));
    }
    if (entries.empty()) co_return;
    const std::string sql = co_await script(std::move(entries));
    const PgConnection::Ptr target = co_await cluster.connect(target_, database_);
    if (source.server_major() >= 15 && target->server_major() < 15) co_await make_public_as_from_15_on(*target);
    co_await target->query_by(Clock::time_point::max(), sql);
}

asio::awaitable<void> SchemaCopy::restore_after(const Cluster& cluster, PgConnection& source) {
    const EarlyIndexes early = co_await early_indexes(source);
    std::vector<std::string> entries = co_await contents("post-data");
    std::erase_if(entries, [&](const std::string& entry) { return is_early(entry, early); });
    if (entries.empty()) co_return;
    const std::string sql = co_await script(std::move(entries));
    const PgConnection::Ptr target = co_await cluster.connect(target_, database_);
    for (const std::string& statement : split_entries(sql)) co_await restore_entry(*target, statement);
}

}  // namespace turnout::control
