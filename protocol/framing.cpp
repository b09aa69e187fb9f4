#include "protocol/framing.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace turnout::protocol {

namespace {

constexpr std::size_t type_size = 1;

/// Messages whose bodies nobody looks at: they are passed on as they come.
bool is_opaque(Stream stream, char type) noexcept {
    const bool copy_data = type == static_cast<char>(BackendType::copy_data);
    return copy_data || (stream == Stream::backend && type == static_cast<char>(BackendType::data_row));
}

bool is_known_type(Stream stream, char type) noexcept {
    switch (stream) {
        case Stream::frontend_login:
            return type == static_cast<char>(FrontendType::password) ||
                   type == static_cast<char>(FrontendType::terminate);
        case Stream::frontend: return is_session_type(type);
        case Stream::backend:
            // A newer server may have messages that we do not know; they are carried like any other.
            return (type >= '0' && type <= '9') || (type >= 'A' && type <= 'Z') || (type >= 'a' && type <= 'z');
    }
    return false;
}

/// `message` is at least a header.
std::uint32_t read_length(const char* message) noexcept {
    std::array<std::uint8_t, header_size - type_size> field{};
    std::memcpy(field.data(), message + type_size, field.size());
    return std::uint32_t{field[0]} << 24U | std::uint32_t{field[1]} << 16U | std::uint32_t{field[2]} << 8U | field[3];
}

}  // namespace

FrameScanner::FrameScanner(Stream stream, std::uint32_t inspect_limit) noexcept
    : inspect_limit_(std::max<std::uint32_t>(inspect_limit, header_size)), stream_(stream) {}

void FrameScanner::change_stream(Stream stream) noexcept { stream_ = stream; }

Frame FrameScanner::broken(const char* error) noexcept {
    error_ = error;
    return {.state = FrameState::broken, .error = error};
}

const char* FrameScanner::fault_of(char type, std::uint32_t length) const noexcept {
    if (!is_known_type(stream_, type)) return "invalid message type";
    const std::uint32_t limit = stream_ == Stream::frontend_login ? login_limit : max_message_length;
    return length < header_size - type_size || length > limit ? "invalid message length" : nullptr;
}

std::size_t FrameScanner::run_of(char type, std::string_view bytes) const noexcept {
    if (error_ != nullptr || remaining_ > 0 || !is_opaque(stream_, type)) return 0;
    std::size_t run = 0;
    while (bytes.size() - run >= header_size && bytes[run] == type) {
        const std::uint32_t length = read_length(bytes.data() + run);
        const std::uint64_t total = std::uint64_t{length} + type_size;
        if (length < header_size - type_size || total > bytes.size() - run) break;
        run += static_cast<std::size_t>(total);
    }
    return run;
}

Frame FrameScanner::next(std::string_view bytes) noexcept {
    if (error_ != nullptr) return broken(error_);
    if (remaining_ > 0) {
        if (bytes.empty()) return {.missing = 1};
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size()));
        remaining_ -= size;
        return {.state = FrameState::continuing,
                .type = type_,
                .size = size,
                .body = bytes.substr(0, size),
                .finished = remaining_ == 0};
    }
    if (bytes.empty()) return {.missing = header_size};
    if (bytes.size() < header_size) {
        if (!is_known_type(stream_, bytes.front())) return broken("invalid message type");
        return {.missing = header_size - bytes.size()};
    }
    const char type = bytes.front();
    const std::uint32_t length = read_length(bytes.data());
    if (const char* fault = fault_of(type, length)) return broken(fault);

    const std::uint64_t total = std::uint64_t{length} + type_size;
    if (bytes.size() >= total) {
        const auto size = static_cast<std::size_t>(total);
        return {.state = FrameState::whole,
                .type = type,
                .size = size,
                .message = total,
                .body = bytes.substr(header_size, size - header_size),
                .finished = true};
    }
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(total, inspect_limit_));
    if (!is_opaque(stream_, type) && bytes.size() < wanted) return {.missing = wanted - bytes.size()};

    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(total, bytes.size()));
    type_ = type;
    remaining_ = total - size;
    return {.state = FrameState::opening,
            .type = type,
            .size = size,
            .message = total,
            .body = bytes.substr(header_size, size - header_size)};
}

}  // namespace turnout::protocol
