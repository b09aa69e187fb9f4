// Messages are found alike, however the bytes are cut into pieces. The first byte: direction and size of the pieces.
#include "protocol/framing.hpp"

#include <string>
#include <utility>
#include <vector>

#include "tests/fuzz/input.hpp"

namespace {

using namespace turnout;
using protocol::Frame;
using protocol::FrameState;

/// What a relay learns: type and size of each message, whether it ends, and whether the stream broke.
struct Found {
    std::vector<std::pair<char, std::uint64_t>> messages;
    std::uint64_t finished = 0, covered = 0;
    bool broken = false;
    bool operator==(const Found&) const = default;
};

Found scan(protocol::Stream stream, std::string_view bytes, std::size_t step) {
    protocol::FrameScanner scanner(stream, 64);
    Found found;
    std::string stash;
    while (!bytes.empty() && !found.broken) {
        stash += bytes.substr(0, step);
        bytes.remove_prefix(std::min(step, bytes.size()));
        std::string_view rest = stash;
        for (;;) {
            const Frame frame = scanner.next(rest);
            found.broken = frame.state == FrameState::broken;
            if (found.broken || frame.state == FrameState::incomplete) break;
            fuzz::must(frame.size > 0 && frame.size <= rest.size());
            if (frame.starts()) found.messages.emplace_back(frame.type, frame.message);
            found.finished += frame.finished ? 1 : 0;
            found.covered += frame.size;
            rest.remove_prefix(frame.size);
        }
        fuzz::must(found.broken || rest.size() < 64);
        stash.erase(0, stash.size() - rest.size());
    }
    return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::uint8_t choice = input.byte();
    constexpr protocol::Stream streams[] = {protocol::Stream::frontend_login, protocol::Stream::frontend,
                                            protocol::Stream::backend};
    const protocol::Stream stream = streams[choice % 3];
    const std::string_view bytes = input.rest();
    fuzz::must(scan(stream, bytes, bytes.size() + 1) == scan(stream, bytes, 1U + choice / 3U));
    return 0;
}
