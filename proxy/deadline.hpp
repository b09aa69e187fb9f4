// A bound on how long a stream may take over something.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>

#include "proxy/stream.hpp"

namespace turnout::proxy {

/// Closes a stream when the time is up; the coroutine that waits on it then sees the end.
class Deadline {
  public:
    Deadline(boost::asio::io_context& context, std::chrono::milliseconds time, Stream& stream)
        : timer_(context, time), stream_(std::make_shared<Stream*>(&stream)) {
        timer_.async_wait([target = stream_](boost::system::error_code error) {
            if (!error && *target != nullptr) (*target)->close();
        });
    }
    // An expiry that is queued already can no longer be cancelled: it must find nothing.
    ~Deadline() { *stream_ = nullptr; }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

  private:
    boost::asio::steady_timer timer_;
    std::shared_ptr<Stream*> stream_;
};

}  // namespace turnout::proxy
