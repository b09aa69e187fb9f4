#include "proxy/blocking.hpp"

namespace turnout::proxy {

boost::asio::execution_context::id BlockingThreads::id;

void BlockingThreads::shutdown() {
    threads_.stop();
    threads_.join();
}

}  // namespace turnout::proxy
