// Checks that compare the databases of the two sides.
#include <fmt/format.h>

#include <map>
#include <set>

#include "control/catalog.hpp"
#include "control/names.hpp"
#include "control/preflight_checks.hpp"
#include "control/replication.hpp"

namespace turnout::control::checks {

namespace {

/// A server starts a stream that was turned round only after its wal_retrieve_retry_interval (5 s).
constexpr Milliseconds kProbePatience{10'000};
constexpr Milliseconds kGapPatience{3'000};

/// Text that may change a session's state behind a plain SELECT: sources of functions, policies, defaults and views.
constexpr const char* kTexts = R"(
SELECT 'function ' || p.oid::regprocedure, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname NOT IN ('information_schema', 'turnout') AND n.nspname !~ '^pg_' AND p.prolang <> 13
   AND p.prosrc ~* 'set_config|current_setting|\mSET\M|advisory_lock|\mLISTEN\M|\mPREPARE\M|setseed|\mTEMP'
UNION ALL
SELECT 'policy ' || quote_ident(polname), concat(pg_get_expr(polqual, polrelid), ' ', pg_get_expr(polwithcheck, polrelid))
 FROM pg_policy WHERE concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) ~ '_setting|set_config'
UNION ALL
SELECT 'default of ' || adrelid::regclass, pg_get_expr(adbin, adrelid) FROM pg_attrdef
 WHERE adrelid >= 16384 AND pg_get_expr(adbin, adrelid) ~ '_setting|set_config'
UNION ALL
SELECT 'view ' || c.oid::regclass, pg_get_viewdef(c.oid) FROM pg_class c
 WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384 AND pg_get_viewdef(c.oid) ~ '_setting|set_config')";

/// Settings that end with the transaction are taken out, then what is left is looked at.
constexpr const char* kScan = R"(
WITH t AS (SELECT $1::text AS source),
     lasting AS (SELECT regexp_replace(source, 'set_config\s*\([^;]*?,\s*(true|''t''|''true'')\s*\)', '', 'gi') AS source FROM t)
SELECT (SELECT source ~* 'set_config'
          OR source ~* '(^|[;'']|\m(BEGIN|THEN|ELSE|LOOP)\M)\s*SET\s+(?!LOCAL\M|CONSTRAINTS\M|TRANSACTION\M)'
          OR source ~* 'pg_(try_)?advisory_lock' OR source ~* '\mLISTEN\M' OR source ~* '\mPREPARE\M\s+\w+'
          OR source ~* 'setseed' OR source ~* '\mCREATE\s+(LOCAL\s+)?TEMP' FROM lasting),
       (SELECT coalesce(string_agg(DISTINCT lower(m[1]), ' '), '')
          FROM t, regexp_matches(source, '(?:set_config|current_setting)\s*\(\s*''([a-z_][a-z0-9_]*\.[a-z0-9_.]+)''', 'gi') m))";

/// Types of users that columns have, with their OIDs.
constexpr const char* kTypes = R"(
SELECT DISTINCT format_type(t.oid, NULL), t.oid::bigint FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped AND t.oid >= 16384
  AND n.nspname NOT IN ('information_schema', 'turnout') AND n.nspname !~ '^pg_')";

Findings uncarried_findings(const std::vector<Uncarried>& uncarried) {
    Findings found;
    std::map<std::pair<std::string, std::string>, Finding> by_sentence;
    for (const Uncarried& table : uncarried) {
        Finding& one = by_sentence[{table.database, table.sentence}];
        one.severity = Severity::refuse;
        one.database = table.database;
        one.sentence = fmt::format("{}: a table {}", table.database, table.sentence);
        one.remedy = table.remedy;
        one.objects.push_back(table.table);
    }
    for (auto& [key, one] : by_sentence) {
        found.push_back(finding(one.severity, one.database, one.objects, one.sentence, one.remedy));
    }
    return found;
}

std::vector<std::string> as_objects(const std::vector<SchemaDifference>& differences) {
    std::vector<std::string> objects;
    for (const SchemaDifference& one : differences) objects.push_back(one.object + " " + one.sentence);
    return objects;
}

}  // namespace

asio::awaitable<Findings> extensions(Context& context) {
    Findings found;
    PgConnection& standby = context.server(context.standby());
    const PgResult rows = co_await standby.query("SELECT name, default_version FROM pg_available_extensions");
    std::map<std::string, std::string> available;
    for (int i = 0; i < rows.rows(); ++i) available[rows.as<std::string>(i, 0)] = rows.as<std::string>(i, 1);
    for (const auto& database : context.databases) {
        std::vector<std::string> missing;
        const PgResult used = co_await database.source->query("SELECT extname FROM pg_extension ORDER BY 1");
        for (int i = 0; i < used.rows(); ++i) {
            if (!available.contains(used.as<std::string>(i, 0))) missing.push_back(used.as<std::string>(i, 0));
        }
        if (missing.empty()) continue;
        const std::string remedy = fmt::format("install the package that brings {} for PostgreSQL {} on {}", missing[0],
                                               standby.server_major(), turnout::name(context.standby()));
        found.push_back(finding(
            Severity::refuse, database.name, missing,
            fmt::format("{} uses extensions that {} does not have", database.name, turnout::name(context.standby())),
            remedy));
    }
    co_return found;
}

