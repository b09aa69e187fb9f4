#include "proxy/blocking.hpp"

namespace turnout::proxy {

boost::asio::thread_pool& blocking_threads() {
    // A name whose servers do not answer takes half a minute: the others go on.
    static boost::asio::thread_pool threads(4);
    return threads;
}

}  // namespace turnout::proxy
