// A bound on how long a stream may take over something.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>

#include "proxy/event_loop.hpp"
#include "proxy/stream.hpp"

namespace turnout::proxy {

/// Closes a stream, which it must not outlive, when the time is up; the coroutine that waits on it then sees the end.
class Deadline {
  public:
    Deadline(boost::asio::io_context& context, std::chrono::milliseconds time, Stream& stream) : timer_(context) {
        timer_.after(time, [&stream] { stream.close(); });
    }

  private:
    Timer timer_;
};

}  // namespace turnout::proxy