/// The same extension in another version may behave otherwise; most are newer with a newer major.
asio::awaitable<Findings> extension_versions(Context& context) {
    static constexpr const char* kInstalled = "SELECT extname, extversion FROM pg_extension ORDER BY 1";
    Findings found;
    for (const auto& database : context.databases) {
        if (!database.target) continue;
        const PgResult here = co_await database.source->query(kInstalled);
        const PgResult there = co_await database.target->query(kInstalled);
        std::map<std::string, std::string> versions;
        for (int i = 0; i < there.rows(); ++i) versions[there.as<std::string>(i, 0)] = there.as<std::string>(i, 1);
        std::vector<std::string> differing;
        for (int i = 0; i < here.rows(); ++i) {
            const auto twin = versions.find(here.as<std::string>(i, 0));
            if (twin == versions.end() || twin->second == here.get(i, 1)) continue;
            differing.push_back(fmt::format("{} {} on {}, {} on {}", here.get(i, 0), here.get(i, 1),
                                            turnout::name(context.active()), twin->second,
                                            turnout::name(context.standby())));
        }
        if (differing.empty()) continue;
        found.push_back(
            finding(Severity::warn, database.name, std::move(differing),
                    database.name + ": extensions have other versions on the other side",
                    "ALTER EXTENSION … UPDATE on the side that is behind, if its package has that version"));
    }
    co_return found;
}

asio::awaitable<Findings> schema(Context& context) {
    Findings found;
    for (const auto& database : context.databases) {
        if (!database.target) continue;
        Schema schemas[2];
        schemas[index(context.active())] = co_await read_schema(*database.source);
        schemas[index(context.standby())] = co_await read_schema(*database.target);
        std::vector<std::string> objects = as_objects(compare(schemas[0], schemas[1]));
        if (objects.empty()) continue;
        found.push_back(finding(Severity::refuse, database.name, std::move(objects),
                                fmt::format("the schema of {} differs between the sides", database.name),
                                "run the same DDL on the side that lacks it, then turnout sync"));
    }
    co_return found;
}

asio::awaitable<Findings> details(Context& context) {
    Findings found;
    for (const auto& database : context.databases) {
        if (!database.target) continue;
        Schema details[2];
        details[index(context.active())] = co_await read_details(*database.source);
        details[index(context.standby())] = co_await read_details(*database.target);
        std::vector<std::string> objects = as_objects(compare_details(std::move(details[0]), std::move(details[1])));
        if (objects.empty()) continue;
        found.push_back(finding(
            Severity::warn, database.name, std::move(objects),
            fmt::format("storage parameters, statistics or comments of {} differ between the sides", database.name),
            "run the same DDL on the side that lacks it, if it is not meant so"));
    }
    co_return found;
}

/// Both directions stand: the way forth whole and streaming, the way back probing.
asio::awaitable<Findings> streams(Context& context) {
    Findings found;
    for (const auto& database : context.databases) {
        if (!database.target) continue;
        for (const bool forth : {true, false}) {
            PgConnection& subscriber = forth ? *database.target : *database.source;
            PgConnection& source = forth ? *database.source : *database.target;
            const std::string way = fmt::format("the stream of {} from {} to {}", database.name,
                                                turnout::name(source.side()), turnout::name(subscriber.side()));
            const std::optional<Stream> stream = co_await find_stream(subscriber);
            std::string trouble;
            // A server starts a stream that was turned round only after its wal_retrieve_retry_interval (5 s): a switch
            // waits for that.
            Severity severity = Severity::refuse;
            if (!stream) {
                trouble = "does not exist";
            } else if (!stream->enabled) {
                trouble = "is disabled";
            } else if (forth && stream->narrowed) {
                trouble = "carries the marker only";
            } else {
                const PgResult slot = co_await source.query(
                    "SELECT r.state FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = "
                    "s.active_pid "
                    "WHERE s.slot_name = $1",
                    stream->slot);
                if (slot.empty())
                    trouble = "has lost its slot";
                else if (slot.get(0, 0) != "streaming") {
                    trouble = "does not run at present: if it stays so, the server's log tells why";
                    severity = Severity::warn;
                }
            }
            if (trouble.empty()) continue;
            if (!forth && context.input.no_way_back) severity = Severity::warn;
            found.push_back(finding(severity, database.name, {}, way + " " + trouble, "turnout sync"));
        }
    }
    co_return found;
}

