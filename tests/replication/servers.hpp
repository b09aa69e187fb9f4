// Two real servers of different majors for the tests of what control does with them. They are started once per process;
// each test has databases and a journal of its own in them.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "control/side.hpp"
#include "tests/support/cluster.hpp"

namespace turnout::control::test {

/// The pair that this process shares; $TURNOUT_TEST_BLUE and $TURNOUT_TEST_GREEN choose other majors than 15 and 17.
support::Cluster& server(Side side);

/// A fresh database `app<n>` on blue, and a fresh journal database on both sides.
class ServersTest : public testing::Test {
  protected:
    ServersTest();
    ~ServersTest() override;

    /// Runs a coroutine to its end on this thread. Hangs end with the test's timeout.
    template <class T>
    T await(asio::awaitable<T> work) {
        std::future<T> result = asio::co_spawn(context_, std::move(work), asio::use_future);
        context_.restart();
        while (result.wait_for(std::chrono::seconds(0)) != std::future_status::ready) context_.run_one();
        return result.get();
    }

    PgConnection::Ptr connect(Side side) { return await(cluster_->connect(side, database_)); }
    PgConnection::Ptr connect_journal(Side side) { return await(cluster_->connect_journal(side)); }
    PgResult query(PgConnection& connection, const std::string& sql) { return await(connection.query(sql)); }
    /// As a user would: in the test's database.
    void execute(Side side, const std::string& sql) { server(side).execute(sql, database_); }
    std::string value(Side side, const std::string& sql) { return server(side).value(sql, database_); }
    /// Waits until the query gives this; fails the test after a minute.
    void eventually(Side side, const std::string& sql, const std::string& wanted);

    asio::io_context context_{1};
    std::string database_;
    std::string journal_database_;
    std::unique_ptr<Cluster> cluster_;
};

}  // namespace turnout::control::test
