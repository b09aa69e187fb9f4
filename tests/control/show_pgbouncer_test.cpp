// What PgBouncer's users and exporters find: its columns, in its order, and the units that they count on.
#include "control/show_pgbouncer.hpp"

#include <gtest/gtest.h>

#include <iterator>
#include <sstream>

#include "control/command.hpp"

namespace turnout::control {
namespace {

std::vector<std::string> words(const std::string& text) {
    std::istringstream stream(text);
    return {std::istream_iterator<std::string>(stream), {}};
}

Config some_config(const std::string& databases = "\"shop\"") {
    return parse_config(
        "[side.blue]\nurl=\"host=b\"\n[side.green]\nurl=\"host=10.0.0.17 port=5417\"\n[switch]\ndatabases=[" +
            databases + "]\n",
        "t");
}

ProxyFacts some_facts() {
    SessionView idle{.id = 1,
                     .user = "app",
                     .database = "shop",
                     .address = "10.0.0.1:4711",
                     .state = "idle",
                     .side = Side::green,
                     .tls = true,
                     .client_pid = 11,
                     .server_pid = 21};
    SessionView held = idle;
    held.id = 2;
    held.state = "held";
    held.transaction = Microseconds(1'250'000);
    SessionView working = idle;
    working.id = 3;
    working.state = "idle in transaction";
    SessionView entering{.id = 4, .user = "new", .database = "shop", .state = "login"};
    ProxyFacts facts;
    facts.active = Side::green;
    facts.sessions = {idle, held, working, entering};
    DataPlaneCounters counters;
    const Clock::time_point begin{};
    facts.recent.add(begin, counters);
    DatabaseCounters& shop = counters.databases["shop"];
    shop.assignments = 4;
    shop.transactions = 100;
    shop.queries = 300;
    shop.client_bytes = 5000;
    shop.parses = 30;
    shop.binds = 60;
    shop.transaction_microseconds = 8000;
    shop.query_microseconds = 3000;
    shop.wait_microseconds = 70;
    counters.databases["crm"].transactions = 20;
    facts.recent.add(begin + std::chrono::seconds(10), counters);
    return facts;
}

std::string cell(const Answer& answer, const std::string& column, std::size_t row = 0) {
    for (std::size_t i = 0; i < answer.table.columns.size(); ++i)
        if (answer.table.columns[i].name == column) return answer.table.rows.at(row).at(i).value_or("NULL");
    return "no column " + column;
}

std::vector<std::string> names(Topic topic) {
    std::vector<std::string> names;
    for (const Column& column : describe(topic).columns) names.push_back(column.name);
    return names;
}

TEST(PgBouncer, ColumnsAreItsOwnInItsOrder) {
    const std::string sockets =
        "type user database replication state addr port local_addr local_port connect_time request_time wait wait_us "
        "close_needed ptr link remote_pid tls application_name prepared_statements id";
    EXPECT_EQ(names(Topic::clients), words(sockets));
    EXPECT_EQ(names(Topic::servers), words(sockets));
    EXPECT_EQ(names(Topic::sockets),
              words(sockets + " recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail"));
    EXPECT_EQ(
        names(Topic::pools),
        words("database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active "
              "sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode "
              "load_balance_hosts"));
    EXPECT_EQ(names(Topic::databases),
              words("name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime "
                    "pool_mode load_balance_hosts max_connections current_connections max_client_connections "
                    "current_client_connections paused disabled reserve_pool"));
    EXPECT_EQ(names(Topic::users),
              words("name pool_size reserve_pool_size pool_mode max_user_connections current_connections "
                    "max_user_client_connections current_client_connections"));
    EXPECT_EQ(names(Topic::config), words("key value default changeable"));
    EXPECT_EQ(names(Topic::mem), words("name size used free memtotal"));
    EXPECT_EQ(names(Topic::lists), words("list items"));
    EXPECT_EQ(names(Topic::state), words("key value"));
    EXPECT_EQ(names(Topic::totals), words("name value"));
    EXPECT_EQ(names(Topic::active_sockets), names(Topic::sockets));
    EXPECT_EQ(names(Topic::dns_hosts), words("hostname ttl addrs"));
    EXPECT_EQ(names(Topic::dns_zones), words("zonename serial count"));
    EXPECT_EQ(names(Topic::peers), words("peer_id host port pool_size"));
    EXPECT_EQ(names(Topic::peer_pools),
              words("peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login"));
}

TEST(PgBouncer, EveryTableHasTheColumnsThatAreTold) {
    const Config config = some_config();
    const ProxyFacts facts = some_facts();
    for (const auto& [topic, answer] :
         {std::pair{Topic::stats, show_stats(config, facts)},
          std::pair{Topic::stats_totals, show_stats_totals(config, facts)},
          std::pair{Topic::stats_averages, show_stats_averages(config, facts)},
          std::pair{Topic::totals, show_totals(config, facts)},
          std::pair{Topic::databases, show_databases(config, facts)},
          std::pair{Topic::databases, show_databases(config, ProxyFacts{})}, std::pair{Topic::pools, show_pools(facts)},
          std::pair{Topic::clients, show_clients(config, facts)},
          std::pair{Topic::servers, show_servers(config, facts)},
          std::pair{Topic::sockets, show_sockets(config, facts)}, std::pair{Topic::lists, show_lists(config, facts)},
          std::pair{Topic::users, show_users(facts)}, std::pair{Topic::state, show_state(facts)},
          std::pair{Topic::mem, show_mem()}}) {
        const auto columns = describe(topic).columns;
        ASSERT_EQ(answer.table.columns.size(), columns.size()) << describe(topic).word;
        EXPECT_FALSE(answer.table.rows.empty()) << describe(topic).word;
        for (const Row& row : answer.table.rows) EXPECT_EQ(row.size(), columns.size()) << describe(topic).word;
    }
}

TEST(PgBouncer, TotalsAreSinceTheStartAndAveragesOfTheLastMinuteInMicrosecondsAndBytes) {
    const Answer stats = show_stats(some_config(), some_facts());
    ASSERT_EQ(stats.table.rows.size(), 2U);
    EXPECT_EQ(cell(stats, "database"), "crm") << "was served once";
    EXPECT_EQ(cell(stats, "total_xact_count"), "20");
    EXPECT_EQ(cell(show_totals(some_config(), some_facts()), "value", 1), "120") << "of all databases";
    EXPECT_EQ(cell(stats, "database", 1), "shop");
    EXPECT_EQ(cell(stats, "total_server_assignment_count", 1), "4");
    EXPECT_EQ(cell(stats, "total_xact_count", 1), "100");
    EXPECT_EQ(cell(stats, "total_query_count", 1), "300");
    EXPECT_EQ(cell(stats, "total_received", 1), "5000");
    EXPECT_EQ(cell(stats, "total_xact_time", 1), "8000");
    EXPECT_EQ(cell(stats, "total_query_time", 1), "3000");
    EXPECT_EQ(cell(stats, "total_wait_time", 1), "70");
    EXPECT_EQ(cell(stats, "total_client_parse_count", 1), "30");
    EXPECT_EQ(cell(stats, "total_bind_count", 1), "60");
    EXPECT_EQ(cell(stats, "avg_xact_count", 1), "10");
    EXPECT_EQ(cell(stats, "avg_recv", 1), "500");
    EXPECT_EQ(cell(stats, "avg_xact_time", 1), "80");
    EXPECT_EQ(cell(stats, "avg_query_time", 1), "10");
    EXPECT_EQ(cell(stats, "avg_wait_time", 1), "7");
    EXPECT_EQ(cell(stats, "total_requests", 1), "300");
}

TEST(PgBouncer, PoolsTellWhoWaitsAndForHowLong) {
    const Answer pools = show_pools(some_facts());
    ASSERT_EQ(pools.table.rows.size(), 2U);
    EXPECT_EQ(cell(pools, "user"), "app");
    EXPECT_EQ(cell(pools, "cl_active"), "2");
    EXPECT_EQ(cell(pools, "cl_waiting"), "1");
    EXPECT_EQ(cell(pools, "sv_active"), "1");
    EXPECT_EQ(cell(pools, "sv_idle"), "2");
    EXPECT_EQ(cell(pools, "maxwait"), "1");
    EXPECT_EQ(cell(pools, "maxwait_us"), "250000");
    EXPECT_EQ(cell(pools, "sv_login", 1), "1");
}

TEST(PgBouncer, ConnectionsNameTheirPeersAndEachOther) {
    const Config config = some_config();
    const Answer clients = show_clients(config, some_facts());
    EXPECT_EQ(cell(clients, "addr"), "10.0.0.1");
    EXPECT_EQ(cell(clients, "port"), "4711");
    EXPECT_EQ(cell(clients, "state", 1), "waiting");
    EXPECT_EQ(cell(clients, "tls"), "TLS");
    const Answer servers = show_servers(config, some_facts());
    EXPECT_EQ(servers.table.rows.size(), 3U) << "one that logs in has none yet";
    EXPECT_EQ(cell(servers, "addr"), "10.0.0.17");
    EXPECT_EQ(cell(servers, "port"), "5417");
    EXPECT_EQ(cell(servers, "remote_pid"), "21");
    EXPECT_EQ(cell(servers, "link"), cell(clients, "ptr"));
    EXPECT_EQ(show_sockets(config, some_facts()).table.rows.size(), 7U);
    const Table at_work = show_active_sockets(config, some_facts()).table;
    EXPECT_FALSE(at_work.rows.empty());
    for (const Row& row : at_work.rows) EXPECT_TRUE(row[4] == "cl_active" || row[4] == "sv_active") << *row[4];
    EXPECT_TRUE(show_nothing(Topic::peers).table.rows.empty());
}

TEST(PgBouncer, ADatabaseIsPausedOrDisabled) {
    const Config config = some_config();
    ProxyFacts facts = some_facts();
    EXPECT_EQ(cell(show_databases(config, facts), "disabled"), "0");
    EXPECT_EQ(cell(show_databases(config, facts), "current_connections"), "4");
    facts.disabled = {"shop"};
    facts.paused = true;
    EXPECT_EQ(cell(show_databases(config, facts), "disabled"), "1");
    EXPECT_EQ(cell(show_databases(config, facts), "paused"), "1");
    EXPECT_EQ(cell(show_state(facts), "value", 1), "yes");
    facts.active.reset();
    EXPECT_EQ(cell(show_databases(config, facts), "host"), "NULL");
}

TEST(RecentCounters, KeepAMinute) {
    RecentCounters recent;
    for (int second = 0; second <= 200; ++second) {
        DataPlaneCounters counters;
        counters.transactions = static_cast<std::uint64_t>(second) * 7;
        recent.add(Clock::time_point{} + std::chrono::seconds(second), counters);
    }
    EXPECT_EQ(recent.samples().size(), 61U);
    EXPECT_DOUBLE_EQ(rates(recent.samples().front(), recent.samples().back()).transactions_per_second, 7);
    EXPECT_EQ(rates(recent.samples().back(), recent.samples().back()).seconds, 0) << "no time, no rate";
}

TEST(RecentCounters, QuantilesAreOfTheHistogramBetweenTwoTotals) {
    DataPlaneCounters earlier;
    DataPlaneCounters later;
    EXPECT_EQ(query_seconds(earlier, later, Side::green, 50), 0);
    earlier.query_buckets[1][5] = 1000;
    later.query_buckets[1][5] = 1000;  // nothing new there
    later.query_buckets[1][3] = 98;    // 0.5 to 1 ms
    later.query_buckets[1][14] = 2;    // beyond the last bound
    EXPECT_NEAR(query_seconds(earlier, later, Side::green, 50), 0.000755, 1e-6);
    EXPECT_DOUBLE_EQ(query_seconds(earlier, later, Side::green, 99), 5.0);
    EXPECT_EQ(query_seconds(earlier, later, Side::blue, 99), 0);
}

}  // namespace
}  // namespace turnout::control