/// Each row that turnout sends on its way, where it is sent from, and the one that comes back where it arrives. Where
/// that of the active side arrives, `gaps` looks.
asio::awaitable<Findings> markers(Context& context) {
    Findings found;
    for (const auto& database : context.databases) {
        if (!database.target) continue;
        const std::vector<std::pair<PgConnection*, Side>> places{{database.source.get(), context.active()},
                                                                 {database.source.get(), context.standby()},
                                                                 {database.target.get(), context.standby()}};
        for (const auto& [connection, of] : places) {
            const std::string table = names::qualified_marker_table(of);
            const PgResult there = co_await connection->query("SELECT to_regclass($1) IS NOT NULL", table);
            std::string trouble = "is missing";
            if (there.as<bool>(0, 0)) {
                const PgResult row = co_await connection->query(fmt::format("SELECT FROM {} WHERE id = 1", table));
                if (!row.empty()) continue;
                trouble = "has lost its row";
            }
            found.push_back(finding(Severity::refuse, database.name, {table},
                                    fmt::format("{} on {}: turnout's marker table {} {}", database.name,
                                                turnout::name(connection->side()), table, trouble),
                                    there.as<bool>(0, 0) ? "turnout sync" : "turnout abort, then turnout sync"));
        }
    }
    co_return found;
}

/// Looked for before anything sends a beat of the active side.
asio::awaitable<Findings> gaps(Context& context) {
    Findings found;
    for (const auto& database : context.databases) {
        if (!database.target) continue;
        const std::optional<Stream> stream = co_await find_stream(*database.target);
        if (!stream || !stream->enabled || stream->narrowed) continue;
        if (!co_await has_gap(*database.source, *database.target, *stream, Clock::now() + kGapPatience)) continue;
        found.push_back(finding(
            Severity::refuse, database.name, {database.name},
            fmt::format("{} on {} lacks rows that were carried there before: it was restored from an older copy",
                        database.name, turnout::name(context.standby())),
            "turnout abort, then turnout sync"));
    }
    co_return found;
}

/// A row goes the whole way: what is only set up has often never worked.
asio::awaitable<Findings> way_back(Context& context) {
    Findings found;
    for (const auto& database : context.databases) {
        if (!database.target) continue;
        const std::optional<Stream> stream = co_await find_stream(*database.source);
        if (!stream || !stream->enabled) continue;
        std::string failure;
        try {
            co_await probe(*database.target, *database.source, Clock::now() + kProbePatience);
        } catch (const PgError& error) {
            failure = error.fields().message;
        }
        if (failure.empty()) continue;
        found.push_back(finding(
            context.input.no_way_back ? Severity::warn : Severity::refuse, database.name, {database.name},
            fmt::format("the way back of {} does not carry: {}", database.name, failure),
            fmt::format("see the log of {} for what its subscription {} meets; or go without it: switch --no-way-back",
                        turnout::name(context.active()), stream->subscription)));
    }
    co_return found;
}

asio::awaitable<Findings> carried(Context& context) {
    std::vector<Uncarried> all;
    for (const auto& database : context.databases) {
        if (!database.target) continue;
        for (Uncarried& one : co_await find_uncarried(*database.source, *database.target))
            all.push_back(std::move(one));
        if (context.input.no_way_back) continue;
        for (Uncarried& one : co_await find_uncarried(*database.target, *database.source))
            all.push_back(std::move(one));
    }
    co_return uncarried_findings(all);
}

asio::awaitable<Findings> type_oids(Context& context) {
    Findings found;
    for (const auto& database : context.databases) {
        if (!database.target) continue;
        const PgResult here = co_await database.source->query(kTypes);
        const PgResult there = co_await database.target->query(kTypes);
        std::map<std::string, std::string> oids;
        for (int i = 0; i < there.rows(); ++i) oids[there.as<std::string>(i, 0)] = there.as<std::string>(i, 1);
        std::vector<std::string> differing;
        for (int i = 0; i < here.rows(); ++i) {
            const auto twin = oids.find(here.as<std::string>(i, 0));
            if (twin != oids.end() && twin->second != here.get(i, 1)) differing.push_back(here.as<std::string>(i, 0));
        }
        if (differing.empty()) continue;
        found.push_back(finding(Severity::warn, database.name, std::move(differing),
                                fmt::format("{}: types have other OIDs on the other side: drivers that cache OIDs may "
                                            "misread their values after a switch",
                                            database.name),
                                "let such clients reconnect after the switch"));
    }
    co_return found;
}

asio::awaitable<Findings> hidden_state(Context& context) {
    Findings found;
    std::set<std::string> settings;
    for (const auto& database : context.databases) {
        const PgResult texts = co_await database.source->query(kTexts);
        std::vector<std::string> objects;
        for (int i = 0; i < texts.rows(); ++i) {
            const PgResult scan = co_await database.source->query(kScan, texts.get(i, 1));
            if (scan.as<bool>(0, 0)) objects.push_back(texts.as<std::string>(i, 0));
            const std::string names = scan.as<std::string>(0, 1);
            for (std::size_t begin = 0; begin < names.size();) {
                const std::size_t end = std::min(names.find(' ', begin), names.size());
                settings.insert(names.substr(begin, end - begin));
                begin = end + 1;
            }
        }
        if (objects.empty()) continue;
        context.report.hidden_state = true;
        found.push_back(
            finding(Severity::warn, database.name, std::move(objects),
                    fmt::format("{}: what a session keeps can change behind a plain statement: every session "
                                "that spoke is read again before it moves",
                                database.name),
                    ""));
    }
    context.report.setting_names.assign(settings.begin(), settings.end());
    co_return found;
}

}  // namespace turnout::control::checks
