// A switch that is watched: it stands while things go well, and is rolled back by itself when its limits are crossed.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

/// An application all of whose statements fail once it is told so.
class Application {
  public:
    explicit Application(const std::string& conninfo) : thread_([this, conninfo] { work(conninfo); }) {}
    ~Application() {
        over_ = true;
        thread_.join();
    }
    void fail(bool fails) { fails_ = fails; }
    std::uint64_t done() const { return done_; }

  private:
    void work(const std::string& conninfo) {
        const bench::Connection connection = bench::connect(conninfo);
        for (; !over_; ++done_) {
            const bench::Result result{
                PQexec(connection.get(), fails_ ? "SELECT 1 / 0" : "SELECT count(*) FROM things")};
            const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
            if (state != nullptr && std::string_view(state) == "22012") continue;
            EXPECT_EQ(PQresultStatus(result.get()), PGRES_TUPLES_OK) << PQerrorMessage(connection.get());
            if (PQstatus(connection.get()) != CONNECTION_OK) return;
        }
    }

    std::atomic<bool> over_{false};
    std::atomic<bool> fails_{false};
    std::atomic<std::uint64_t> done_{0};
    std::thread thread_;
};

TEST(WatchedSwitch, StandsWhileThingsGoWellAndIsRolledBackWhenRequestsFail) {
    Pair pair({.schema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text)"});
    pair.sync();
    Application application(pair.conninfo());
    const auto works = [&](std::uint64_t more) {
        const std::uint64_t goal = application.done() + more;
        eventually([&] { return application.done() >= goal; }, "the application goes on");
    };
    const auto watched = [&](const char* time) {
        return pair.turnout().verb({"switch", "--watch", time, "--rollback-if", "errors=30%", "--json"});
    };
    const auto switched_and_watched = [&] {
        const boost::json::object status = pair.turnout().status();
        return status.at("active") == "green" && status.contains("watching");
    };
    works(200);

    const bench::Exit stood = bench::run_program(watched("1s"));
    EXPECT_EQ(stood.status, 0) << stood.err << stood.out;
    EXPECT_NE(stood.out.find(R"("rolled_back":false)"), std::string::npos) << stood.out;
    EXPECT_EQ(&pair.active(), &pair.green());
    pair.change();

    // A person is quicker: other verbs run while a switch is watched.
    bench::Program left(watched("10m"));
    eventually(switched_and_watched, "the switch, and that it is watched");
    pair.turnout().report({"rollback"});
    const bench::Exit by_hand = left.wait();
    EXPECT_EQ(by_hand.status, 0) << by_hand.err << by_hand.out;
    EXPECT_NE(by_hand.out.find("blue is active"), std::string::npos) << by_hand.out;

    bench::Program verb(watched("10m"));
    eventually(switched_and_watched, "the switch, and that it is watched");
    application.fail(true);
    const bench::Exit exit = verb.wait();
    EXPECT_EQ(exit.status, 1) << exit.err << exit.out;
    EXPECT_NE(exit.err.find("of the requests fail"), std::string::npos) << exit.err;
    EXPECT_NE(exit.out.find(R"("rolled_back":true)"), std::string::npos) << exit.out;
    EXPECT_EQ(&pair.active(), &pair.blue());
    EXPECT_FALSE(pair.turnout().status().contains("watching"));
    application.fail(false);
    works(20);
}

TEST(WatchedSwitch, LimitsWithoutATimeAreRefused) {
    Pair pair({.schema = ""});
    const bench::Exit exit = bench::run_program(pair.turnout().verb({"switch", "--rollback-if", "errors=1%"}));
    EXPECT_EQ(exit.status, 2) << exit.err;
    EXPECT_NE(exit.err.find("--watch"), std::string::npos) << exit.err;
}

}  // namespace
}  // namespace turnout::integration
