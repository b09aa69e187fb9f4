#include "proxy/event_loop.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/stream.hpp"

namespace {

using namespace turnout::proxy;
using namespace std::chrono_literals;

/// Two ends of a connection.
struct Pair {
    int here = -1;
    int there = -1;
    Pair() {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) throw errno;
        here = ends[0];
        there = ends[1];
    }
};

void say(int socket, std::string_view what) {
    ASSERT_EQ(::send(socket, what.data(), what.size(), MSG_NOSIGNAL), static_cast<ssize_t>(what.size()));
}

struct Told final : EventLoop::Watcher {
    std::function<void()> then;
    unsigned times = 0;
    void on_events(std::uint32_t) override {
        ++times;
        if (then) then();
    }
};

/// A loop that runs until stop().
class EventLoopTest : public testing::Test {
  protected:
    boost::asio::io_context context;
    EventLoop& loop = EventLoop::of(context);
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};

    void stop() { work.reset(); }
    void run() { EventLoop::run(context); }
    void spawn(Task<void> task) { boost::asio::co_spawn(context, std::move(task), boost::asio::detached); }
};

TEST_F(EventLoopTest, EndsWhenNoWorkIsLeft) {
    unsigned ran = 0;
    boost::asio::post(context, [&] { ++ran; });
    boost::asio::post(context, [&] {
        ++ran;
        stop();
    });
    run();
    EXPECT_EQ(ran, 2U);
}

TEST_F(EventLoopTest, APostFromAnotherThreadWakesIt) {
    constexpr unsigned kPosts = 10000;
    unsigned ran = 0;
    std::thread other([&] {
        for (unsigned i = 0; i < kPosts; ++i) {
            loop.post([&] {
                if (++ran == kPosts) stop();
            });
        }
    });
    run();
    other.join();
    EXPECT_EQ(ran, kPosts);
}

TEST_F(EventLoopTest, TimersGoOffInTheirOrderAndOnlyIfTheyStand) {
    std::string order;
    const auto now = EventLoop::Clock::now();
    Timer late(context), early(context), cancelled(context), moved(context);
    auto gone = std::make_unique<Timer>(context);
    late.at(now + 4ms, [&] {
        order += "late";
        stop();
    });
    early.at(now + 1ms, [&] { order += "early "; });
    gone->at(now + 2ms, [&] { order += "gone "; });
    gone.reset();
    cancelled.at(now + 2ms, [&] { order += "cancelled "; });
    cancelled.cancel();
    moved.at(now + 1h, [&] { order += "never "; });
    moved.at(now + 2ms, [&] {
        order += "moved ";
        moved.at(now + 3ms, [&] { order += "again "; });
    });
    run();
    EXPECT_EQ(order, "early moved again late");
    EXPECT_GE(EventLoop::Clock::now(), now + 4ms);
}

TEST_F(EventLoopTest, ATimerMayEndItselfAndOthersThatAreDue) {
    const auto past = EventLoop::Clock::now() - 1s;
    auto first = std::make_unique<Timer>(context);
    auto second = std::make_unique<Timer>(context);
    Timer last(context);
    bool told = false;
    first->at(past, [&] {
        first.reset();
        second.reset();
    });
    second->at(past + 1ms, [&] { told = true; });
    last.at(past + 2ms, [&] { stop(); });
    run();
    EXPECT_FALSE(told);
}

TEST_F(EventLoopTest, WhoIsRemovedInARoundIsNotToldInIt) {
    Pair one, other;
    Told a, b;
    // Whichever is told first ends the other.
    a.then = [&] {
        loop.remove(other.here, b);
        stop();
    };
    b.then = [&] {
        loop.remove(one.here, a);
        stop();
    };
    ASSERT_TRUE(loop.add(one.here, a));
    ASSERT_TRUE(loop.add(other.here, b));
    say(one.there, "x");
    say(other.there, "x");
    run();
    EXPECT_EQ(a.times + b.times, 1U);
}

