// Ctrl-C of a sync takes back what it made.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

std::vector<std::string> replication_objects(const support::Cluster& server) {
    std::vector<std::string> found = turnout_objects(server, {"app"});
    std::erase_if(found, [](const std::string& object) {
        return object.find("slot ") == std::string::npos && object.find("subscription ") == std::string::npos &&
               object.find("publication ") == std::string::npos;
    });
    return found;
}

TEST(InterruptedSync, LeavesNoSlotNoSubscriptionNoPublicationAndCanBeRepeated) {
    Pair pair({.schema = "CREATE TABLE things (id bigserial PRIMARY KEY, note text);"
                         "INSERT INTO things (note) SELECT repeat('x', 200) FROM generate_series(1, 500000)"});
    bench::Program sync(pair.turnout().verb({"sync"}));
    // Until the copy itself is under way: a slot stands on blue.
    const auto copying = [&](const std::string&, const std::string&) {
        return pair.blue().value("SELECT count(*) FROM pg_replication_slots") != "0";
    };
    ASSERT_TRUE(sync.read_until(copying)) << sync.wait().err;
    sync.signal(SIGINT);
    const bench::Exit exit = sync.wait();
    EXPECT_NE(exit.status, 0) << exit.err << exit.out;
    for (const support::Cluster* server : {&pair.blue(), &pair.green()}) {
        const std::vector<std::string> left = replication_objects(*server);
        EXPECT_TRUE(left.empty()) << server->name() << ": " << left.front();
    }
    pair.sync();
    pair.change();
    EXPECT_EQ(bench::number(pair.connect().get(), "SELECT count(*) FROM things"), 500000);
}

}  // namespace
}  // namespace turnout::integration
