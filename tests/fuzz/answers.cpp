// What a server answers to the proxy's own questions about a session. The first byte chooses which were asked; messages
// follow as on the wire. What has been read can be brought to another server.
#include <boost/asio/io_context.hpp>

#include "protocol/framing.hpp"
#include "proxy/carried_state.hpp"
#include "proxy/exchange.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace turnout;

boost::asio::io_context context;

/// True: the server has said all that was waited for.
bool collect(std::string_view rest, proxy::Exchange& exchange) {
    protocol::FrameScanner scanner(protocol::Stream::backend);
    while (!rest.empty()) {
        const protocol::Frame frame = scanner.next(rest);
        if (frame.size == 0) return false;
        if (frame.starts() && exchange.take(frame.type, frame.body)) return true;
        rest.remove_prefix(frame.size);
    }
    return false;
}

void read_state(const proxy::Exchange& exchange) {
    proxy::CarriedState state;
    if (!proxy::read_answers(exchange, "app", state).empty()) return;
    fuzz::must(exchange.error().empty() && !state.role.empty());
    fuzz::must(proxy::replay_state(state, true).ready > 0);
    const proxy::Replay holdings = proxy::replay_holdings({}, state.holdings);
    fuzz::must(holdings.bytes.empty() == state.holdings.empty());
    fuzz::must(proxy::replay_holdings(state.holdings, state.holdings).bytes.empty());
}

void read_counts(const proxy::Exchange& exchange) {
    std::vector<std::uint64_t> counts;
    (void)proxy::read_counts(exchange, counts);
    const std::vector<proxy::AdvisoryLock> locks{{1, 2, true, false}, {3, 4, false, true}};
    (void)proxy::take_again(locks, counts);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::uint8_t choice = input.byte();
    proxy::Exchange exchange(context);
    exchange.lost = !collect(input.rest(), exchange);
    if (choice % 3 == 0) read_state(exchange);
    if (choice % 3 == 1) {
        proxy::CarriedState state;
        (void)proxy::read_urgent_answers(exchange, state);
    }
    if (choice % 3 == 2) read_counts(exchange);
    return 0;
}
