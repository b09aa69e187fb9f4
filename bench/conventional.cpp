#include "bench/conventional.hpp"

#include <fmt/format.h>

#include <map>
#include <stdexcept>

#include "bench/interrupt.hpp"
#include "bench/pq.hpp"
#include "bench/program.hpp"

namespace turnout::bench {

namespace {

Microseconds since(Clock::time_point from) { return std::chrono::duration_cast<Microseconds>(Clock::now() - from); }

std::string as_role(const support::Cluster& server, const ConventionalPlan& plan) {
    const std::string base = fmt::format("host=127.0.0.1 port={}", server.port());
    return with(with(with(base, "user", plan.role), "password", plan.password), "dbname", plan.database);
}

void make_room(const ConventionalPlan& plan) {
    const std::string verifier =
        plan.from->value(fmt::format("SELECT rolpassword FROM pg_authid WHERE rolname = '{}'", plan.role));
    plan.to->execute(fmt::format("CREATE ROLE {} LOGIN PASSWORD '{}'", plan.role, verifier));
    plan.to->execute(fmt::format("CREATE DATABASE {} OWNER {}", plan.database, plan.role));
}

void copy(const ConventionalPlan& plan) {
    // The pipe's first failure is the whole's.
    const std::string script =
        "set -o pipefail; \"$DUMP\" --format=custom --compress=0 \"$FROM\" | "
        "\"$RESTORE\" --exit-on-error --dbname=\"$TO\"";
    must_run({.arguments = {"bash", "-c", script},
              .environment = {{"DUMP", client_program("pg_dump")},
                              {"RESTORE", client_program("pg_restore")},
                              {"FROM", plan.from->conninfo(plan.database)},
                              {"TO", plan.to->conninfo(plan.database)}}});
}

std::map<std::string, std::int64_t> count_rows(const support::Cluster& server, const std::string& database) {
    const Connection connection = connect(server.conninfo(database));
    const Result tables = bench::run(connection.get(),
                                     "SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = "
                                     "c.relnamespace WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', "
                                     "'information_schema') ORDER BY 1");
    std::map<std::string, std::int64_t> counts;
    for (int row = 0; row < PQntuples(tables.get()); ++row) {
        const std::string table{field(tables, row, 0)};
        counts[table] = number(connection.get(), "SELECT count(*) FROM " + table);
    }
    return counts;
}

std::uint64_t verify(const ConventionalPlan& plan) {
    const auto there = count_rows(*plan.from, plan.database);
    const auto here = count_rows(*plan.to, plan.database);
    std::uint64_t rows = 0;
    for (const auto& [table, count] : there) {
        const auto found = here.find(table);
        if (found == here.end() || found->second != count)
            throw std::runtime_error("conventional strategy: the copy of " + table + " differs");
        rows += static_cast<std::uint64_t>(count);
    }
    return rows;
}

void wait_for_first_write(const Ledger& ledger) {
    while (ledger.totals().writes == 0) rest(std::chrono::milliseconds(1));
}

}  // namespace

ConventionalOutcome change_conventionally(const ConventionalPlan& plan) {
    ConventionalOutcome outcome;
    make_room(plan);
    LedgerSettings settings = plan.load;
    settings.conninfo = as_role(*plan.from, plan);
    Ledger before(settings);
    before.start();
    rest(plan.load_time);

    plan.tell("stopping the clients");
    const Clock::time_point stopped = Clock::now();
    before.stop();
    outcome.stop = since(stopped);

    plan.tell("pg_dump into pg_restore");
    const Clock::time_point copying = Clock::now();
    copy(plan);
    outcome.copy = since(copying);

    plan.tell("counting the rows of both sides");
    const Clock::time_point verifying = Clock::now();
    outcome.rows = verify(plan);
    outcome.verify = since(verifying);

    plan.tell("starting the clients on the new side");
    const Clock::time_point starting = Clock::now();
    settings.conninfo = as_role(*plan.to, plan);
    Ledger after(settings);
    after.start();
    wait_for_first_write(after);
    outcome.restart = since(starting);
    outcome.downtime = since(stopped);
    rest(plan.load_time / 2);
    after.stop();
    outcome.totals = before.totals();
    outcome.totals += after.totals();
    outcome.audit = audit({&before, &after}, plan.to->conninfo(plan.database));
    return outcome;
}

}  // namespace turnout::bench
