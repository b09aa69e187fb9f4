// Clients that replicate: the walsender's protocol passes through as it is, and a switch ends it instead of waiting.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSchema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)";

class Replication : public testing::Test {
  protected:
    Replication()
        : pair_({.schema = kSchema,
                 .auth = support::ClusterAuth::scram,
                 .hba = {"local replication all trust", "host replication all 127.0.0.1/32 scram-sha-256"}}) {
        pair_.blue().execute("ALTER ROLE app REPLICATION");
    }

    static std::string program(const char* name) { return bench::client_program(name); }
    std::vector<std::string> as_app() {
        return {"-h", "127.0.0.1", "-p", std::to_string(pair_.turnout().port()), "-U", Pair::kRole};
    }
    bench::Program::Options run(const char* name, std::vector<std::string> arguments) {
        std::vector<std::string> all{program(name)};
        for (const std::string& word : as_app()) all.push_back(word);
        for (std::string& word : arguments) all.push_back(std::move(word));
        return {.arguments = std::move(all), .environment = {{"PGPASSWORD", Pair::kPassword}}};
    }

    Pair pair_;
};

TEST_F(Replication, CommandsOfTheWalsenderPass) {
    const bench::Connection physical =
        bench::connect(bench::with(bench::with(pair_.conninfo(), "replication", "true"), "dbname", "ignored"));
    const bench::Result identity = bench::run(physical.get(), "IDENTIFY_SYSTEM");
    EXPECT_EQ(bench::field(identity, 0, 0), pair_.blue().value("SELECT system_identifier FROM pg_control_system()"));
    EXPECT_EQ(bench::field(identity, 0, 3), "") << "no database";
    const bench::Connection logical = bench::connect(bench::with(pair_.conninfo(), "replication", "database"));
    EXPECT_EQ(bench::field(bench::run(logical.get(), "IDENTIFY_SYSTEM"), 0, 3), "app");
    EXPECT_EQ(bench::value(logical.get(), "SELECT count(*) FROM things"), "0") << "and SQL besides";
}

TEST_F(Replication, ChangesStreamThroughUntilASwitchEndsThem) {
    bench::must_run(run("pg_recvlogical", {"-d", "app", "-S", "changes", "-P", "test_decoding", "--create-slot"}));
    bench::Program stream(run("pg_recvlogical", {"-d", "app", "-S", "changes", "--start", "-f", "-", "-n", "-F", "0"}));
    const bench::Connection writer = pair_.connect();
    bench::run(writer.get(), "INSERT INTO things (note) VALUES ('through the proxy')");
    ASSERT_TRUE(stream.read_until([](const std::string&, const std::string& out) {
        return out.find("through the proxy") != std::string::npos;
    })) << stream.wait().err;
    pair_.sync();
    const boost::json::object report = pair_.change();
    EXPECT_EQ(report.at("outcome").as_string(), "switched");
    EXPECT_EQ(report.at("attempts").to_number<int>(), 1) << "nobody waits for a stream that never ends";
    EXPECT_GE(report.at("sessions").as_object().at("ended").to_number<int>(), 1);
    const bench::Exit exit = stream.wait();
    EXPECT_NE(exit.status, 0);
    EXPECT_NE(exit.err.find("switched to another server"), std::string::npos) << exit.err;
    EXPECT_EQ(bench::number(writer.get(), "SELECT count(*) FROM things"), 1) << "the others have moved";
    pair_.blue().execute("SELECT pg_drop_replication_slot('changes')");
}

TEST_F(Replication, PhysicalWalStreamsThroughAsItIsThere) {
    const fs::path folder = fs::temp_directory_path() / ("turnout_wal_" + std::to_string(::getpid()));
    fs::remove_all(folder);
    fs::create_directories(folder);
    bench::Program receiver(run("pg_receivewal", {"-D", folder.string(), "-v", "--synchronous", "-s", "1"}));
    ASSERT_TRUE(receiver.read_until([](const std::string& err, const std::string&) {
        return err.find("starting log streaming") != std::string::npos;
    }));
    // It begins with the file that is being written now; the next one is complete.
    const std::string segment = pair_.blue().value("SELECT pg_walfile_name(pg_current_wal_lsn())");
    pair_.blue().execute(
        "SELECT pg_logical_emit_message(false, 'turnout', repeat('x', 1000000)); SELECT pg_switch_wal()");
    eventually([&] { return fs::exists(folder / segment); }, "the segment");
    const std::string compare = "cmp '" + (folder / segment).string() + "' '" +
                                (pair_.blue().directory() / "data" / "pg_wal" / segment).string() + "'";
    EXPECT_EQ(std::system(compare.c_str()), 0) << compare;
    receiver.signal(SIGINT);
    EXPECT_EQ(receiver.wait().status, 0);
    fs::remove_all(folder);
}

}  // namespace
}  // namespace turnout::integration
