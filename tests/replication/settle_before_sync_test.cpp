// Before the first sync the standby has nothing of ours, not even the databases: that is steady, too.
#include "control/journal.hpp"
#include "control/settle_driver.hpp"
#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

class SettleBeforeSyncTest : public ServersTest {};

TEST_F(SettleBeforeSyncTest, NothingIsLeftToBeDone) {
    const auto journal = await(Journal::open(*cluster_, Side::blue));
    ASSERT_TRUE(await(journal->bootstrap(1)));
    DoubtfulBackends none;
    // With a deadline that has passed, a failure is told at once instead of tried again.
    const reply::Settled settled = await(settle(*cluster_, Side::blue, 1, Clock::now(), none));
    EXPECT_TRUE(settled.left.empty()) << settled.left.front();
}

}  // namespace
}  // namespace turnout::control::test
