#include "tests/support/relay.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>

namespace turnout::support {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace

Relay::Relay(std::uint16_t to)
    : to_(asio::ip::address_v4::loopback(), to),
      acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
      port_(acceptor_.local_endpoint().port()),
      mended_(context_, asio::steady_timer::time_point::max()),
      thread_([this] {
          asio::co_spawn(context_, listen(), asio::detached);
          context_.run();
      }) {}

Relay::~Relay() {
    context_.stop();
    thread_.join();
}

void Relay::cut() {
    asio::post(context_, asio::use_future([this] { cut_ = true; })).get();
}

void Relay::mend() {
    asio::post(context_, [this] {
        cut_ = false;
        mended_.cancel();
    });
}

asio::awaitable<void> Relay::passable() {
    while (cut_) co_await mended_.async_wait(kTuple);
}

asio::awaitable<void> Relay::listen() {
    for (;;) {
        auto [error, socket] = co_await acceptor_.async_accept(kTuple);
        if (error) continue;
        asio::co_spawn(context_, carry(std::move(socket)), asio::detached);
    }
}

asio::awaitable<void> Relay::carry(Socket from) {
    using namespace asio::experimental::awaitable_operators;
    co_await passable();
    Socket to(context_);
    auto [error] = co_await to.async_connect(to_, kTuple);
    if (error) co_return;
    boost::system::error_code ignored;
    from.set_option(tcp::no_delay(true), ignored);
    to.set_option(tcp::no_delay(true), ignored);
    // An end that closes ends both: no program here closes one direction only.
    co_await (pump(from, to) || pump(to, from));
}

asio::awaitable<void> Relay::pump(Socket& from, Socket& to) {
    std::array<char, 16 * 1024> buffer;
    for (;;) {
        auto [failed, size] = co_await from.async_read_some(asio::buffer(buffer), kTuple);
        co_await passable();
        if (failed) co_return;
        auto [unwritten, written] = co_await asio::async_write(to, asio::buffer(buffer, size), kTuple);
        if (unwritten) co_return;
    }
}

}  // namespace turnout::support
