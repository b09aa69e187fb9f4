// So many sequences that they are asked for over several connections, and held from before the gate closes.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "tests/integration/eventually.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

/// Three hundred of each: drawn from already, never drawn from, and one that goes down.
constexpr const char* kSchema = R"(
CREATE TABLE things (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
INSERT INTO things DEFAULT VALUES;
DO $$BEGIN FOR i IN 0..299 LOOP
    EXECUTE format('CREATE SEQUENCE up%s', i);
    PERFORM nextval('up' || i);
    EXECUTE format('CREATE SEQUENCE fresh%s START 7', i);
    EXECUTE format('CREATE SEQUENCE down%s INCREMENT -3', i);
    PERFORM nextval('down' || i);
END LOOP; END$$)";

/// The state of all sequences, each in its own line.
std::string sequences(const support::Cluster& server) {
    const std::string ask = server.value(
        "SELECT string_agg(format('SELECT concat(%L, '' '', last_value, '' '', is_called) AS line FROM %I', relname, "
        "relname), ' UNION ALL ' ORDER BY relname) FROM pg_class WHERE relkind = 'S' AND relname ~ "
        "'^(up|fresh|down|things)'",
        "app");
    return server.value("SELECT string_agg(line, E'\n') FROM (" + ask + ") all_of_them", "app");
}

/// Draws from sequences by the proxy until it is told to stop, and knows what it drew.
class Drawer {
  public:
    Drawer(const Pair& pair, std::uint64_t seed) : session_(pair.connect()), random_(seed) {
        thread_ = std::thread([this] {
            while (!stop_) draw();
        });
    }
    ~Drawer() { stop(); }
    void stop() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
    }
    std::uint64_t drawn() const { return drawn_; }
    /// After stop().
    const std::vector<std::string>& twice() const { return twice_; }
    const std::string& failure() const { return failure_; }

  private:
    void draw() {
        static const std::vector<std::string> kinds{"up", "fresh", "down"};
        const std::string name = kinds[random_() % kinds.size()] + std::to_string(random_() % 300);
        try {
            const std::int64_t number = bench::number(session_.get(), "SELECT nextval('" + name + "')");
            if (!numbers_[name].insert(number).second) twice_.push_back(name + " " + std::to_string(number));
            ++drawn_;
        } catch (const std::exception& error) {
            failure_ = error.what();
            stop_ = true;
        }
    }

    bench::Connection session_;
    std::mt19937_64 random_;
    std::map<std::string, std::set<std::int64_t>> numbers_;
    std::vector<std::string> twice_;
    std::string failure_;
    std::atomic<std::uint64_t> drawn_{0};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

TEST(ManySequences, NoNumberComesTwiceWhileTheyAreDrawnFrom) {
    Pair pair({.schema = kSchema});
    pair.sync();
    Drawer drawer(pair, seed());
    for (int i = 0; i < 4; ++i) {
        const std::uint64_t goal = drawer.drawn() + 300;
        eventually([&] { return drawer.drawn() >= goal || !drawer.failure().empty(); }, "numbers that are drawn");
        pair.change();
    }
    drawer.stop();
    EXPECT_EQ(drawer.failure(), "");
    EXPECT_TRUE(drawer.twice().empty()) << drawer.twice().front();
}

TEST(ManySequences, AreOnTheNewSideAsTheyWereHoweverTheyWereSet) {
    Pair pair({.schema = kSchema});
    pair.sync();
    const bench::Connection session = pair.connect();
    bench::run(session.get(),
               "SELECT setval('up0', 1, false), setval('up1', 9000), setval('fresh0', 5, false), setval('fresh1', 7), "
               "setval('down0', -50, false), nextval('fresh299'), nextval('up299'), nextval('down299')");
    bench::run(session.get(), "ALTER SEQUENCE up2 RESTART WITH 5");
    bench::run(session.get(), "TRUNCATE things RESTART IDENTITY");
    const std::string before = sequences(pair.blue());
    pair.change();
    EXPECT_EQ(sequences(pair.green()), before);
    EXPECT_EQ(bench::number(session.get(), "SELECT nextval('up2')"), 5);
    EXPECT_EQ(bench::number(session.get(), "INSERT INTO things DEFAULT VALUES RETURNING id"), 1);

    bench::run(session.get(), "SELECT setval('up2', 3, false), nextval('fresh298')");
    const std::string after = sequences(pair.green());
    pair.change();
    EXPECT_EQ(sequences(pair.blue()), after);
    // Nobody holds them any more, on neither side.
    bench::run(session.get(), "SET lock_timeout = '10s'");
    bench::run(session.get(), "ALTER SEQUENCE up3 RESTART; TRUNCATE things RESTART IDENTITY");
    bench::run(bench::connect(pair.green().conninfo("app")).get(),
               "SET lock_timeout = '10s'; BEGIN READ WRITE; ALTER SEQUENCE up3 RESTART; ROLLBACK");
}

TEST(ManySequences, AreLetGoWhenTheAttemptIsGivenUp) {
    Pair pair({.schema = kSchema});
    pair.sync();
    const bench::Connection busy = pair.connect();
    bench::run(busy.get(), "BEGIN; INSERT INTO things DEFAULT VALUES");
    const bench::Exit given_up = pair.turnout().run({"switch", "--deadline", "1s"});
    EXPECT_EQ(given_up.status, 1) << given_up.err << given_up.out;
    bench::run(busy.get(), "SET LOCAL lock_timeout = '10s'; ALTER SEQUENCE up4 RESTART WITH 44; COMMIT");
    pair.change();
    EXPECT_EQ(bench::number(busy.get(), "SELECT nextval('up4')"), 44);
}

}  // namespace
}  // namespace turnout::integration
