// Everything that reads what a server sends in a session. What a parser has taken is what append() would have written.
#include "protocol/framing.hpp"
#include "protocol/messages.hpp"
#include "protocol/session_changes.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace turnout;
using protocol::BackendType;

template <class Message>
void round_trip(std::string_view whole, std::string_view body) {
    Message message;
    if (parse(body, message)) return;
    std::string again;
    append(again, message);
    fuzz::must(again == whole);
}

template <class Message>
void only_read(std::string_view body) {
    Message message;
    (void)parse(body, message);
}

void read_error(BackendType type, std::string_view whole, std::string_view body) {
    protocol::ErrorFields fields;
    (void)protocol::sqlstate_of(body);
    if (parse(body, fields)) return;
    (void)fields.fatal();
    std::string again;
    append(again, type, fields);
    fuzz::must(again == whole);
}

void read(BackendType type, std::string_view whole, std::string_view body) {
    switch (type) {
        case BackendType::error_response:
        case BackendType::notice_response: return read_error(type, whole, body);
        case BackendType::ready_for_query: return round_trip<protocol::ReadyForQuery>(whole, body);
        case BackendType::parameter_status: return round_trip<protocol::ParameterStatus>(whole, body);
        case BackendType::backend_key_data: return round_trip<protocol::BackendKeyData>(whole, body);
        case BackendType::command_complete: return only_read<protocol::CommandComplete>(body);
        case BackendType::notification_response: return only_read<protocol::NotificationResponse>(body);
        case BackendType::row_description: return only_read<protocol::RowDescription>(body);
        case BackendType::data_row: return only_read<protocol::DataRow>(body);
        case BackendType::parameter_description: return only_read<protocol::ParameterDescription>(body);
        case BackendType::copy_in_response:
        case BackendType::copy_out_response:
        case BackendType::copy_both_response: return only_read<protocol::CopyResponse>(body);
        case BackendType::negotiate_protocol_version: return only_read<protocol::NegotiateProtocolVersion>(body);
        case BackendType::authentication: return only_read<protocol::Authentication>(body);
        default: return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    protocol::FrameScanner scanner(protocol::Stream::backend);
    protocol::SessionChanges changes;
    for (;;) {
        const protocol::Frame frame = scanner.next(rest);
        if (frame.size == 0) return 0;
        const auto type = static_cast<BackendType>(frame.type);
        if (frame.state == protocol::FrameState::whole) read(type, rest.substr(0, frame.size), frame.body);
        if (frame.starts() && type == BackendType::command_complete) changes.on_command_complete(frame.body);
        rest.remove_prefix(frame.size);
    }
}
