#include "protocol/reader.hpp"

namespace turnout::protocol {

namespace {

constexpr const char* too_short = "the message ends within a field";

std::uint32_t big_endian(std::string_view bytes) noexcept {
    std::uint32_t value = 0;
    for (const char byte : bytes) value = (value << 8U) | static_cast<std::uint8_t>(byte);
    return value;
}

}  // namespace

void Reader::fail(const char* what) noexcept {
    if (!error_) error_.what = what;
    left_ = {};
}

std::string_view Reader::bytes(std::size_t count) noexcept {
    if (count > left_.size()) {
        fail(too_short);
        return {};
    }
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
}

char Reader::byte() noexcept {
    const std::string_view taken = bytes(1);
    return taken.empty() ? '\0' : taken.front();
}

std::uint16_t Reader::uint16() noexcept { return static_cast<std::uint16_t>(big_endian(bytes(2))); }

std::int16_t Reader::int16() noexcept { return static_cast<std::int16_t>(uint16()); }

std::uint32_t Reader::uint32() noexcept { return big_endian(bytes(4)); }

std::int32_t Reader::int32() noexcept { return static_cast<std::int32_t>(uint32()); }

std::string_view Reader::string() noexcept {
    const std::size_t length = left_.find('\0');
    if (length == std::string_view::npos) {
        fail("a string is not terminated");
        return {};
    }
    const std::string_view text = left_.substr(0, length);
    left_.remove_prefix(length + 1);
    return text;
}

std::string_view Reader::rest() noexcept { return bytes(left_.size()); }

WireError Reader::finish() noexcept {
    if (!left_.empty()) fail("bytes are left behind the last field");
    return error_;
}

}  // namespace turnout::protocol
