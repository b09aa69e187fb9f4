#include "proxy/exchange.hpp"

#include "protocol/errors.hpp"
#include "protocol/message.hpp"

namespace turnout::proxy {

bool Exchange::take(char type, std::string_view body) {
    constexpr std::size_t kOverhead = 64;  // what a message costs besides
    kept += body.size() + kOverhead;
    if (kept <= most_kept) messages.push_back({type, std::string(body)});
    if (type != static_cast<char>(protocol::BackendType::ready_for_query)) return false;
    status = body.empty() ? 'I' : body.front();
    return --ready_expected == 0;
}

std::string Exchange::error() const {
    if (lost) return "the server closed the connection";
    for (const Message& message : messages) {
        if (message.type != static_cast<char>(protocol::BackendType::error_response)) continue;
        protocol::ErrorFields fields;
        if (protocol::parse(message.body, fields)) return "the server sent a malformed error";
        return std::string(fields.find(protocol::ErrorField::message));
    }
    return kept > most_kept ? "the server's answer is too long" : std::string();
}

}  // namespace turnout::proxy
