#include "control/both.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>
#include <functional>
#include <stdexcept>
#include <string>

namespace turnout::control {
namespace {

namespace asio = boost::asio;

asio::awaitable<int> value(int number) { co_return number; }

asio::awaitable<int> failure(std::string what) {
    throw std::runtime_error(what);
    co_return 0;
}

/// Ends by being cancelled only.
asio::awaitable<int> for_ever() {
    asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
    co_return 0;
}

asio::awaitable<void> nothing() { co_await value(1); }
asio::awaitable<void> nothing_for_ever() { co_await for_ever(); }

template <class Result>
void run(asio::awaitable<Result> coroutine, asio::cancellation_signal* cancel = nullptr) {
    asio::io_context context;
    std::exception_ptr failed;
    asio::cancellation_signal unused;
    asio::co_spawn(
        context,
        [](asio::awaitable<Result> inner) -> asio::awaitable<void> { co_await std::move(inner); }(std::move(coroutine)),
        asio::bind_cancellation_slot((cancel != nullptr ? *cancel : unused).slot(),
                                     [&failed](std::exception_ptr error) { failed = error; }));
    if (cancel != nullptr) asio::post(context, [cancel] { cancel->emit(asio::cancellation_type::terminal); });
    context.run();
    if (failed) std::rethrow_exception(failed);
}

TEST(Both, GivesBothValues) {
    std::pair<int, int> got;
    run([&got]() -> asio::awaitable<void> { got = co_await both(value(1), value(2)); }());
    EXPECT_EQ(got, std::pair(1, 2));
    run(both(nothing(), nothing()));
}

TEST(Both, TheFailureCancelsTheOtherAndIsTheOneThatIsSeen) {
    for (const bool left : {true, false}) {
        try {
            run(left ? both(failure("lost"), for_ever()) : both(for_ever(), failure("lost")));
            ADD_FAILURE() << "no exception";
        } catch (const std::runtime_error& error) {
            EXPECT_STREQ(error.what(), "lost");
        }
    }
}

TEST(Both, OfTwoFailuresTheFirstIsSeen) {
    try {
        run(both(failure("first"), failure("second")));
        ADD_FAILURE() << "no exception";
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "first");
    }
}

TEST(Both, CancelledTogetherTheyAreCancelledAndNothingElse) {
    asio::cancellation_signal cancel;
    try {
        run(both(nothing_for_ever(), nothing_for_ever()), &cancel);
        ADD_FAILURE() << "no exception";
    } catch (const boost::system::system_error& error) {
        EXPECT_EQ(error.code(), asio::error::operation_aborted);
    }
}

}  // namespace
}  // namespace turnout::control