TEST_F(EventLoopTest, WhoIsRemovedIsNotToldThoughSomebodyElseHoldsHisSocket) {
    Pair one, other;
    const int held = ::dup(one.here);
    auto gone = std::make_unique<Told>();
    Told stays;
    stays.then = [&] { stop(); };
    ASSERT_TRUE(loop.add(one.here, *gone));
    ASSERT_TRUE(loop.add(other.here, stays));
    gone->then = [] { ADD_FAILURE(); };
    loop.remove(one.here, *gone);
    ::close(one.here);
    say(one.there, "x");
    say(other.there, "x");
    run();
    EXPECT_EQ(gone->times, 0U);
    ::close(held);
}

TEST_F(EventLoopTest, WhoGoesOnInTheNextRoundLetsSocketsHaveTheirTurns) {
    Pair pair;
    unsigned rounds = 0, rounds_before_told = 0;
    Told told;
    told.then = [&] { rounds_before_told = rounds; };
    ASSERT_TRUE(loop.add(pair.here, told));
    const auto work_on = [](EventLoop& on, unsigned& count, int socket) -> Task<void> {
        for (; count < 100; ++count) {
            if (count == 10) say(socket, "x");
            co_await on.next_round();
        }
    };
    spawn(work_on(loop, rounds, pair.there));
    stop();
    run();
    EXPECT_EQ(told.times, 1U);
    EXPECT_LE(rounds_before_told, 12U);
}

TEST_F(EventLoopTest, WhoWantsAnotherTurnGetsItAfterTheOthers) {
    Pair one, other;
    std::string order;
    Told greedy, modest;
    greedy.then = [&] {
        order += 'g';
        if (order.size() < 6) loop.again(greedy);
        if (order.size() >= 6) stop();
    };
    modest.then = [&] { order += 'm'; };
    ASSERT_TRUE(loop.add(one.here, greedy));
    ASSERT_TRUE(loop.add(other.here, modest));
    say(one.there, "x");
    say(other.there, "x");
    run();
    EXPECT_LE(order.find('m'), 2U) << order;
}

// ----------------------------------------------------------------------------------------------------------- streams

/// Coroutines are the work here: the loop runs until all of them have ended.
class StreamTest : public EventLoopTest {
  protected:
    StreamTest() {
        stop();
        context.restart();
    }

    static Task<void> read_all(Stream& from, const Stream::Reader& reader) { co_await from.read_by(reader); }

    /// Reads `room` bytes at a time.
    static Stream::Reader into(std::string& heard, Stream& from, std::size_t room = 64) {
        return [&heard, &from, room] {
            std::string buffer(room, '\0');
            const Stream::Io io = from.read(buffer.data(), buffer.size());
            if (io.status == Stream::Status::ok) heard.append(buffer, 0, io.bytes);
            return io.status == Stream::Status::ok || io.status == Stream::Status::want_read;
        };
    }
};

TEST_F(StreamTest, BytesAndTheEndBehindThemAreBothRead) {
    const Pair pair;
    Stream stream(context, pair.here, AF_UNIX);
    say(pair.there, "last words");
    ::close(pair.there);
    std::string heard;
    const auto reader = into(heard, stream);
    spawn(read_all(stream, reader));
    run();
    EXPECT_EQ(heard, "last words");
}

TEST_F(StreamTest, WhatIsMoreThanOneReadIsReadToItsEnd) {
    const Pair pair;
    Stream stream(context, pair.here, AF_UNIX);
    std::string heard;
    const auto reader = into(heard, stream, 10);
    say(pair.there, "twenty bytes to read");  // two full reads, and nothing that a third would bring
    Timer goes_on(context);
    goes_on.after(1ms, [&] {
        say(pair.there, ", and ten!");
        ::close(pair.there);
    });
    spawn(read_all(stream, reader));
    run();
    EXPECT_EQ(heard, "twenty bytes to read, and ten!");
}

