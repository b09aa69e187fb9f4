// Everything that reads what a client sends in a session. What a parser has taken is what append() would have written.
#include "protocol/framing.hpp"
#include "protocol/messages.hpp"
#include "protocol/session_changes.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace turnout;
using protocol::FrontendType;

template <class Message>
void round_trip(std::string_view whole, std::string_view body) {
    Message message;
    if (parse(body, message)) return;
    std::string again;
    append(again, message);
    fuzz::must(again == whole);
}

void read(char type, std::string_view whole, std::string_view body) {
    switch (static_cast<FrontendType>(type)) {
        case FrontendType::query: return round_trip<protocol::Query>(whole, body);
        case FrontendType::parse: return round_trip<protocol::Parse>(whole, body);
        case FrontendType::bind: return round_trip<protocol::Bind>(whole, body);
        case FrontendType::describe: return round_trip<protocol::Describe>(whole, body);
        case FrontendType::close: return round_trip<protocol::Close>(whole, body);
        case FrontendType::execute: return round_trip<protocol::Execute>(whole, body);
        case FrontendType::function_call: return round_trip<protocol::FunctionCall>(whole, body);
        case FrontendType::copy_fail: return round_trip<protocol::CopyFail>(whole, body);
        default: return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    protocol::FrameScanner scanner(protocol::Stream::frontend);
    protocol::SessionChanges changes;
    for (;;) {
        const protocol::Frame frame = scanner.next(rest);
        if (frame.size == 0) return 0;
        const bool whole = frame.state == protocol::FrameState::whole;
        if (whole) read(frame.type, rest.substr(0, frame.size), frame.body);
        if (frame.starts()) changes.on_frontend(static_cast<FrontendType>(frame.type), frame.body, whole);
        rest.remove_prefix(frame.size);
    }
}
