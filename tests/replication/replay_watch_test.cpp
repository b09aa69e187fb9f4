// How far the streams are, told over one connection to whoever looks.
#include <fmt/format.h>
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
        subscriber_ = connect(Side::green);
        beats_ = connect(Side::blue);
        stream_ = await(find_stream(*subscriber_)).value();
        watch_ = std::make_unique<ReplayWatch>(*source_, *subscriber_);
        await(watch_->prepare());
    }
    /// Behind all that was committed until now.
    Lsn here() { return query(*beats_, "SELECT pg_current_wal_insert_lsn()").as<Lsn>(0, 0); }
    /// Looks until it is told so. A beat now and then: a position at the end of a page is not told of without more WAL.
    asio::awaitable<void> passed(Lsn to) {
        for (int looks = 1; !co_await watch_->look(stream_, to); ++looks) {
            if (looks % 1000 == 0) co_await send_beat(*beats_, Clock::now() + std::chrono::seconds(60));
        }
    }
    /// Looks until both sides have told so: they are asked in turns, and whatever one has told it tells from then on.
    asio::awaitable<void> passed_on_both(Lsn to) {
        for (int looks = 1, told = 0; told < 2; ++looks) {
            const bool there = co_await watch_->look(stream_, to);
            told = there ? told + 1 : 0;
            if (looks % 1000 == 0) co_await send_beat(*beats_, Clock::now() + std::chrono::seconds(60));
        }
    }
    Stream of_nobody() const {
        Stream stream = stream_;
        stream.slot = "of_no_stream";
        stream.subscription_oid = 1;
        return stream;
    }

    PgConnection::Ptr source_, subscriber_, beats_;
    Stream stream_;
    std::unique_ptr<ReplayWatch> watch_;
};

TEST_F(ReplayWatchTest, TellsOfAStreamOnceWhatWasCommittedIsVisibleThere) {
    const PgConnection::Ptr locker = connect(Side::green);
    query(*locker, "BEGIN; LOCK TABLE public.things");
    execute(Side::blue, "INSERT INTO things VALUES (1)");
    const Lsn to = here();
    for (int look = 0; look < 20; ++look) EXPECT_FALSE(await(watch_->look(stream_, to)));
    query(*locker, "ROLLBACK");
    await(passed(to));
    EXPECT_EQ(value(Side::green, "SELECT count(*) FROM things"), "1");
}

/// Positions and slots of several that look at once are not mixed up.
TEST_F(ReplayWatchTest, TellsEachOfItsOwnStreamAndPosition) {
    const Lsn before = here();
    await(passed_on_both(before));
    const Lsn never{~std::uint64_t{0}};
    const Stream nobody = of_nobody();
    const auto [behind, ahead, missing] =
        await(watch_->look(stream_, before) && watch_->look(stream_, never) && watch_->look(nobody, before));
    EXPECT_TRUE(behind);
    EXPECT_FALSE(ahead);
    EXPECT_FALSE(missing);
    for (int side = 0; side < 2; ++side) {
        EXPECT_FALSE(await(watch_->look(nobody, before)));
        EXPECT_FALSE(await(watch_->look(stream_, never)));
        EXPECT_FALSE(await(watch_->look(nobody, before)));
    }

    execute(Side::blue, "INSERT INTO things VALUES (2)");
    const Lsn first = here();
    execute(Side::blue, "INSERT INTO things VALUES (3)");
    const Lsn second = here();
    await(passed(first) && passed(second));
    EXPECT_EQ(value(Side::green, "SELECT count(*) FROM things"), "2");
}

/// The source's walsender is not told of what follows the last transaction before the subscriber has flushed that, here
/// after ten seconds. Nobody is to wait for it.
TEST_F(ReplayWatchTest, TellsOfWhatFollowsATransactionThatIsNotFlushedThere) {
    execute(Side::green, "ALTER SYSTEM SET wal_writer_delay = '10s'");
    execute(Side::green, "SELECT pg_reload_conf()");
    execute(Side::blue, "CREATE TABLE uncarried (n int)");
    for (int round = 1; round <= 5; ++round) {
        execute(Side::blue, fmt::format("INSERT INTO things VALUES ({})", 100 + round));
        execute(Side::blue, "INSERT INTO uncarried VALUES (1)");
        const Lsn to = here();
        const auto given_up = Clock::now() + std::chrono::seconds(5);
        for (int looks = 1; !await(watch_->look(stream_, to)); ++looks) {
            ASSERT_LT(Clock::now(), given_up) << "in round " << round;
            if (looks % 1000 == 0) execute(Side::blue, "INSERT INTO uncarried VALUES (2)");
        }
        EXPECT_EQ(value(Side::green, "SELECT count(*) FROM things"), std::to_string(round));
    }
    execute(Side::green, "ALTER SYSTEM RESET wal_writer_delay");
    execute(Side::green, "SELECT pg_reload_conf()");
}

/// An answer that came before it was known how far it should be counts for the look that follows, and for that only.
TEST_F(ReplayWatchTest, LooksAhead) {
    await(passed(here()));
    execute(Side::blue, "INSERT INTO things VALUES (4)");
    const Lsn to = here();
    const Lsn never{~std::uint64_t{0}};
    await(passed_on_both(to));
    watch_->look_ahead({&stream_});
    EXPECT_TRUE(await(watch_->look(stream_, to)));
    watch_->look_ahead({&stream_});
    EXPECT_FALSE(await(watch_->look(stream_, never)));
    await(passed(to));
}

/// What keeps the window's questions fast tells how far each stream is, by whichever side knows more.
TEST_F(ReplayWatchTest, KeepingItWarmTellsHowFarEachIs) {
    const Lsn before = here();
    await(passed(before));
    const Stream nobody = of_nobody();
    const auto warm = [&] {
        watch_->send_warm({&nobody, &stream_});
        return await(watch_->receive_warm(Clock::now() + std::chrono::seconds(60)));
    };
    std::vector<Lsn> far = warm();
    ASSERT_EQ(far.size(), 2U);
    EXPECT_EQ(far[0], Lsn{});
    EXPECT_LE(before, far[1]);

    const PgConnection::Ptr locker = connect(Side::green);
    query(*locker, "BEGIN; LOCK TABLE public.things");
    execute(Side::blue, "INSERT INTO things VALUES (5)");
    const Lsn behind = here();
    for (int round = 0; round < 5; ++round) EXPECT_LT(warm()[1], behind);
    query(*locker, "ROLLBACK");
    await(passed_on_both(behind));
    EXPECT_LE(behind, warm()[1]);
    EXPECT_TRUE(await(watch_->look(stream_, behind)));
}

/// Whoever waits for another's look goes on when that one is given up in the midst of it.
TEST_F(ReplayWatchTest, OneThatIsGivenUpLeavesNobodyWaiting) {
    subscriber_->send("SELECT pg_sleep(600)");  // in its way, so that the look behind it is not answered
    asio::cancellation_signal give_up;
    std::future<bool> first = asio::co_spawn(context_, watch_->look(stream_, Lsn{}),
                                             asio::bind_cancellation_slot(give_up.slot(), asio::use_future));
    std::future<bool> second = asio::co_spawn(context_, watch_->look(stream_, Lsn{}), asio::use_future);
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
