#include "tests/replication/servers.hpp"

#include <array>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "control/names.hpp"
#include "control/stream_setup.hpp"

namespace turnout::control::test {

namespace {

int major_from(const char* variable, int otherwise) {
    const char* text = std::getenv(variable);
    return text ? std::atoi(text) : otherwise;
}

std::unique_ptr<support::Cluster> start(Side side) {
    support::ClusterOptions options;
    options.major = side == Side::blue ? major_from("TURNOUT_TEST_BLUE", 15) : major_from("TURNOUT_TEST_GREEN", 17);
    options.name = turnout::name(side);
    options.fsync = false;
    options.settings = {{"max_prepared_transactions", "5"}, {"wal_retrieve_retry_interval", "100ms"}};
    return std::make_unique<support::Cluster>(std::move(options));
}

}  // namespace

support::Cluster& server(Side side) {
    static std::array<std::unique_ptr<support::Cluster>, 2> servers = [] {
        auto blue = std::async(std::launch::async, [] { return start(Side::blue); });
        auto green = start(Side::green);
        return std::array<std::unique_ptr<support::Cluster>, 2>{blue.get(), std::move(green)};
    }();
    return *servers[index(side)];
}

ServersTest::ServersTest() {
    static int count = 0;
    ++count;
    database_ = "app" + std::to_string(count);
    journal_database_ = "journal" + std::to_string(count);
    ClusterSettings settings;
    settings.databases = {database_};
    settings.journal_database = journal_database_;
    for (const Side side : {Side::blue, Side::green}) {
        settings.sides[index(side)].url = server(side).conninfo("");
        server(side).execute("CREATE DATABASE " + journal_database_);
    }
    server(Side::blue).execute("CREATE DATABASE " + database_);
    cluster_ = std::make_unique<Cluster>(context_.get_executor(), std::move(settings));
}

/// What a failed test leaves would keep WAL and workers from the next one.
ServersTest::~ServersTest() {
    for (const Side side : {Side::blue, Side::green}) {
        if (!server(side).running()) server(side).start();
        if (server(side).value("SELECT 1 FROM pg_database WHERE datname = '" + database_ + "'").empty()) continue;
        const PgConnection::Ptr connection = connect(side);
        await(drop_subscription(*connection, names::subscription(side)));
    }
    for (const Side side : {Side::blue, Side::green}) {
        const PgConnection::Ptr connection = connect_journal(side);
        const PgResult slots =
            query(*connection, "SELECT slot_name FROM pg_replication_slots WHERE database = '" + database_ + "'");
        for (int i = 0; i < slots.rows(); ++i) {
            await(drop_slot(*connection, slots.as<std::string>(i, 0), 0, Clock::now() + std::chrono::seconds(30)));
        }
    }
}

void ServersTest::eventually(Side side, const std::string& sql, const std::string& wanted) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    std::string found;
    while (std::chrono::steady_clock::now() < until) {
        found = server(side).value(sql, database_);
        if (found == wanted) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    ADD_FAILURE() << sql << " gives " << found << " and not " << wanted;
}

}  // namespace turnout::control::test
