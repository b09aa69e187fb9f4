#include "tests/regression/copies.hpp"

#include <boost/json.hpp>
#include <chrono>

#include "bench/pq.hpp"

namespace turnout::regression {
namespace {

constexpr std::chrono::milliseconds kPace{100};  // the tests want their share of the machine

/// Tables without a key are replicated by their whole rows.
constexpr const char* kReplicaIdentity = R"(
DO $$
DECLARE t regclass;
BEGIN
  FOR t IN SELECT oid FROM pg_class c WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
           AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
  LOOP EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', t); END LOOP;
END $$)";

}  // namespace

std::vector<std::pair<std::string, std::string>> copies_settings() {
    return {{"wal_retrieve_retry_interval", "100ms"}};
}

void prepare(const support::Cluster& server, const SuiteFiles& files) {
    create_database(server, Suite::regress);
    run_suite(Suite::regress, files, server.port(), server.directory() / "prepare", {.tests = {"test_setup"}});
    server.execute(kReplicaIdentity, database_of(Suite::regress));
}

Copies::Copies(const support::Cluster& prepared, const SuiteFiles& files, const std::filesystem::path& program)
    : standby_(std::make_unique<support::Cluster>(support::ClusterOptions{
          .major = files.major, .name = "copy", .settings = copies_settings(), .fsync = false})),
      turnout_(std::make_unique<bench::Served>(
          bench::ServedOptions{.program = program,
                               .blue = prepared.conninfo(""),
                               .green = standby_->conninfo(""),
                               .databases = {database_of(Suite::regress)},
                               .lines = {{"auth", "method = \"trust\""}, {"switch", "deadline = \"5s\""}},
                               .parent = {}})) {
    turnout_->report({"sync"});
    // Statistics are not replicated, and the tests look at plans.
    standby_->execute("VACUUM ANALYZE", database_of(Suite::regress));
}

void Copies::start() {
    thread_ = std::thread([this] { run(); });
}

void Copies::halt() {
    ending_ = true;
    if (thread_.joinable()) thread_.join();
}

CopiesTotals Copies::stop() {
    halt();
    return totals_;
}

void Copies::run() {
    const char* verbs[] = {"switch", "rollback"};
    while (!ending_) {
        const bench::Exit exit = turnout_->run({verbs[totals_.switches % 2], "--yes", "--json"});
        if (exit.done()) {
            totals_.switches = ++switches_;
            const boost::json::value report = boost::json::parse(exit.out);
            totals_.moved += report.at("sessions").at("moved").to_number<std::uint64_t>();
        } else {
            ++totals_.refused;
            totals_.last_refusal = exit.out + exit.err;
            if (!turnout_->running()) {
                totals_.last_refusal += "\nturnout serve has ended; its log:\n" + turnout_->log();
                return;
            }
        }
        std::this_thread::sleep_for(kPace);
    }
}

}  // namespace turnout::regression
