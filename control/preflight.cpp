#include "control/preflight.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/preflight_checks.hpp"

namespace turnout::control {

namespace checks {

namespace {

constexpr std::size_t kMostObjects = 20;
constexpr std::size_t kMostRemedies = 5;

/// Who is asked, and how the answer is introduced.
struct Target {
    PgConnection* connection;
    std::string database;  ///< empty: the server
    std::string words;     ///< "blue", "app on blue"
};

std::vector<Target> targets(Context& context, Query::Where where) {
    std::vector<Target> all;
    const auto add_server = [&](Side side) {
        all.push_back({&context.server(side), "", std::string(turnout::name(side))});
    };
    const auto add_database = [&](const PgConnection::Ptr& connection, Side side) {
        if (!connection) return;
        all.push_back({connection.get(), connection->database(),
                       fmt::format("{} on {}", connection->database(), turnout::name(side))});
    };
    if (where == Query::Where::active || where == Query::Where::servers) add_server(context.active());
    if (where == Query::Where::standby || where == Query::Where::servers) add_server(context.standby());
    if (where == Query::Where::sources || where == Query::Where::databases) {
        for (const auto& database : context.databases) {
            add_database(database.source, context.active());
            if (where == Query::Where::databases) add_database(database.target, context.standby());
        }
    }
    return all;
}

Finding from_rows(const Query& query, const Target& target, const PgResult& rows) {
    std::vector<std::string> objects;
    std::string remedy;
    for (int i = 0; i < rows.rows(); ++i) {
        objects.push_back(rows.as<std::string>(i, 0));
        if (rows.is_null(i, 1) || static_cast<std::size_t>(i) >= kMostRemedies) continue;
        const std::string_view one = rows.get(i, 1);
        if (remedy.find(one) == std::string::npos) remedy += fmt::format("{}{}", remedy.empty() ? "" : "; ", one);
    }
    if (!remedy.empty() && objects.size() > kMostRemedies) remedy += "; …";
    return finding(query.severity, target.database, std::move(objects),
                   fmt::format("{}: {}", target.words, query.sentence), std::move(remedy));
}

asio::awaitable<Findings> ask(Context& context, const Query& query) {
    Findings found;
    std::vector<std::string> databases = context.cluster.databases();
    for (const Target& target : targets(context, query.where)) {
        if (target.connection->server_major() < query.from_major) continue;
        const bool lists = query.sql.find("$1") != std::string_view::npos;
        PgResult rows;
        if (lists) {
            rows = co_await target.connection->query(query.sql, databases);
        } else {
            rows = co_await target.connection->query(query.sql);
        }
        if (!rows.empty()) found.push_back(from_rows(query, target, rows));
    }
    co_return found;
}

asio::awaitable<Findings> run(Context& context, const Check& check) {
    std::string failure;
    try {
        if (check.query) co_return co_await ask(context, *check.query);
        co_return co_await check.procedure(context);
    } catch (const PgError& error) {
        failure = error.what();
    }
    Findings found;
    found.push_back(finding(Severity::warn, "", {}, "could not be looked at: " + failure, ""));
    co_return found;
}

}  // namespace

Finding finding(Severity severity, std::string database, std::vector<std::string> objects, std::string sentence,
                std::string remedy) {
    if (objects.size() > kMostObjects) {
        const std::size_t more = objects.size() - kMostObjects;
        objects.resize(kMostObjects);
        objects.push_back(fmt::format("and {} more", more));
    }
    return {"", severity, std::move(database), std::move(objects), std::move(sentence), std::move(remedy)};
}

}  // namespace checks

namespace {

constexpr std::string_view kReachable = "reachable";

void add(PreflightReport& report, std::string_view name, std::vector<Finding> found) {
    if (found.empty()) found.push_back(checks::finding(Severity::pass, "", {}, "", ""));
    for (Finding& one : found) {
        one.check = name;
        report.findings.push_back(std::move(one));
    }
}

/// Connects to everything; what cannot be reached is a finding. False: the other checks would have nobody to ask.
asio::awaitable<bool> connect(checks::Context& context) {
    checks::Findings found;
    for (const Side side : {context.active(), context.standby()}) {
        try {
            context.servers[index(side)] = co_await context.cluster.connect_journal(side);
        } catch (const PgError& error) {
            found.push_back(checks::finding(
                Severity::refuse, "", {},
                fmt::format("{} cannot be reached: {}", turnout::name(side), error.fields().message),
                fmt::format("see [side.{}] url, and that the server runs and lets control in", turnout::name(side))));
        }
    }
    if (found.empty()) {
        for (const std::string& name : context.cluster.databases()) {
            checks::Context::Database database;
            database.name = name;
            for (const Side side : {context.active(), context.standby()}) {
                const PgResult there =
                    co_await context.server(side).query("SELECT FROM pg_database WHERE datname = $1", name);
                const bool needed = side == context.active() || context.before_switch();
                if (there.empty() && needed) {
                    found.push_back(
                        checks::finding(Severity::refuse, name, {},
                                        fmt::format("database {} does not exist on {}", name, turnout::name(side)),
                                        side == context.active() ? "correct [switch] databases" : "turnout sync"));
                }
                if (there.empty()) continue;
                auto& connection = side == context.active() ? database.source : database.target;
                connection = co_await context.cluster.connect(side, name);
            }
            context.databases.push_back(std::move(database));
        }
    }
    const bool all = found.empty();
    add(context.report, kReachable, std::move(found));
    co_return all;
}

}  // namespace

std::string_view name(Severity severity) {
    switch (severity) {
        case Severity::pass: return "pass";
        case Severity::warn: return "warn";
        case Severity::refuse: return "refuse";
    }
    return "";
}

bool PreflightReport::refused() const {
    return std::any_of(findings.begin(), findings.end(),
                       [](const Finding& one) { return one.severity == Severity::refuse; });
}

std::vector<Finding> PreflightReport::refusals() const {
    std::vector<Finding> all;
    std::copy_if(findings.begin(), findings.end(), std::back_inserter(all),
                 [](const Finding& one) { return one.severity == Severity::refuse; });
    return all;
}

asio::awaitable<PreflightReport> preflight(const Cluster& cluster, PreflightInput input) {
    PreflightReport report;
    checks::Context context{cluster, input, report, {}, {}};
    std::string failure;
    try {
        if (!co_await connect(context)) co_return report;
    } catch (const PgError& error) {
        failure = error.what();
    }
    if (!failure.empty()) {
        checks::Findings found;
        found.push_back(checks::finding(Severity::refuse, "", {}, failure, ""));
        add(report, kReachable, std::move(found));
        co_return report;
    }
    for (const checks::Check& check : checks::table()) {
        if (context.before_switch() ? !check.before_switch : !check.before_sync) continue;
        checks::Findings found = co_await checks::run(context, check);
        add(report, check.name, std::move(found));
    }
    co_return report;
}

std::vector<std::string_view> preflight_checks() {
    std::vector<std::string_view> names{kReachable};
    for (const checks::Check& check : checks::table()) names.push_back(check.name);
    return names;
}

}  // namespace turnout::control
