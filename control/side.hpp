// The two servers as control reaches them.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "control/conninfo.hpp"
#include "control/data_plane.hpp"
#include "control/pg_connection.hpp"

namespace turnout::control {

struct SideSettings {
    std::string url;  ///< [side.X] url: control's own conninfo, without dbname
    /// [side.X] replication_url: how the *other server* reaches this one, where that differs from `url` (container
    /// names, private networks, certificate paths on that machine). Empty: as `url`.
    std::string replication_url;
};

struct ClusterSettings {
    std::array<SideSettings, 2> sides;          ///< by index(Side)
    std::vector<std::string> databases;         ///< switched together
    std::string journal_database = "postgres";  ///< on both sides, never switched
    std::string pg_bin;  ///< folder of pg_dump and pg_restore; empty: TURNOUT_PG_BIN, then the newest found
    Milliseconds connect_timeout{5000};
};

/// Both sides. Lives as long as control; connections made from it do not refer to it.
class Cluster {
  public:
    /// Throws ConninfoError (naming the side) or std::invalid_argument: no databases, one listed twice, or
    /// journal_database among them.
    Cluster(boost::asio::any_io_executor executor, ClusterSettings settings);

    /// A connection of control's own. `synchronous_commit` off: its commits last from the next flush on. Throws
    /// PgError.
    boost::asio::awaitable<PgConnection::Ptr> connect(Side side, std::string database,
                                                      bool synchronous_commit = true) const;
    boost::asio::awaitable<PgConnection::Ptr> connect_by(Clock::time_point deadline, Side side, std::string database,
                                                         bool synchronous_commit = true) const;
    /// To the side's journal database.
    boost::asio::awaitable<PgConnection::Ptr> connect_journal(Side side) const;

    const Conninfo& conninfo(Side side) const { return conninfo_[index(side)]; }
    /// What a subscription on the other side says about how to reach `source`.
    Conninfo replication_conninfo(Side source, std::string_view database) const;
    const std::vector<std::string>& databases() const { return settings_.databases; }
    const std::string& journal_database() const { return settings_.journal_database; }
    const ClusterSettings& settings() const { return settings_; }
    const boost::asio::any_io_executor& executor() const { return executor_; }

  private:
    boost::asio::any_io_executor executor_;
    ClusterSettings settings_;
    std::array<Conninfo, 2> conninfo_;
    std::array<Conninfo, 2> replication_;
};

}  // namespace turnout::control
