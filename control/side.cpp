#include "control/side.hpp"

#include <algorithm>
#include <stdexcept>

namespace turnout::control {

namespace {

Conninfo parse_url(Side side, const char* key, const std::string& url) {
    try {
        return Conninfo::parse(url);
    } catch (const ConninfoError& error) {
        throw ConninfoError("[side." + std::string(name(side)) + "] " + key + ": " + error.what());
    }
}

}  // namespace

Cluster::Cluster(boost::asio::any_io_executor executor, ClusterSettings settings)
    : executor_(std::move(executor)), settings_(std::move(settings)) {
    for (const Side side : {Side::blue, Side::green}) {
        const SideSettings& given = settings_.sides[index(side)];
        conninfo_[index(side)] = parse_url(side, "url", given.url);
        replication_[index(side)] = given.replication_url.empty()
                                        ? conninfo_[index(side)]
                                        : parse_url(side, "replication_url", given.replication_url);
    }
    auto sorted = settings_.databases;
    std::sort(sorted.begin(), sorted.end());
    if (sorted.empty()) throw std::invalid_argument("[switch] databases lists none");
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end()) throw std::invalid_argument("[switch] databases lists \"" + *twice + "\" twice");
    if (std::binary_search(sorted.begin(), sorted.end(), settings_.journal_database)) {
        throw std::invalid_argument(
            "[switch] journal_database \"" + settings_.journal_database +
            "\" is also listed in databases: the journal must be in one that is never switched");
    }
}

boost::asio::awaitable<PgConnection::Ptr> Cluster::connect(Side side, std::string database,
                                                           bool synchronous_commit) const {
    return connect_by(Clock::now() + settings_.connect_timeout, side, std::move(database), synchronous_commit);
}

boost::asio::awaitable<PgConnection::Ptr> Cluster::connect_by(Clock::time_point deadline, Side side,
                                                              std::string database, bool synchronous_commit) const {
    Conninfo conninfo = conninfo_[index(side)].for_control(database, synchronous_commit);
    PgConnection::Ptr connection = co_await PgConnection::open(std::move(conninfo), side, deadline);
    // Not in the startup packet: older servers refuse a name they do not know.
    std::string more;
    if (connection->server_version() >= 140000) more += "SET idle_session_timeout = 0;";
    if (connection->server_version() >= 170000) more += "SET transaction_timeout = 0;";
    if (!more.empty()) co_await connection->query_by(deadline, more);
    co_return connection;
}

boost::asio::awaitable<PgConnection::Ptr> Cluster::connect_journal(Side side) const {
    return connect(side, settings_.journal_database);
}

Conninfo Cluster::replication_conninfo(Side source, std::string_view database) const {
    return replication_[index(source)].with("dbname", database).with_default("connect_timeout", "10");
}

}  // namespace turnout::control
