#include "proxy/blocking.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>

namespace {

using namespace turnout::proxy;

Task<void> call(boost::asio::io_context& context, std::function<int()> f, int& result) {
    auto calling = run_blocking(context, std::move(f));
    result = co_await std::move(calling);
}

TEST(Blocking, TheLoopGoesOnMeanwhile) {
    boost::asio::io_context context;
    std::promise<int> answer;
    int result = 0;
    boost::asio::co_spawn(context,
                          call(
                              context, [&answer] { return answer.get_future().get(); }, result),
                          boost::asio::detached);
    boost::asio::post(context, [&answer] { answer.set_value(42); });
    EventLoop::run(context);
    EXPECT_EQ(result, 42);
}

TEST(Blocking, WhatIsUnderWayEndsBeforeItsContext) {
    auto context = std::make_unique<boost::asio::io_context>();
    std::promise<void> begun, may_end;
    std::atomic<bool> ended = false;
    int result = 0;
    const auto slow = [&] {
        begun.set_value();
        may_end.get_future().wait();
        ended = true;
        return 42;
    };
    boost::asio::co_spawn(*context, call(*context, slow, result), boost::asio::detached);
    context->poll();
    begun.get_future().wait();
    std::thread elsewhere([&] { may_end.set_value(); });
    context.reset();
    EXPECT_TRUE(ended);
    EXPECT_EQ(result, 0) << "nobody was there to be told";
    elsewhere.join();
}

}  // namespace
