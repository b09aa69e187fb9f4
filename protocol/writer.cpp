#include "protocol/writer.hpp"

namespace turnout::protocol {

namespace {

void put_uint32(char* at, std::uint32_t value) noexcept {
    at[0] = static_cast<char>(value >> 24U);
    at[1] = static_cast<char>(value >> 16U);
    at[2] = static_cast<char>(value >> 8U);
    at[3] = static_cast<char>(value);
}

}  // namespace

Writer& Writer::begin_typed(char type) {
    out_.push_back(type);
    return begin_untyped();
}

Writer& Writer::begin_untyped() {
    length_at_ = out_.size();
    out_.append(4, '\0');
    return *this;
}

Writer& Writer::byte(char value) {
    out_.push_back(value);
    return *this;
}

Writer& Writer::int16(std::int16_t value) { return count(static_cast<std::uint16_t>(value)); }

Writer& Writer::count(std::size_t value) {
    out_.push_back(static_cast<char>(value >> 8U));
    out_.push_back(static_cast<char>(value));
    return *this;
}

Writer& Writer::uint32(std::uint32_t value) {
    char bytes[4];
    put_uint32(bytes, value);
    out_.append(bytes, sizeof bytes);
    return *this;
}

Writer& Writer::int32(std::int32_t value) { return uint32(static_cast<std::uint32_t>(value)); }

Writer& Writer::string(std::string_view text) {
    out_.append(text.substr(0, text.find('\0')));
    out_.push_back('\0');
    return *this;
}

Writer& Writer::bytes(std::string_view raw) {
    out_.append(raw);
    return *this;
}

void Writer::end() { put_uint32(out_.data() + length_at_, static_cast<std::uint32_t>(out_.size() - length_at_)); }

}  // namespace turnout::protocol
