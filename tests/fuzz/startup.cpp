// A client's first packet and the version that is agreed on.
#include "protocol/startup.hpp"

#include <variant>

#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace turnout;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const protocol::Classified first = protocol::classify_first_packet(bytes);
    fuzz::must(first.size <= bytes.size());
    if (const auto* more = std::get_if<protocol::NeedsMore>(&first.packet)) {
        fuzz::must(more->bytes > 0 && bytes.size() + more->bytes <= protocol::max_startup_length);
    }
    std::string again;
    if (const auto* cancel = std::get_if<protocol::CancelRequest>(&first.packet)) {
        append(again, *cancel);
        fuzz::must(again == bytes.substr(0, first.size));
    }
    if (const auto* startup = std::get_if<protocol::StartupMessage>(&first.packet)) {
        fuzz::must(!startup->user().empty() && !startup->database().empty());
        const protocol::Negotiation negotiation = negotiate(*startup);
        fuzz::must(negotiation.version <= protocol::ProtocolVersion{3, 2});
        append(again, negotiation);
    }
    return 0;
}
