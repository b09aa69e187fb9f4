#include "protocol/session_ledger.hpp"

namespace turnout::protocol {

void SessionLedger::on_frontend(FrontendType type, std::string_view body, bool whole) {
    const std::uint64_t position = replies_.on_frontend(type, body);
    statements_.on_frontend(type, body, whole, position);
}

void SessionLedger::on_frontend(const Frame& frame) {
    on_frontend(static_cast<FrontendType>(frame.type), frame.body, frame.state == FrameState::whole);
}

Reply SessionLedger::on_backend(BackendType type, std::string_view body) {
    const bool was_unsure = replies_.unsure();
    const Reply reply = replies_.on_backend(type, body);
    if (!is_asynchronous(type)) statements_.on_reply(reply, type, body, !was_unsure && !replies_.unsure());
    return reply;
}

Reply SessionLedger::on_backend(const Frame& frame) {
    return on_backend(static_cast<BackendType>(frame.type), frame.body);
}

}  // namespace turnout::protocol
