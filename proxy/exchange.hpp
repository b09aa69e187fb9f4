// What a server answers to questions of the proxy's own.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/signal.hpp"

namespace turnout::proxy {

/// Replies to what the proxy itself asked on a backend, collected up to a number of ReadyForQuery.
struct Exchange {
    /// Most bytes that are kept of them: a server that goes on is heard out, and has not answered.
    static constexpr std::size_t most_kept = std::size_t{16} * 1024 * 1024;

    struct Message {
        char type;
        std::string body;
    };
    explicit Exchange(boost::asio::io_context& context) : finished(context) {}
    std::vector<Message> messages;
    std::size_t kept = 0;  ///< bytes of them, and more than most_kept: some are left out
    unsigned ready_expected = 1;
    char status = 'I';  ///< of the last ReadyForQuery
    bool lost = false;  ///< the backend went away before the end
    Signal finished;

    /// The next message. `body` may be the beginning of a long one, which no parser takes then. True: it was the last
    /// that is waited for.
    bool take(char type, std::string_view body);
    /// The first ErrorResponse's text, or another reason why there is no answer, or an empty string.
    std::string error() const;
};

}  // namespace turnout::proxy
