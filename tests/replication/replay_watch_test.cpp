// How far the streams are, told over one connection to whoever looks.
#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "control/replay_watch.hpp"
#include "control/replication.hpp"
#include "control/sync.hpp"
#include "tests/replication/servers.hpp"

namespace turnout::control::test {
namespace {

using namespace asio::experimental::awaitable_operators;

class ReplayWatchTest : public ServersTest {
  protected:
    void SetUp() override {
        execute(Side::blue, "CREATE TABLE things (id int PRIMARY KEY)");
        await(sync(*cluster_, Side::blue, [](const SyncProgress&) {}));
        source_ = connect(Side::blue);
        beats_ = connect(Side::blue);
        const PgConnection::Ptr subscriber = connect(Side::green);
        slot_ = await(find_stream(*subscriber)).value().slot;
        watch_ = std::make_unique<ReplayWatch>(*source_);
        await(watch_->prepare());
    }
    /// Behind all that was committed until now.
    Lsn here() { return query(*beats_, "SELECT pg_current_wal_insert_lsn()").as<Lsn>(0, 0); }
    /// Looks until it is told so. A beat now and then: what is not flushed is not told of without more WAL.
    asio::awaitable<void> passed(Lsn to) {
        for (int looks = 1; !co_await watch_->look(slot_, to); ++looks) {
            if (looks % 100 == 0) co_await send_beat(*beats_, Clock::now() + std::chrono::seconds(60));
        }
    }

    PgConnection::Ptr source_, beats_;
    std::string slot_;
    std::unique_ptr<ReplayWatch> watch_;
};

TEST_F(ReplayWatchTest, TellsOfAStreamOnceWhatWasCommittedIsVisibleThere) {
    const PgConnection::Ptr locker = connect(Side::green);
    query(*locker, "BEGIN; LOCK TABLE public.things");
    execute(Side::blue, "INSERT INTO things VALUES (1)");
    const Lsn to = here();
    for (int look = 0; look < 20; ++look) EXPECT_FALSE(await(watch_->look(slot_, to)));
    query(*locker, "ROLLBACK");
    await(passed(to));
    EXPECT_EQ(value(Side::green, "SELECT count(*) FROM things"), "1");
}

/// Positions and slots of several that look at once are not mixed up.
TEST_F(ReplayWatchTest, TellsEachOfItsOwnStreamAndPosition) {
    const Lsn before = here();
    await(passed(before));
    const Lsn never{~std::uint64_t{0}};
    const auto [behind, ahead, missing] =
        await(watch_->look(slot_, before) && watch_->look(slot_, never) && watch_->look("of_no_stream", before));
    EXPECT_TRUE(behind);
    EXPECT_FALSE(ahead);
    EXPECT_FALSE(missing);
    EXPECT_FALSE(await(watch_->look("of_no_stream", before)));
    EXPECT_FALSE(await(watch_->look(slot_, never)));

    execute(Side::blue, "INSERT INTO things VALUES (2)");
    const Lsn first = here();
    execute(Side::blue, "INSERT INTO things VALUES (3)");
    const Lsn second = here();
    await(passed(first) && passed(second));
    EXPECT_EQ(value(Side::green, "SELECT count(*) FROM things"), "2");
}

/// Whoever waits for another's look goes on when that one is given up in the midst of it.
TEST_F(ReplayWatchTest, OneThatIsGivenUpLeavesNobodyWaiting) {
    source_->send("SELECT pg_sleep(600)");  // in its way, so that the look behind it is not answered
    asio::cancellation_signal give_up;
    std::future<bool> first = asio::co_spawn(context_, watch_->look(slot_, Lsn{}),
                                             asio::bind_cancellation_slot(give_up.slot(), asio::use_future));
    std::future<bool> second = asio::co_spawn(context_, watch_->look(slot_, Lsn{}), asio::use_future);
    context_.restart();
    context_.poll();
    give_up.emit(asio::cancellation_type::terminal);
    for (std::future<bool>* it : {&first, &second}) {
        while (it->wait_for(std::chrono::seconds(0)) != std::future_status::ready) context_.run_one();
    }
    EXPECT_ANY_THROW(first.get());
    EXPECT_FALSE(second.get());
}

}  // namespace
}  // namespace turnout::control::test
