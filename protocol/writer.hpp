/// \file
/// Appending messages to a buffer.
#pragma once

#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace turnout::protocol {

/// Appends messages to the end of a string: begin(), the fields, end(), which patches the length. The string must
/// outlive the writer and must not be changed by others between begin() and end(). What it held before stays.
class Writer {
  public:
    explicit Writer(std::string& out) noexcept : out_(out) {}

    /// Begins a message that a client would send.
    Writer& begin(FrontendType type) { return begin_typed(static_cast<char>(type)); }
    /// Begins a message that a server would send.
    Writer& begin(BackendType type) { return begin_typed(static_cast<char>(type)); }
    /// Begins a first packet, which has a length but no type.
    Writer& begin_untyped();

    Writer& byte(char value);
    /// 16 bits in network order.
    Writer& int16(std::int16_t value);
    /// A 16-bit count; the caller has made sure that it fits.
    Writer& count(std::size_t value);
    /// 32 bits in network order.
    Writer& int32(std::int32_t value);
    /// 32 unsigned bits (an OID) in network order.
    Writer& uint32(std::uint32_t value);
    /// The text and a terminating zero. The text is cut at its first zero byte, which no string on the wire can carry.
    Writer& string(std::string_view text);
    /// The bytes as they are.
    Writer& bytes(std::string_view raw);

    /// Ends the message: writes its length into its header.
    void end();

  private:
    Writer& begin_typed(char type);

    std::string& out_;
    std::size_t length_at_ = 0;
};

}  // namespace turnout::protocol
