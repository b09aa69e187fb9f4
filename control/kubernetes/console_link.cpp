#include "control/kubernetes/console_link.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <stdexcept>
#include <utility>

#include "control/kubernetes/fields.hpp"
#include "control/pg_error.hpp"

namespace turnout::kubernetes {

namespace asio = boost::asio;
namespace json = boost::json;
using control::Clock;
using control::Conninfo;
using control::PgConnection;
using control::PgError;
using turnout::Side;
using namespace std::chrono_literals;

namespace {

constexpr auto kPatience = 10s;
/// A first copy may take days; deadlines of its own bound a switch.
constexpr auto kVerbPatience = std::chrono::hours(24 * 30);

Conninfo conninfo(const Endpoint& endpoint, const Credentials& credentials, std::string_view database) {
    return Conninfo::parse("host=" + endpoint.host + " port=" + std::to_string(endpoint.port))
        .with("user", credentials.username)
        .with("password", credentials.password)
        .with("dbname", database)
        .with("sslmode", endpoint.sslmode)
        .with("gssencmode", "disable")
        .with("application_name", "turnout-operator")
        .with("keepalives_idle", "10")
        .with("keepalives_interval", "5")
        .with("keepalives_count", "4");
}

json::object parse(std::string_view text) {
    boost::system::error_code error;
    json::value parsed = json::parse(text, error);
    if (error || !parsed.is_object()) throw std::runtime_error("the console answered with what is no JSON object");
    return std::move(parsed.get_object());
}

std::string text_of(const PgError& error) {
    const PgError::Fields& fields = error.fields();
    std::string text = fields.message;
    if (!fields.detail.empty() && fields.detail.front() != '{') text += ". " + fields.detail;
    if (!fields.hint.empty()) text += ". " + fields.hint;
    return text;
}

/// A failed switch carries its report as the error's detail.
std::string problems_of(const std::string& detail) {
    if (!detail.starts_with('{')) return {};
    boost::system::error_code error;
    const json::value report = json::parse(detail, error);
    std::string text;
    if (error || !report.is_object()) return text;
    for (const json::value& problem : array_in(report.get_object(), {"problems"}))
        if (problem.is_string()) text.append("; ").append(problem.get_string().c_str());
    return text;
}

/// A report of a switch that was made.
bool has_window(const json::object& report) {
    const json::value* const window = report.if_contains("window_us");
    return window != nullptr && window->is_int64() && text_in(report, {"outcome"}) != "rehearsed";
}

/// "replica_identity: app: tables without a replica identity (public.t): ALTER TABLE ...".
std::string refusal_of(const json::object& finding) {
    std::string text = text_in(finding, {"check"}) + ": ";
    if (const std::string database = text_in(finding, {"database"}); !database.empty()) text += database + ": ";
    text += text_in(finding, {"sentence"});
    std::string objects;
    for (const json::value& object : array_in(finding, {"objects"}))
        if (object.is_string()) objects.append(objects.empty() ? "" : ", ").append(object.get_string().c_str());
    if (!objects.empty()) text += " (" + objects + ")";
    if (const std::string remedy = text_in(finding, {"remedy"}); !remedy.empty()) text += ": " + remedy;
    return text;
}

}  // namespace

TurnoutStatus read_status(std::string_view text) {
    const json::object object = parse(text);
    TurnoutStatus status;
    status.phase = text_in(object, {"phase"});
    if (status.phase.empty()) throw std::runtime_error("the console's status has no phase");
    status.active = text_in(object, {"active"});
    status.generation = number_in(object, {"generation"});
    status.running = text_in(object, {"running"});
    status.progress = text_in(object, {"progress"});
    status.watching = object.contains("watching");
    for (const auto& [database, bytes] : object_in(object, {"lag_bytes"})) {
        const std::int64_t lag = bytes.is_int64() ? bytes.get_int64() : 0;
        status.lag_bytes = std::max(status.lag_bytes.value_or(0), lag);
    }
    const std::string reason = text_in(object, {"reason"});
    const std::string hint = text_in(object, {"hint"});
    status.trouble = reason.empty() ? hint : hint.empty() ? reason : reason + ": " + hint;
    return status;
}

VerbResult read_answer(Verb verb, std::string_view text) {
    VerbResult result;
    result.verb = verb;
    result.done = true;
    boost::system::error_code error;
    const json::value parsed = json::parse(text, error);
    if (error) return result;
    if (verb == Verb::check) {
        const json::array& findings =
            parsed.is_array() ? parsed.get_array() : array_in(parsed.as_object(), {"findings"});
        for (const json::value& finding : findings)
            if (finding.is_object() && text_in(finding.get_object(), {"severity"}) == "refuse")
                result.refusals.push_back(refusal_of(finding.get_object()));
    }
    if (const json::object* const whole = parsed.if_object(); whole != nullptr && has_window(*whole)) {
        const json::object& report = *whole;
        const json::object& watch = object_in(report, {"watch"});
        if (const json::value* const back = watch.if_contains("rolled_back"); back != nullptr && *back == true)
            result.undone = text_in(watch, {"reason"});
        result.window = Window{number_in(report, {"window_us"}), number_in(report, {"generation"}),
                               text_in(report, {"from"}), text_in(report, {"to"}), text_in(report, {"report"})};
    }
    return result;
}

asio::awaitable<TurnoutStatus> show_status(Endpoint console, Credentials credentials, std::int64_t known) {
    const auto deadline = Clock::now() + kPatience;
    Conninfo way = conninfo(console, credentials, "turnout");
    const auto connection = co_await PgConnection::open(std::move(way), Side::blue, deadline);
    const control::PgResult answer = co_await connection->query_by(deadline, "SHOW STATUS AS JSON");
    TurnoutStatus status = read_status(answer.get(0, 0));
    if (status.generation <= 1 || status.generation == known) co_return status;
    const control::PgResult report = co_await connection->query_by(deadline, "SHOW SWITCH AS JSON");
    if (!report.empty()) status.window = read_answer(Verb::switch_over, report.get(0, 0)).window;
    // A later attempt that was given up, or a proxy that was started since, tells of another one, or of none.
    if (status.window && status.window->generation != status.generation) status.window.reset();
    co_return status;
}

asio::awaitable<VerbResult> run_verb(Endpoint console, Credentials credentials, Verb verb, std::string command) {
    VerbResult failed;
    failed.verb = verb;
    try {
        Conninfo way = conninfo(console, credentials, "turnout");
        const auto connection = co_await PgConnection::open(std::move(way), Side::blue, Clock::now() + kPatience);
        const std::string text = command + " AS JSON";
        const control::PgResult answer = co_await connection->query_by(Clock::now() + kVerbPatience, text);
        co_return read_answer(verb, answer.empty() ? std::string_view("null") : answer.get(0, 0));
    } catch (const PgError& error) {
        failed.message = text_of(error) + problems_of(error.fields().detail);
    }
    co_return failed;
}

namespace {

std::string row_sql(const Spec& spec) {
    std::string names;
    for (const std::string& database : spec.databases)
        names.append(names.empty() ? "" : ", ").append(PgConnection::literal(database));
    return "SELECT pg_catalog.current_setting('wal_level'), pg_catalog.current_setting('is_superuser'), "
           "(SELECT pg_catalog.string_agg(wanted, ', ') FROM pg_catalog.unnest(ARRAY[" +
           names +
           "]::text[]) wanted WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = wanted)), "
           "pg_catalog.pg_is_in_recovery()";
}

void judge(std::vector<SpecProblem>& problems, const control::PgResult& row, int major, const Spec& spec) {
    if (row.get(0, 0) != "logical")
        problems.push_back({"spec.olddbhost", "the server's wal_level is '" + std::string(row.get(0, 0)) +
                                                  "': ALTER SYSTEM SET wal_level = 'logical', and restart it"});
    if (row.get(0, 1) != "on")
        problems.push_back(
            {"spec.credentials.secretName", "the role it names is no superuser of the old server: name one that is"});
    if (!row.is_null(0, 2))
        problems.push_back({"spec.databases", "the old server has no database " + std::string(row.get(0, 2)) +
                                                  ": correct the list, or create it"});
    if (row.get(0, 3) == "t")
        problems.push_back({"spec.olddbhost", "the server is a physical standby: name the primary"});
    if (spec.major && *spec.major < major)
        problems.push_back({"spec.image", "the old server is of version " + std::to_string(major) +
                                              ": name an image of that version or a newer one"});
}

}  // namespace

asio::awaitable<std::vector<SpecProblem>> ask_old_server(Endpoint server, Credentials credentials, Spec spec) {
    std::vector<SpecProblem> problems;
    const auto deadline = Clock::now() + kPatience;
    try {
        Conninfo way = conninfo(server, credentials, "postgres");
        const auto connection = co_await PgConnection::open(std::move(way), Side::blue, deadline);
        const std::string sql = row_sql(spec);
        const control::PgResult row = co_await connection->query_by(deadline, sql);
        judge(problems, row, connection->server_major(), spec);
    } catch (const PgError& error) {
        const bool login = error.sqlstate().starts_with("28") ||
                           error.fields().message.find("password authentication failed") != std::string::npos;
        if (login)
            problems.push_back(
                {"spec.credentials.secretName", "the old server does not let the role in: " + error.fields().message});
        else
            problems.push_back({"spec.olddbhost", "the old server at " + server.host + ":" +
                                                      std::to_string(server.port) +
                                                      " cannot be used: " + error.fields().message});
    }
    co_return problems;
}

}  // namespace turnout::kubernetes