TEST_F(StreamTest, ATalkativePeerLeavesOthersTheirTurns) {
    const Pair talkative, quiet;
    Stream loud(context, talkative.here, AF_UNIX), soft(context, quiet.here, AF_UNIX);
    std::string heard, other_heard;
    const auto read_loud = into(heard, loud, 1);
    const auto read_soft = into(other_heard, soft);
    std::size_t when = 0;
    const Stream::Reader note_when = [&] {
        const bool more = read_soft();
        if (when == 0) when = heard.size() + 1;
        return more;
    };
    say(talkative.there, std::string(1000, 'x'));
    say(quiet.there, "hello");
    ::close(talkative.there);
    ::close(quiet.there);
    spawn(read_all(loud, read_loud));
    spawn(read_all(soft, note_when));
    run();
    EXPECT_EQ(heard.size(), 1000U);
    EXPECT_EQ(other_heard, "hello");
    EXPECT_LT(when, 10U);
}

TEST_F(StreamTest, InterruptAndCloseEndAWait) {
    const Pair pair;
    Stream stream(context, pair.here, AF_UNIX);
    std::string heard, ends;
    const auto reader = into(heard, stream);
    const auto waits = [](Stream& from, const Stream::Reader& by, std::string& into_ends) -> Task<void> {
        for (int i = 0; i < 2; ++i) {
            const bool open = co_await from.read_by(by);
            into_ends += open ? "interrupted " : "closed";
        }
    };
    spawn(waits(stream, reader, ends));
    Timer first(context), second(context);
    first.after(1ms, [&] {
        stream.interrupt();
        second.after(1ms, [&] { stream.close(); });  // in a later round, whatever the time is
    });
    run();
    EXPECT_EQ(ends, "interrupted closed");
    EXPECT_EQ(heard, "");
    ::close(pair.there);
}

TEST_F(StreamTest, AReaderMayCloseItsStream) {
    const Pair pair;
    Stream stream(context, pair.here, AF_UNIX);
    const Stream::Reader reader = [&] {
        stream.close();
        return true;
    };
    say(pair.there, "x");
    spawn(read_all(stream, reader));
    run();
    EXPECT_FALSE(stream.open());
    ::close(pair.there);
}

TEST_F(StreamTest, WhatAReaderThrowsIsThrownToWhoeverWaits) {
    const Pair pair;
    Stream stream(context, pair.here, AF_UNIX);
    const Stream::Reader reader = []() -> bool { throw std::runtime_error("no memory"); };
    const auto waits = [](Stream& from, const Stream::Reader& by, std::string& caught) -> Task<void> {
        try {
            co_await from.read_by(by);
        } catch (const std::runtime_error& error) {
            caught = error.what();
        }
    };
    std::string caught;
    spawn(waits(stream, reader, caught));
    say(pair.there, "x");
    run();
    EXPECT_EQ(caught, "no memory");
    ::close(pair.there);
}

TEST_F(StreamTest, AReaderIsNotCalledInsideWhateverBeginsToWait) {
    const Pair pair;
    Stream stream(context, pair.here, AF_UNIX);
    say(pair.there, "xx");
    bool inside = false;
    std::size_t calls = 0;
    const Stream::Reader second = [&] {
        EXPECT_FALSE(inside);
        ++calls;
        return false;
    };
    const Stream::Reader first = [&] {
        char byte = 0;
        stream.read(&byte, 1);  // after this it is known that there may be more
        return false;
    };
    const auto one_after_another = [&]() -> Task<void> {
        co_await stream.read_by(first);
        inside = true;
        spawn(read_all(stream, second));
        inside = false;
    };
    spawn(one_after_another());
    run();
    EXPECT_EQ(calls, 1U);
    ::close(pair.there);
}

TEST_F(StreamTest, AFullSocketIsWaitedForUntilThereIsRoom) {
    constexpr std::size_t kMuch = 8 * 1024 * 1024;
    const Pair pair;
    Stream sender(context, pair.here, AF_UNIX), receiver(context, pair.there, AF_UNIX);
    const std::string much(kMuch, 'x');
    const auto send = [](Stream& to, std::string_view what) -> Task<void> {
        co_await to.write_all(what);
        to.close();
    };
    std::string heard;
    const auto reader = into(heard, receiver, 1000);
    spawn(send(sender, much));
    spawn(read_all(receiver, reader));
    run();
    EXPECT_EQ(heard.size(), kMuch);
}

}  // namespace
